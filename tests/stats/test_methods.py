"""One chooser: a pair, a slice, a single score and a contrast of a joint table are inferred alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlbaseline.stats import compare_paired, compare_unpaired, estimate_mean, joint_intervals
from mlbaseline.stats.confidence import infer
from mlbaseline.stats.contrast_data import contrast_data
from mlbaseline.stats.methods import choose_methods
from mlbaseline.stats.paired.binary import ProportionConfidence
from mlbaseline.stats.summaries import summarise

RNG = np.random.default_rng(5)
BASE = RNG.integers(2, 5, 400) / 4
KINDS = {
    "0/1": (RNG.random((400, 2)) < [0.7, 0.65]).astype(float),
    "equal": np.repeat((RNG.random((400, 1)) < 0.5).astype(float), 2, axis=1),
    "ordinal": np.column_stack([BASE - (RNG.random(400) < 0.05) * 0.25, BASE]),
    "normal": RNG.normal(size=(400, 2)),
    "lognormal": RNG.lognormal(size=(400, 2)),
    "one shift": np.column_stack([BASE + 0.5, BASE]),
}
CLUSTERS = {"independent": None, "unequal clusters": np.sort((RNG.random(400) ** 3 * 40).astype(int))}


@pytest.mark.parametrize("clusters", CLUSTERS.values(), ids=list(CLUSTERS))
@pytest.mark.parametrize("scores", KINDS.values(), ids=list(KINDS))
def test_a_joint_table_its_slices_and_pairs_agree(scores: np.ndarray, clusters: np.ndarray | None) -> None:
    slices = np.random.default_rng(6).random((400, 3)) < [0.5, 0.2, 0.05]
    joint = joint_intervals(scores, [[1, -1], [1, 0]], slices=slices, clusters=clusters, n_resamples=9_999)
    for s, rows in enumerate([np.ones(400, dtype=bool), *slices.T]):
        labels = None if clusters is None else clusters[rows]
        pair = compare_paired(scores[rows, 0], scores[rows, 1], clusters=labels)
        single = estimate_mean(scores[rows, 0], clusters=labels)
        alone: Any
        for column, alone in enumerate((pair, single)):
            # Resamples differ, formulas do not.
            tolerance = 0.05 * (alone.high - alone.low) if alone.method == "bootstrap_t" else 1e-9
            assert joint.kind[s, column] == alone.method
            np.testing.assert_allclose(
                [joint.low[s, column], joint.high[s, column]], [alone.low, alone.high], atol=tolerance, rtol=0
            )
        if pair.method != "bootstrap_t":
            p = joint.p_values(0.01, "greater")[s, 0]
            alone_p = compare_paired(*scores[rows].T, clusters=labels, margin=0.01, alternative="greater").p_value
            assert p == pytest.approx(alone_p, abs=1e-9)


def test_single_proportions_have_the_wider_of_two_intervals_wherever_they_are_asked_for() -> None:
    from scipy import optimize, stats
    from statsmodels.stats.proportion import proportion_confint

    def mid_p(successes: int, n: int, rate: float) -> float:
        return float(stats.binom.sf(successes, n, rate) + stats.binom.pmf(successes, n, rate) / 2.0)

    for successes, n in ((0, 40), (3, 50), (50, 80), (97, 100), (40, 40)):
        scores = np.repeat([1.0, 0.0], [successes, n - successes])
        low, high = proportion_confint(successes, n, method="wilson")
        if successes > 0:
            low = min(low, optimize.brentq(lambda p: mid_p(successes, n, p) - 0.025, 1e-9, 1.0 - 1e-9))  # noqa: B023
        if successes < n:
            high = max(high, optimize.brentq(lambda p: mid_p(successes, n, p) - 0.975, 1e-9, 1.0 - 1e-9))  # noqa: B023
        joint = joint_intervals(scores[:, None], [[1.0]], n_resamples=100)
        single = estimate_mean(scores)
        np.testing.assert_allclose([joint.low[0, 0], joint.high[0, 0]], [low, high], atol=1e-8)
        np.testing.assert_allclose([single.low, single.high], [low, high], atol=1e-8)
        z = (successes / n - 0.5) / np.sqrt(0.25 / n)
        expected = max(stats.norm.cdf(z), 1.0 - mid_p(successes, n, 0.5))
        assert joint.p_values(0.5, "less")[0, 0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", [50, 200, 1_000])
def test_single_proportions_hold_their_level_at_every_rate(n: int) -> None:
    from scipy import stats

    successes, rates = np.arange(n + 1.0), np.linspace(0.005, 0.995, 100)
    found = infer(ProportionConfidence(successes, np.full(n + 1, float(n))), level=0.95)
    chance = stats.binom.pmf(successes[:, None], n, rates)
    below, above = (
        (chance * missed).sum(axis=0) for missed in (found.low[:, None] > rates, found.high[:, None] < rates)
    )
    assert (1.0 - below - above).min() >= 0.93
    assert max(below.max(), above.max()) <= 0.045


def test_a_mean_within_a_range_does_not_leave_it() -> None:
    rng = np.random.default_rng(7)
    rare = (rng.random(60) < 0.05) * rng.random(60)
    alone = estimate_mean(rare)
    assert alone.method == "sparse_t"
    assert alone.low < alone.value < alone.high < 0.3
    twice = compare_unpaired(rare, rare[::-1])
    assert twice.low < 0 < twice.high


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.random.default_rng(0).normal(size=1_000), "t"),
        (np.random.default_rng(0).normal(size=150), "bootstrap_t"),
        (np.random.default_rng(0).lognormal(size=1_000), "bootstrap_t"),
        (np.random.default_rng(0).lognormal(size=2_500), "t"),
        (np.random.default_rng(0).normal(size=8), "t"),
    ],
)
def test_the_bootstrap_is_for_few_examples_or_skewed_ones(values: np.ndarray, expected: str) -> None:
    summary = summarise(contrast_data(np.column_stack([values, np.zeros(len(values))]), np.array([[1.0, -1.0]])))
    assert choose_methods(summary)[0, 0] == expected


def test_a_warning_where_few_examples_carry_the_variance() -> None:
    rng = np.random.default_rng(1)
    heavy, light = rng.lognormal(0, 2, 500), rng.normal(size=500)
    assert "few examples carry the variance" in estimate_mean(heavy).reason
    assert "carry" not in estimate_mean(light).reason


def test_the_tail_of_the_bootstrap_is_carried_on_consistently() -> None:
    """A bound far beyond the resamples excludes a margin exactly where the p-value says so."""
    rng = np.random.default_rng(2)
    values, zeros = rng.exponential(size=60), np.zeros(60)
    for level in (0.99, 0.9995, 0.999999):
        result = compare_paired(values, zeros, level=level)
        assert result.method == "bootstrap_t"
        assert result.low <= compare_paired(values, zeros, level=level, method="t").low
        for step, outside in ((-1e-6, True), (1e-6, False)):
            p = compare_paired(values, zeros, level=level, margin=result.low + step).p_value
            assert (p <= 1 - level) is outside
