"""Comparisons without common examples."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from mlbaseline.stats import (
    PairedComparison,
    UnpairedComparison,
    compare_published,
    compare_unpaired,
    estimate_mean,
)


def bits(right: int, n: int) -> np.ndarray:
    return np.concatenate([np.ones(right), np.zeros(n - right)])


def test_two_proportions_are_newcombes_hybrid_score_of_slightly_wider_intervals() -> None:
    ours = compare_unpaired(bits(56, 70), bits(48, 80))
    low, high = confint_proportions_2indep(56, 70, 48, 80, method="newcomb", compare="diff")
    assert ours.low <= low and ours.high >= high
    assert (ours.low, ours.high) == (pytest.approx(low, abs=0.004), pytest.approx(high, abs=0.004))
    assert isinstance(ours, UnpairedComparison)
    assert not isinstance(ours, PairedComparison)
    assert ours.reason.startswith("unpaired")


def test_two_means_are_close_to_welch() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.3, 1, size=150), rng.normal(0, 2, size=220)
    ours, welch = compare_unpaired(a, b), stats.ttest_ind(a, b, equal_var=False)
    interval = welch.confidence_interval()
    assert ours.low == pytest.approx(interval.low, abs=0.03)
    assert ours.high == pytest.approx(interval.high, abs=0.03)
    assert ours.p_value == pytest.approx(welch.pvalue, abs=0.02)


def test_published_score_with_n_is_wider_than_a_constant() -> None:
    ours = bits(220, 300)
    constant, sampled = compare_published(ours, 0.71), compare_published(ours, 0.71, n=500)
    given = compare_published(ours, 0.71, standard_error=math.sqrt(0.71 * 0.29 / 500))
    alone = estimate_mean(ours)
    low, high = alone.low, alone.high
    assert (constant.low, constant.high) == (pytest.approx(low - 0.71), pytest.approx(high - 0.71))
    assert constant.baseline_error == "ignored"
    assert sampled.high - sampled.low > constant.high - constant.low
    assert sampled.low == pytest.approx(given.low, abs=2e-3)
    # Rule 10: s0(1 − s0)/n0 added to the variance.
    theirs = 0.71 * 0.29 / 500
    mean = 220 / 300
    half = 1.96 * math.sqrt(mean * (1 - mean) / 300 + theirs)
    assert sampled.high - sampled.low == pytest.approx(2 * half, rel=0.02)
    assert (sampled.n_baseline, constant.n_baseline) == (500, None)


def test_p_values_agree_with_intervals() -> None:
    rng = np.random.default_rng(1)
    for _ in range(40):
        a, b = bits(int(rng.integers(0, 60)), 60), rng.random(50)
        margin = float(rng.normal(0, 0.2))
        for alternative in ("two-sided", "greater", "less"):
            result = compare_unpaired(a, b, margin=margin, alternative=alternative)
            outside = margin < result.low or margin > result.high
            assert outside == (result.p_value <= 0.05)


def test_equal_and_constant_scores() -> None:
    same = compare_unpaired(bits(30, 50), bits(30, 50))
    assert same.p_value == 1.0
    assert same.low < 0.0 < same.high
    constant = compare_unpaired(np.full(40, 0.3), np.full(50, 0.3))
    assert constant.delta == pytest.approx(0.0)
    assert constant.low < -0.05 < 0.05 < constant.high
    perfect = compare_published(np.ones(100), 1.0)
    assert perfect.low == pytest.approx(-3.84 / 103.84, abs=1e-3)


def test_clusters_and_seeds_widen() -> None:
    rng = np.random.default_rng(2)
    values = np.repeat(rng.normal(size=40), 5)
    other = rng.normal(size=200)
    plain = compare_unpaired(values, other)
    clustered = compare_unpaired(values, other, candidate_clusters=np.repeat(np.arange(40), 5))
    assert clustered.high - clustered.low > 1.3 * (plain.high - plain.low)
    runs = (rng.random((3, 200)) < np.array([[0.6], [0.7], [0.8]])).astype(float)
    recipe, checkpoint = compare_published(runs, 0.7), compare_published(runs[1], 0.7)
    assert recipe.high - recipe.low > checkpoint.high - checkpoint.low


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"value": math.nan}, "finite"),
        ({"value": 0.7, "n": 100, "standard_error": 0.1}, "one of them"),
        ({"value": 0.7, "standard_error": 0.0}, "positive"),
        ({"value": 70.0, "n": 100}, "within"),
        ({"value": 0.7, "n": 0}, "at least 1"),
        ({"value": 0.7, "clusters": [1] * 20}, "clusters: .*one cluster"),
    ],
)
def test_refusals(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare_published(bits(12, 20), **arguments)


@pytest.mark.slow
def test_coverage_of_two_small_proportions() -> None:
    rng = np.random.default_rng(3)
    drawn = Counter(zip(rng.binomial(60, 0.9, 400).tolist(), rng.binomial(50, 0.8, 400).tolist(), strict=True))
    covered = 0
    for (right, other_right), times in drawn.items():
        result = compare_unpaired(np.arange(60) < right, np.arange(50) < other_right)
        covered += times * (result.low <= 0.1 <= result.high)
    assert 0.92 <= covered / 400 <= 0.985
