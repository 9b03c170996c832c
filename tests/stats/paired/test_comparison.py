"""The paired comparison: what it computes, what it refuses, and what the oracles say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from mlbaseline.stats import PairedComparison, compare_paired
from mlbaseline.stats.confidence import infer
from mlbaseline.stats.paired.binary import ScoreConfidence


def paired_bits(gained: int, lost: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """0/1 scores with these discordant counts; half of the rest are right on both sides."""
    both = np.zeros(n - gained - lost)
    both[: len(both) // 2] = 1.0
    candidate = np.concatenate([np.ones(gained), np.zeros(lost), both])
    baseline = np.concatenate([np.zeros(gained), np.ones(lost), both])
    return candidate, baseline


# One data set for each method that auto can pick, with that method's name.
def cases() -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(7)
    bits, other = (rng.random(120) < 0.7).astype(float), (rng.random(120) < 0.6).astype(float)
    dense, partial = rng.random((2, 60)), (rng.random(300) < 0.5).astype(float)
    few = partial.copy()
    few[:6] = [0.5, 0.4, 0.9, 0.3, 0.7, 0.2]
    runs = (rng.random((4, 150)) < 0.7).astype(float)
    near = np.repeat(partial[None, :150], 3, axis=0)
    near[0, 3], near[1, 9], near[2, 70] = 1.0 - near[0, 3], 1.0 - near[1, 9], 1.0 - near[2, 70]
    return {
        "score": {"candidate": bits, "baseline": other},
        "unseen": {"candidate": bits, "baseline": bits},
        "bootstrap_t": {"candidate": dense[0], "baseline": dense[1]},
        "t": {"candidate": rng.normal(size=400), "baseline": rng.normal(size=400)},
        "sparse_t": {"candidate": few, "baseline": partial},
        "clustered_t": {
            "candidate": rng.normal(size=120),
            "baseline": rng.normal(size=120),
            "clusters": np.arange(120) // 6,
        },
        "clustered_sparse_t": {"candidate": few, "baseline": partial, "clusters": np.arange(300) // 6},
        "crossed_t": {"candidate": runs[:3], "baseline": runs[3]},
        "crossed_sparse_t": {"candidate": near, "baseline": partial[:150]},
    }


@pytest.mark.parametrize("name", cases())
def test_auto_picks_the_method_and_says_why(name: str) -> None:
    result = compare_paired(**cases()[name])
    assert result.method == name
    assert len(result.reason) > 20
    assert result.low < result.delta < result.high or name == "score"
    assert all(math.isfinite(x) for x in (result.low, result.high, result.p_value, result.standard_error))
    assert result.standard_error > 0.0


@pytest.mark.parametrize("name", cases())
def test_a_system_against_itself(name: str) -> None:
    case = cases()[name]
    case["baseline"] = case["candidate"]
    result = compare_paired(**case)
    assert result.delta == 0.0
    assert result.p_value == 1.0
    assert result.low < 0.0 < result.high
    assert math.isclose(result.low, -result.high, rel_tol=1e-6)
    assert result.gained == result.lost == 0
    assert not any(isinstance(value, float) and math.isnan(value) for value in vars(result).values())


@pytest.mark.parametrize("constant", [0.0, 1.0, 0.3, -4.0, 17.5])
@pytest.mark.parametrize("n", [2, 50, 400])
def test_constant_scores_have_an_honest_interval(constant: float, n: int) -> None:
    same = compare_paired(np.full(n, constant), np.full(n, constant))
    assert same.p_value == 1.0
    assert same.correlation is None
    scale = 1.0 if 0.0 <= constant <= 1.0 else abs(constant)
    assert same.high == pytest.approx(scale * (1.0 - 0.025 ** (1.0 / n)))


def test_no_discordant_pair_leaves_non_inferiority_at_one_point_unproven() -> None:
    candidate, baseline = paired_bits(0, 0, 200)
    result = compare_paired(candidate, baseline)
    assert result.p_value == 1.0
    assert result.low == pytest.approx(-(1.0 - 0.025 ** (1.0 / 200)))
    assert result.low < -0.01
    gate = compare_paired(candidate, baseline, alternative="greater", margin=-0.01)
    assert gate.p_value == pytest.approx(0.99**200)


def test_equal_differences_that_are_not_zero() -> None:
    rng = np.random.default_rng(1)
    base = rng.random(40) * 0.8
    result = compare_paired(base + 0.1, base)
    assert result.method == "unseen"
    assert result.effect_size is None
    assert result.delta == pytest.approx(0.1)
    hidden = 1.0 - 0.025 ** (1.0 / 40)
    assert result.low == pytest.approx(0.1 - hidden * 1.1)
    assert result.high == pytest.approx(0.1 + hidden * 0.9)
    assert result.p_value == pytest.approx(2.0 * (1.0 / 1.1) ** 40)
    # A shift as wide as the scale itself leaves the exact sign-flip p-value.
    assert compare_paired(np.ones(12), np.zeros(12), method="t").p_value == pytest.approx(2.0 * 0.5**12)


@pytest.mark.parametrize(("gained", "lost"), [(5, 0), (9, 3), (1, 0), (30, 18), (120, 80), (0, 7), (4, 4)])
def test_mcnemar_is_exact(gained: int, lost: int) -> None:
    candidate, baseline = paired_bits(gained, lost, 500)
    result = compare_paired(candidate, baseline)
    table = [[0, gained], [lost, 0]]
    assert result.p_value == pytest.approx(mcnemar(table, exact=True).pvalue)
    greater = compare_paired(candidate, baseline, alternative="greater")
    assert greater.p_value == pytest.approx(stats.binomtest(gained, gained + lost, alternative="greater").pvalue)
    assert (result.gained, result.lost) == (gained, lost)
    assert result.effect_size == pytest.approx(gained / (gained + lost) - 0.5)


@pytest.mark.parametrize(("gained", "lost", "n"), [(20, 3, 44), (9, 14, 300), (1, 8, 60)])
def test_the_score_interval_is_tangos(gained: int, lost: int, n: int) -> None:
    tango = infer(ScoreConfidence(*(np.asarray(float(count)) for count in (gained, lost, n))), level=0.95)
    result = compare_paired(*paired_bits(gained, lost, n))
    assert result.low <= tango.low < tango.high <= result.high
    for bound in (float(tango.low), float(tango.high)):
        rate = likeliest_loss_rate(gained, lost, n, bound)
        deviation = math.sqrt(n * (2.0 * rate + bound - bound**2))
        assert abs(gained - lost - n * bound) / deviation == pytest.approx(stats.norm.isf(0.025), abs=1e-4)


def likeliest_loss_rate(gained: int, lost: int, n: int, delta: float) -> float:
    """The maximum of the likelihood along "difference = delta", by brute force."""
    fit = optimize.minimize_scalar(
        lambda rate: (
            -stats.multinomial.logpmf(
                [gained, lost, n - gained - lost], n, [rate + delta, rate, 1.0 - 2.0 * rate - delta]
            )
        ),
        bounds=(max(0.0, -delta) + 1e-9, (1.0 - delta) / 2.0 - 1e-9),
        method="bounded",
        options={"xatol": 1e-12},
    )
    return float(fit.x)


def test_all_losses_give_wilsons_interval_on_the_side_that_decides() -> None:
    """On the other side Agresti and Min's is the wider."""
    low, high = proportion_confint(12, 60, method="wilson")
    result = compare_paired(*paired_bits(0, 12, 60))
    assert -result.low == pytest.approx(high)
    assert -result.high == pytest.approx(compare_paired(*paired_bits(0, 12, 60), method="agresti_min").high * -1)
    assert -result.high < low


def test_agresti_min_on_request() -> None:
    candidate, baseline = paired_bits(12, 5, 100)
    result = compare_paired(candidate, baseline, method="agresti_min")
    centre = 7.0 / 102.0
    half = stats.norm.isf(0.025) * math.sqrt((18.0 / 102.0 - centre**2) / 102.0)
    assert (result.low, result.high) == (pytest.approx(centre - half), pytest.approx(centre + half))
    assert result.p_value == pytest.approx(mcnemar([[0, 12], [5, 0]], exact=True).pvalue)


def test_t_is_scipys() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 80))
    for alternative in ("two-sided", "greater", "less"):
        ours = compare_paired(a, b, method="t", alternative=alternative)
        theirs = stats.ttest_rel(a, b, alternative=alternative)
        interval = theirs.confidence_interval(0.95)
        assert ours.p_value == pytest.approx(theirs.pvalue)
        assert (ours.low, ours.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert compare_paired(a, b, method="t").effect_size == pytest.approx(np.mean(a - b) / np.std(a - b, ddof=1))


def test_automatic_t_differs_from_scipys_only_by_the_skewness_term() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 1_000))
    ours, theirs = compare_paired(a, b), stats.ttest_rel(a, b)
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=0.01)
    assert ours.high - ours.low == pytest.approx(np.ptp(theirs.confidence_interval(0.95)), rel=0.01)


def test_bootstrap_follows_the_callers_generator() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.exponential(size=(2, 40))
    fixed = [compare_paired(a, b) for _ in range(2)]
    assert fixed[0] == fixed[1]
    drawn = [compare_paired(a, b, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1]
    assert drawn[0].low == pytest.approx(drawn[2].low, abs=0.05)


def test_bootstrap_agrees_with_a_plain_one() -> None:
    rng = np.random.default_rng(6)
    differences = rng.exponential(size=80) - 0.7
    drawn = rng.choice(differences, size=(40_000, 80))
    centred = drawn.mean(axis=1) - differences.mean()
    studentised = centred / (drawn.std(axis=1, ddof=1) / math.sqrt(80))
    error = differences.std(ddof=1) / math.sqrt(80)
    high = differences.mean() - np.quantile(studentised, 0.025) * error
    result = compare_paired(differences, np.zeros(80))
    assert result.high == pytest.approx(high, abs=0.02)
    # The lower bound is Student's, which lies further out on this side.
    assert result.low == pytest.approx(differences.mean() - stats.t.isf(0.025, 79) * error)


def test_equal_clusters_reduce_to_the_textbook_form() -> None:
    rng = np.random.default_rng(8)
    d = rng.normal(size=120) + np.repeat(rng.normal(size=20), 6)
    labels = np.repeat([f"passage {i}" for i in range(20)], 6)
    result = compare_paired(d, np.zeros(120), clusters=labels, method="t")
    sums = (d - d.mean()).reshape(20, 6).sum(axis=1)
    error = math.sqrt(20 / 19 * (sums**2).sum()) / 120
    assert result.standard_error == pytest.approx(error)
    assert result.df == pytest.approx(19.0)
    assert result.n_clusters == 20
    assert result.high - result.low == pytest.approx(2 * stats.t.isf(0.025, 19) * error)


def test_one_seeded_side_is_the_crossed_analysis_of_variance() -> None:
    rng = np.random.default_rng(9)
    runs = rng.normal(size=(5, 90)) + rng.normal(0, 0.3, size=(5, 1)) + rng.normal(size=90)
    base = rng.normal(size=90)
    result = compare_paired(runs, base, method="t")
    d = runs - base
    seed_square = 90 * d.mean(axis=1).var(ddof=1)
    example_square = 5 * d.mean(axis=0).var(ddof=1)
    residual = d - d.mean(axis=1, keepdims=True) - d.mean(axis=0) + d.mean()
    residual_square = (residual**2).sum() / (4 * 89)
    variance = max(seed_square + example_square - residual_square, example_square) / 450
    assert result.standard_error == pytest.approx(math.sqrt(variance))
    assert result.estimand == "recipe"
    assert (result.n_seeds_candidate, result.n_seeds_baseline) == (5, 1)
    # Uncertain seed variance makes the interval wider than a t with the plain Satterthwaite degrees of freedom.
    assert result.high - result.low > 2 * stats.t.isf(0.025, result.df) * result.standard_error * 0.99


def test_sides_may_have_different_seeds_and_more_seeds_narrow() -> None:
    rng = np.random.default_rng(10)
    few, many = [], []
    for _ in range(20):
        shift = rng.normal(0, 0.05, size=(12, 1))
        runs = (rng.random((12, 400)) < 0.7 + shift).astype(float)
        few.append(compare_paired(runs[:3], runs[6:8]))
        many.append(compare_paired(runs[:6], runs[6:]))
    assert (few[0].n_seeds_candidate, few[0].n_seeds_baseline) == (3, 2)
    few_width, many_width = (np.mean([r.high - r.low for r in results]) for results in (few, many))
    assert many_width < 0.8 * few_width


def test_one_seed_is_a_checkpoint_and_says_so() -> None:
    rng = np.random.default_rng(11)
    a, b = (rng.random((2, 100)) < 0.6).astype(float)
    recipe, checkpoint = compare_paired(a[None, :], b), compare_paired(a, b)
    assert recipe.method == checkpoint.method == "score"
    assert recipe.estimand == "checkpoint"
    assert "one seed" in recipe.reason
    assert "one seed" not in checkpoint.reason
    assert recipe.low == checkpoint.low


def test_one_sided_intervals_are_open() -> None:
    a, b = paired_bits(20, 8, 200)
    greater = compare_paired(a, b, alternative="greater")
    less = compare_paired(a, b, alternative="less")
    both = compare_paired(a, b, level=0.90)
    assert greater.high == math.inf
    assert less.low == -math.inf
    assert (greater.low, less.high) == (pytest.approx(both.low), pytest.approx(both.high))
    assert greater.p_value < 0.5 < less.p_value


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nan": ({"candidate": [0.1, math.nan, 0.3], "baseline": [0, 0, 0]}, "candidate: expected finite"),
    "inf": ({"candidate": [0, 0, 0], "baseline": [1, math.inf, 0]}, "baseline: expected finite"),
    "empty": ({"candidate": [], "baseline": []}, "got none"),
    "no seeds": ({"candidate": np.zeros((0, 5)), "baseline": np.zeros(5)}, "got none"),
    "one example": ({"candidate": [1], "baseline": [0]}, "one example has no variance"),
    "lengths": ({"candidate": [1, 0, 1], "baseline": [1, 0]}, "same examples, got 3 and 2"),
    "three axes": ({"candidate": np.zeros((2, 2, 2)), "baseline": np.zeros(2)}, "shape"),
    "text": ({"candidate": ["yes", "no"], "baseline": [1, 0]}, "expected numbers"),
    "one cluster": ({"candidate": [1, 0, 1], "baseline": [0, 0, 1], "clusters": [4, 4, 4]}, "one cluster"),
    "cluster shape": ({"candidate": [1, 0, 1], "baseline": [0, 0, 1], "clusters": [4, 5]}, "one label for each"),
    "cluster nan": ({"candidate": [1, 0], "baseline": [0, 0], "clusters": [1.0, math.nan]}, "NaN"),
    "cluster none": ({"candidate": [1, 0], "baseline": [0, 0], "clusters": ["a", None]}, "missing"),
    "level": ({"candidate": [1, 0], "baseline": [0, 0], "level": 95}, "level"),
    "one-sided level": ({"candidate": [1, 0], "baseline": [0, 0], "level": 0.4, "alternative": "less"}, "level"),
    "alternative": ({"candidate": [1, 0], "baseline": [0, 0], "alternative": "better"}, "alternative"),
    "margin": ({"candidate": [1, 0], "baseline": [0, 0], "margin": math.nan}, "margin"),
    "method": ({"candidate": [1, 0], "baseline": [0, 0], "method": "wilcoxon"}, "method"),
    "score": ({"candidate": [0.5, 0], "baseline": [0, 0], "method": "score"}, "0/1 scores"),
    "bootstrap seeds": (
        {"candidate": np.eye(12)[:2], "baseline": np.ones(12), "method": "bootstrap_t"},
        "one run on each side",
    ),
    "bootstrap few": ({"candidate": [0.5, 0], "baseline": [0, 0], "method": "bootstrap_t"}, "at least 10"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_compared_is_refused(name: str) -> None:
    case, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        compare_paired(**case)


def test_integers_and_booleans_are_scores() -> None:
    a, b = paired_bits(8, 2, 30)
    expected = compare_paired(a, b)
    assert compare_paired(a.astype(bool), b.astype(int)) == expected
    assert isinstance(expected, PairedComparison)


@pytest.mark.parametrize("method", ["auto", "t"])
def test_clusters_that_agree_by_chance_prove_nothing(method: Any) -> None:
    candidate, baseline = np.array([1, 0, 1, 0, 1, 1, 0, 0.0]), np.array([0, 1, 1, 0, 0, 1, 1, 0.0])
    result = compare_paired(candidate, baseline, clusters=np.repeat(["a", "b"], 4), method=method)
    assert result.delta == 0.0
    assert result.low < -0.1 < 0.1 < result.high
    assert result.p_value == 1.0
