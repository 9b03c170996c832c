"""Confidence sequences of means: against quadrature, and their error over all looks."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from scipy import integrate, stats

from mlbaseline.stats import compare_paired
from mlbaseline.stats.sequential import mean_difference


def test_the_e_value_is_a_mixture_over_normal_drifts() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.3, 1, 80), rng.normal(0, 2, 120)
    alpha, optimal_n = 0.05, 500
    variance = a.var(ddof=1) / 80 + b.var(ddof=1) / 120
    total, v = 200 * (a.mean() - b.mean()), 200**2 * variance
    spent = 2 * math.log(1 / alpha)
    prior = stats.norm(0, 1 / math.sqrt(optimal_n * v / 200 / (spent + math.log1p(spent))))
    reach = 12 * prior.std()

    def at(drift: float) -> float:
        return float(prior.pdf(drift) * math.exp(drift * total - drift**2 * v / 2))

    for alternative, low, high, weight in (
        ("two-sided", -reach, reach, 1),
        ("greater", 0, reach, 2),
        ("less", -reach, 0, 2),
    ):
        expected = weight * integrate.quad(at, low, high, epsabs=0, limit=200)[0]
        result = mean_difference(a, b, optimal_n=optimal_n, alpha=alpha, alternative=alternative)  # type: ignore[arg-type]
        assert result.log_e == pytest.approx(math.log(expected), abs=1e-6)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("paired", [False, True])
def test_a_limit_is_where_the_e_value_rejects(alternative: str, paired: bool) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.2, 1, 150), rng.normal(0, 1, 150)
    options = {"optimal_n": 400, "alpha": 0.1, "alternative": alternative, "paired": paired}
    result = mean_difference(a, b, **options)  # type: ignore[arg-type]
    for limit in (result.low, result.high):
        if math.isfinite(limit):
            at = mean_difference(a, b, margin=limit, **options)  # type: ignore[arg-type]
            assert at.log_e == pytest.approx(math.log(1 / 0.1), abs=1e-6)


@pytest.mark.parametrize(
    ("law", "paired"), [("bernoulli", False), ("exponential", False), ("exponential", True), ("bernoulli", True)]
)
def test_the_truth_stays_inside_at_all_looks(law: str, paired: bool) -> None:
    """250 streams, looked at every 50 from 100 on; intervals of single looks would exclude it in a third."""
    rng, missed = np.random.default_rng(2), []
    for _ in range(250):
        draw = partial(rng.binomial, 1, 0.2) if law == "bernoulli" else rng.exponential
        a, b = draw(size=2_000), draw(size=2_000)
        results = [mean_difference(a[:n], b[:n], optimal_n=1_000, paired=paired) for n in range(100, 2_001, 50)]
        missed.append(not all(result.low <= 0 <= result.high for result in results))
    assert np.mean(missed) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 250)


def test_it_is_wider_than_a_single_look_but_not_by_much() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=1_000), rng.normal(size=1_000)
    once, always = compare_paired(a, b), mean_difference(a, b, optimal_n=1_000, paired=True)
    assert 1.2 < (always.high - always.low) / (once.high - once.low) < 1.8


def test_the_cap_and_a_stream_without_spread() -> None:
    assert mean_difference([1.0, 9.0], [1.0, 3.0], optimal_n=10, cap=3.0).delta == 0.0
    still = mean_difference([1.0, 1.0], [1.0, 1.0], optimal_n=10)
    assert (still.low, still.high, still.log_e) == (-math.inf, math.inf, 0.0)


@pytest.mark.parametrize(
    "change",
    [
        {"optimal_n": 1},
        {"alpha": 0.0},
        {"margin": math.nan},
        {"alternative": "both"},
        {"candidate": [1.0]},
        {"candidate": [1.0, math.nan]},
        {"paired": True, "candidate": [1.0, 2.0, 3.0]},
    ],
)
def test_bad_input_is_refused(change: dict[str, object]) -> None:
    arguments = {"candidate": [1.0, 2.0], "baseline": [0.0, 1.0], "optimal_n": 10, **change}
    with pytest.raises(ValueError, match="expected"):
        mean_difference(**arguments)  # type: ignore[arg-type]
