"""The inversion of a confidence, against quadrature and closed forms."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, special, stats

from mlbaseline.stats.confidence import MeanConfidence, RuleOfThree, SeedVariance, infer
from mlbaseline.stats.paired.binary import ScoreConfidence


def mean_pivot(estimate: float, variance: float, df: float, seeds: tuple[float, float, float] | None) -> MeanConfidence:
    arrays = [np.asarray(x) for x in (estimate, variance, df, 0.0, 0.0)]
    return MeanConfidence(*arrays, seeds=None if seeds is None else SeedVariance(*(np.asarray(x) for x in seeds)))


@pytest.mark.parametrize("df_seeds", [1.0, 2.0, 4.5, 9.0])
@pytest.mark.parametrize("residual", [0.0, 0.4])
@pytest.mark.parametrize("estimate", [1.0, 4.0])
def test_seed_uncertainty_is_the_average_over_chi_squared(df_seeds: float, residual: float, estimate: float) -> None:
    def tail(x: float) -> float:
        variance = 1.0 + max(0.0, df_seeds / x - residual)
        return float(special.stdtr(200.0, -estimate / math.sqrt(variance)) * stats.chi2.pdf(x, df_seeds))

    edges = [0.0, 1e-9, 1e-6, 1e-3, 0.1, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0]
    expected = sum(integrate.quad(tail, a, b, epsabs=1e-13)[0] for a, b in itertools.pairwise(edges))
    ours = mean_pivot(estimate, 1.0, 200.0, (1.0, residual, df_seeds)).p_greater(0.0)
    assert float(ours) == pytest.approx(expected, rel=5e-3)


def test_many_seeds_are_a_plain_t() -> None:
    many = infer(mean_pivot(0.3, 0.01, 80.0, (0.02, 0.0, 1e6)), level=0.95)
    plain = infer(mean_pivot(0.3, 0.03, 80.0, None), level=0.95)
    assert float(many.p_value) == pytest.approx(float(plain.p_value), rel=0.01)
    assert float(many.high) == pytest.approx(float(plain.high), rel=1e-2)


def test_p_values_reach_far_into_the_tail() -> None:
    assert float(infer(mean_pivot(10.0, 1.0, 1e9, None), level=0.95).p_value) == pytest.approx(
        2.0 * stats.norm.sf(10.0), rel=1e-6
    )


def test_arrays_and_scalars_give_the_same_answers() -> None:
    gained, lost = np.array([9.0, 3.0, 0.0, 40.0]), np.array([2.0, 3.0, 5.0, 60.0])
    together = infer(ScoreConfidence(gained, lost, np.asarray(200.0)), level=0.9, margin=0.02)
    for i in range(4):
        alone = infer(ScoreConfidence(gained[i], lost[i], np.asarray(200.0)), level=0.9, margin=0.02)
        for field in ("low", "high", "p_value"):
            assert float(getattr(alone, field)) == pytest.approx(float(getattr(together, field)[i]), abs=1e-12)


def test_unseen_share_is_the_rule_of_three() -> None:
    confidence = RuleOfThree(np.asarray(0.0), np.asarray(1.0), np.asarray(1.0), np.asarray(200.0))
    answer = infer(confidence, level=0.95)
    assert float(answer.high) == pytest.approx(0.0183, abs=1e-4)
    # Clopper and Pearson's upper limit for 0 of 200.
    assert float(answer.high) == pytest.approx(stats.binomtest(0, 200).proportion_ci().high, abs=1e-9)
