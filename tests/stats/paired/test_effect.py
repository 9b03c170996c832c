"""Effect sizes and their intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mlbaseline.stats import cohens_d, cohens_g, probability_of_improvement


def test_cohens_d_interval_inverts_the_noncentral_t() -> None:
    d = np.random.default_rng(0).normal(0.4, 1.0, size=30)
    effect = cohens_d(d, level=0.9)
    assert effect.value == pytest.approx(d.mean() / d.std(ddof=1))
    t = effect.value * math.sqrt(30)
    assert stats.nct.sf(t, 29, effect.low * math.sqrt(30)) == pytest.approx(0.05, abs=1e-6)
    assert stats.nct.cdf(t, 29, effect.high * math.sqrt(30)) == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("n", [2, 5, 900, 1_100, 50_000])
@pytest.mark.parametrize("shift", [-3.0, 0.0, 0.2])
def test_cohens_d_interval_at_any_size(n: int, shift: float) -> None:
    effect = cohens_d(np.random.default_rng(n).normal(shift, 1.0, size=n))
    assert effect.low < effect.value < effect.high
    if n > 500:
        half = 1.96 * math.sqrt(1 / n + effect.value**2 / (2 * n))
        assert effect.high - effect.low == pytest.approx(2 * half, rel=0.02)


def test_cohens_d_without_spread() -> None:
    assert cohens_d(np.zeros(5)).value == 0.0
    shifted = cohens_d(np.full(5, 0.1))
    assert shifted.value is None
    assert (shifted.low, shifted.high) == (-math.inf, math.inf)
    with pytest.raises(ValueError, match="at least two"):
        cohens_d([0.3])
    with pytest.raises(ValueError, match="finite"):
        cohens_d([0.3, math.nan])


@pytest.mark.parametrize(("gained", "lost"), [(12, 3), (5, 0), (6, 0), (0, 6), (8, 8), (40, 22)])
def test_cohens_g_agrees_with_mcnemar(gained: int, lost: int) -> None:
    effect = cohens_g(gained, lost)
    assert effect.value == pytest.approx(gained / (gained + lost) - 0.5)
    rejected = stats.binomtest(gained, gained + lost).pvalue <= 0.05
    assert rejected == (effect.low > 0.0 or effect.high < 0.0)
    assert (effect.odds_low > 1.0) == (effect.low > 0.0)
    if lost:
        assert effect.odds == pytest.approx(gained / lost)


def test_cohens_g_without_a_discordant_pair() -> None:
    effect = cohens_g(0, 0)
    assert (effect.value, effect.low, effect.high) == (0.0, -0.5, 0.5)
    assert effect.odds is None
    assert effect.odds_high == math.inf
    with pytest.raises(ValueError, match="counts"):
        cohens_g(-1, 3)


def test_probability_of_improvement() -> None:
    better = probability_of_improvement([0.71, 0.72, 0.74], [0.60, 0.61, 0.66])
    assert better.value == 1.0
    assert 0.3 < better.low < better.high == 1.0
    mixed, mirrored = (
        probability_of_improvement(*pair) for pair in (([1, 2, 3, 4], [2, 2, 5]), ([2, 2, 5], [1, 2, 3, 4]))
    )
    u = stats.mannwhitneyu([1, 2, 3, 4], [2, 2, 5]).statistic
    assert mixed.value == pytest.approx(u / 12)
    assert (mixed.low, mixed.high) == (pytest.approx(1 - mirrored.high), pytest.approx(1 - mirrored.low))
    with pytest.raises(ValueError, match="at least two runs"):
        probability_of_improvement([0.7], [0.6, 0.5])


def test_probability_of_improvement_covers() -> None:
    rng = np.random.default_rng(1)
    truth = stats.norm.cdf(0.8 / math.sqrt(2))
    intervals = [probability_of_improvement(rng.normal(0.8, 1, 8), rng.normal(0, 1, 8)) for _ in range(600)]
    assert 0.93 <= np.mean([i.low <= truth <= i.high for i in intervals]) <= 0.99
