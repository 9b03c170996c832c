"""A judge and some labels: unbiased however wrong the judge, and worth more labels than there are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mlbaseline.stats import compare_judged, compare_paired
from tests.stats.paired.calibration_judged import simulate

N, TRUTH = 1_000, 0.08


def draw(
    rng: np.random.Generator, n_labels: int, *, bias: float = 0.0, noise: float = 0.5, scale: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A judge of two systems, with a bias for the candidate, and labels of n_labels random examples."""
    difficulty = rng.normal(size=N)
    quality = [difficulty + rng.normal(mean, 0.5, N) for mean in (TRUTH, 0.0)]
    judged = [scale * side + rng.normal(0, noise, N) for side in quality]
    judged[0] = judged[0] + bias
    labelled = np.zeros(N, dtype=bool)
    labelled[rng.choice(N, n_labels, replace=False)] = True
    labels = [np.where(labelled, side, np.nan) for side in quality]
    return judged[0], judged[1], labels[0], labels[1]


@pytest.mark.parametrize("n_labels", [50, 150, 500])
@pytest.mark.parametrize("judge", [{}, {"bias": 0.3}, {"noise": 3.0}, {"scale": -0.5}, {"scale": 0.2, "noise": 0.1}])
def test_coverage_with_judges_of_every_kind(n_labels: int, judge: dict[str, float]) -> None:
    rng = np.random.default_rng(n_labels)
    results = [compare_judged(*draw(rng, n_labels, **judge)) for _ in range(250)]
    covered = np.mean([result.low <= TRUTH <= result.high for result in results])
    assert covered >= 0.95 - 2.5 * math.sqrt(0.05 * 0.95 / 250)
    assert np.mean([result.delta for result in results]) == pytest.approx(
        TRUTH, abs=4 * 0.75 / math.sqrt(250 * n_labels)
    )


def test_a_good_judge_is_worth_labels_and_a_blind_one_costs_little() -> None:
    rng = np.random.default_rng(1)
    good = np.median([compare_judged(*draw(rng, 150, noise=0.3)).effective_labels for _ in range(40)])
    blind = np.median([compare_judged(*draw(rng, 150, scale=0.0)).effective_labels for _ in range(40)])
    assert good > 300
    assert 140 < blind < 165


def test_a_biased_judge_alone_is_wrong_where_the_joint_answer_is_not() -> None:
    result = compare_judged(*draw(np.random.default_rng(2), 200, bias=0.5))
    assert result.judge_delta > 0.5
    assert result.low <= TRUTH <= result.high


def test_the_formula_by_hand() -> None:
    rng = np.random.default_rng(3)
    columns = draw(rng, 100)
    f, y = columns[0] - columns[1], columns[2] - columns[3]
    known = ~np.isnan(y)
    weight = np.cov(y[known], f[known])[0, 1] / ((1 + 100 / 900) * f.var(ddof=1))
    delta = (y[known] - weight * f[known]).mean() + weight * f[~known].mean()
    variance = (y[known] - weight * f[known]).var(ddof=2) / 100 + weight**2 * f[~known].var() / 900
    result = compare_judged(*columns, margin=0.05, alternative="greater")
    assert (result.weight, result.delta) == (pytest.approx(weight), pytest.approx(delta))
    assert result.standard_error == pytest.approx(math.sqrt(variance))
    assert result.p_value == pytest.approx(stats.t.sf((delta - 0.05) / math.sqrt(variance), 98))
    assert result.high == math.inf


@pytest.mark.parametrize(
    ("n_labels", "scale", "noise", "bias", "expected"),
    [
        (50, 1.0, 0.5, 0.0, (0.0997704, -0.0125932, 0.2121340)),
        (150, 1.0, 0.5, 0.3, (0.0509065, -0.0361229, 0.1379359)),
        (200, 0.2, 3.0, 0.1, (0.1494112, 0.0069328, 0.2918897)),
    ],
)
def test_figures_of_ppi_python(
    n_labels: int, scale: float, noise: float, bias: float, expected: tuple[float, float, float]
) -> None:
    """`ppi_mean_pointestimate` and `ppi_mean_ci` of ppi-python 0.2.3 on the same differences, recorded 2026-11-27.

    It takes a normal quantile where we take Student's t, and other divisors in the weight of the judge: they agree up
    to a tenth of the interval. It gives a judge no negative weight, so none of these is turned round.
    """
    rng = np.random.default_rng({50: 0, 150: 1, 200: 3}[n_labels])
    truth = rng.normal(0.1, 1, 1_000)
    judged = scale * truth + bias + rng.normal(0, noise, 1_000)
    labelled, none = np.arange(1_000) < n_labels, np.zeros(1_000)
    known = [np.where(labelled, side, np.nan) for side in (truth, none)]
    found = compare_judged(judged, none, *known)
    width = expected[2] - expected[1]
    assert (found.delta, found.low, found.high) == pytest.approx(expected, abs=0.05 * width)


@pytest.mark.parametrize("scores", ["right or wrong, 5 % differ", "pairs, few differ"])
def test_few_labels_that_differ_prove_little(scores: str) -> None:
    """Without pseudo-examples the gate passes 12 % of such tables at its margin, and coverage is 0.87."""
    result = simulate((scores, "faithful"), 50, 300)
    assert result.coverage >= 0.93
    assert result.below <= 0.03


def test_labels_that_are_all_alike_leave_room_for_what_was_not_seen() -> None:
    labels = np.where(np.arange(300) < 40, 1.0, np.nan)
    result = compare_judged(np.ones(300), np.ones(300), labels, labels)
    assert (result.delta, result.p_value) == (0.0, 1.0)
    assert result.low < -0.05
    assert result.high > 0.05


def test_all_labelled_is_the_paired_comparison() -> None:
    rng = np.random.default_rng(4)
    columns = draw(rng, N)
    ours, theirs = compare_judged(*columns), compare_paired(columns[2], columns[3], method="t")
    assert (ours.delta, ours.low, ours.high) == pytest.approx((theirs.delta, theirs.low, theirs.high), rel=1e-4)
    assert ours.weight == 0.0


def test_clusters_widen() -> None:
    rng, labels = np.random.default_rng(5), np.repeat(np.arange(100), 10)
    shared = rng.normal(size=100)[labels]
    quality = shared + rng.normal(0, 0.5, N)
    known = rng.random(N) < 0.2
    columns = (
        quality + rng.normal(0, 0.5, N),
        np.zeros(N),
        np.where(known, quality, np.nan),
        np.where(known, 0, np.nan),
    )
    alone, clustered = compare_judged(*columns), compare_judged(*columns, clusters=labels)
    assert clustered.standard_error > 1.3 * alone.standard_error
    assert clustered.df < 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: np.zeros(3)}, "one shape"),
        ({0: np.full(20, np.nan)}, "finite score"),
        ({2: np.arange(20.0)}, "same examples"),
        ({2: np.full(20, np.nan), 3: np.full(20, np.nan)}, "at least 10"),
    ],
)
def test_bad_input_is_refused(change: dict[int, np.ndarray], message: str) -> None:
    columns = [np.zeros(20), np.zeros(20), np.where(np.arange(20) < 12, 0.0, np.nan), np.zeros(20)]
    columns[3] = columns[2].copy()
    for position, column in change.items():
        columns[position] = column
    with pytest.raises(ValueError, match=message):
        compare_judged(*columns)
