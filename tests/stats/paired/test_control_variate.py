"""The baseline's further scores make a comparison more precise, and leave it honest."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from mlbaseline.stats import compare_paired, compare_with_control_variate

N, BOTH = 1_000, 100


def draw(rng: np.random.Generator, shared: float) -> tuple[np.ndarray, np.ndarray]:
    """0/1 scores with true means 0.7 and 0.6, known for the candidate on the first; `shared`: of their difficulty."""
    difficulty = rng.random(N)
    sides = []
    for rate in (0.7, 0.6):
        own = rng.random(N)
        sides.append((np.where(rng.random(N) < shared, difficulty, own) < rate).astype(float))
    return np.where(np.arange(N) < BOTH, sides[0], np.nan), sides[1]


@pytest.mark.parametrize("shared", [0.2, 0.8])
def test_coverage_and_gain(shared: float) -> None:
    rng, rows = np.random.default_rng(1), []
    for _ in range(400):
        candidate, baseline = draw(rng, shared)
        found = compare_with_control_variate(candidate, baseline)
        plain = compare_paired(candidate[:BOTH], baseline[:BOTH], method="t")
        rows.append((found.delta, found.low <= 0.1 <= found.high, found.high - found.low, plain.high - plain.low))
    delta, covered, width, plain_width = np.mean(rows, axis=0)
    assert delta == pytest.approx(0.1, abs=0.012)
    assert 0.925 <= covered <= 0.985
    assert width < plain_width * (0.85 if shared == 0.2 else 1.02)


def test_the_estimate_is_that_of_regression_where_the_others_are_many() -> None:
    rng = np.random.default_rng(2)
    baseline = rng.normal(size=100_000)
    candidate = np.where(np.arange(100_000) < 500, 0.3 * baseline + rng.normal(0.2, 1.0, 100_000), np.nan)
    found = compare_with_control_variate(candidate, baseline)
    design = sm.add_constant(baseline[:500] - baseline.mean())
    fit = sm.OLS(candidate[:500] - baseline[:500], design).fit()
    assert found.delta == pytest.approx(fit.params[0], abs=0.1 * fit.bse[0])
    assert found.standard_error == pytest.approx(fit.bse[0], rel=0.03)


def test_without_further_examples_it_is_the_paired_difference() -> None:
    rng = np.random.default_rng(3)
    candidate, baseline = rng.normal(size=(2, 60))
    found, plain = compare_with_control_variate(candidate, baseline), compare_paired(candidate, baseline, method="t")
    assert (found.weight, found.delta) == (0.0, pytest.approx(plain.delta))
    assert found.low == pytest.approx(plain.low, abs=0.01)


def test_what_is_missing_must_be_the_candidates() -> None:
    with pytest.raises(ValueError, match="NaN is for the candidate alone"):
        compare_with_control_variate(np.ones(20), np.r_[np.nan, np.ones(19)])
    with pytest.raises(ValueError, match="at least 10"):
        compare_with_control_variate(np.r_[np.ones(9), np.full(20, np.nan)], np.ones(29))
    with pytest.raises(ValueError, match="one shape"):
        compare_with_control_variate(np.ones(20), np.ones(19))
