"""Quantiles: exact coverage whatever the distribution, and no limit where there is none to be had."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlbaseline.stats import quantile_interval


@pytest.mark.parametrize(("n", "q"), [(10, 0.5), (24, 0.5), (24, 0.95), (72, 0.95), (300, 0.95), (368, 0.99), (9, 0.1)])
def test_limits_are_those_of_the_binomial_law(n: int, q: float) -> None:
    """By enumeration of how many values lie below the quantile."""
    found = quantile_interval(np.arange(1.0, n + 1), q)  # so that a limit is its own rank
    misses = [stats.binom.cdf(k - 1, n, q) for k in range(1, n + 1)]
    expected = max((k for k, miss in enumerate(misses, start=1) if miss <= 0.025), default=None)
    assert found.low == expected
    misses = [stats.binom.sf(k - 1, n, q) for k in range(1, n + 1)]
    assert found.high == min((k for k, miss in enumerate(misses, start=1) if miss <= 0.025), default=None)


@pytest.mark.parametrize("q", [1e-5, 0.5, 0.95, 0.99])
@pytest.mark.parametrize("level", [0.95, 1.0 - 1e-9])
def test_limits_among_very_many_values(q: float, level: float) -> None:
    n, tail = 200_000, (1.0 - level) / 2.0
    found = quantile_interval(np.arange(1.0, n + 1), q, level=level)
    low = stats.binom.ppf(tail, n, q)
    assert (found.low, found.high) == (low if low else None, stats.binom.isf(tail, n, q) + 1)


def test_coverage_does_not_depend_on_the_distribution() -> None:
    rng = np.random.default_rng(3)
    for draw, truth in ((rng.standard_cauchy, stats.cauchy.ppf(0.95)), (rng.exponential, stats.expon.ppf(0.95))):
        found = [quantile_interval(draw(size=120), 0.95) for _ in range(1_500)]
        covered = np.mean([f.low <= truth <= f.high for f in found])  # type: ignore[operator]
        assert 0.95 - 2.5 * 0.0056 <= covered <= 0.985


def test_so_few_values_bound_no_tail() -> None:
    assert quantile_interval(np.arange(71.0), 0.95).high is None
    enough = quantile_interval(np.arange(72.0), 0.95)
    assert (enough.high, enough.n_to_bound) == (71.0, 72)
    alone = quantile_interval([0.5], 0.99)
    assert (alone.value, alone.low, alone.high, alone.n_to_bound) == (0.5, 0.5, None, 368)  # it lies below with 99%
    assert quantile_interval(np.arange(5.0), 0.5).n_to_bound == 6


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400),
    st.floats(0.01, 0.99),
    st.sampled_from([0.8, 0.9, 0.95, 0.99]),
)
def test_the_value_lies_within_its_limits_and_they_widen_with_the_level(
    values: list[float], q: float, level: float
) -> None:
    found, wider = quantile_interval(values, q, level=level), quantile_interval(values, q, level=0.995)
    assert found.low is None or found.low <= found.value
    assert found.high is None or found.high >= found.value
    assert wider.low is None or (found.low is not None and wider.low <= found.low)
    assert wider.high is None or (found.high is not None and wider.high >= found.high)
    assert (found.n >= found.n_to_bound) == (found.low is not None and found.high is not None)


@pytest.mark.parametrize(
    ("values", "q", "level"), [([], 0.5, 0.95), ([np.nan], 0.5, 0.95), ([1.0], 1.0, 0.95), ([1.0], 0.5, 0.0)]
)
def test_bad_input_is_named(values: list[float], q: float, level: float) -> None:
    with pytest.raises(ValueError, match="must"):
        quantile_interval(values, q, level=level)
