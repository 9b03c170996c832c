"""Confidence sequences of means: intervals that hold at all times together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from mlbaseline.stats.types import Alternative, Array


@dataclass(frozen=True)
class SequentialMean:
    """A mean difference with an interval and an e-value that are valid at every look.

    Attributes:
        delta: Mean of the candidate minus mean of the baseline.
        low: Lower limit of the confidence sequence; −∞ for the alternative ``less``.
        high: Upper limit of the confidence sequence; ∞ for the alternative ``greater``.
        alpha: Probability that the sequence ever excludes the true difference.
        log_e: Natural logarithm of the e-value against "the difference is ``margin``" (or at most, or at least).
        n: Observations of both sides together, or pairs.
    """

    delta: float
    low: float
    high: float
    alpha: float
    log_e: float
    n: int


def mean_difference(
    candidate: ArrayLike,
    baseline: ArrayLike,
    *,
    optimal_n: int,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    margin: float = 0.0,
    paired: bool = False,
    cap: float | None = None,
) -> SequentialMean:
    """Estimate a difference of means with a confidence sequence.

    With V = t² · SE² after t observations, the two-sided limits are
    Δ ± sqrt((V + r)(ln(1 + V/r) + 2 ln(1/α)))/t, from a normal mixture over the size of the effect (Robbins 1970;
    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central limit theory and asymptotic confidence
    sequences"). One-sided, the mixture is half-normal. The sequence is asymptotic: start looking at some 50
    observations a side, and cap heavy tails.

    Args:
        candidate: Values so far, shape (n,), in their order of arrival or any other.
        baseline: Values so far, shape (m,); with ``paired``, of the same n units.
        optimal_n: Number of observations (of both sides, or pairs) at which the interval is to be narrowest, fixed
            beforehand: r = V_opt/(2 ln(1/α) + ln(1 + 2 ln(1/α))).
        alpha: Probability of ever excluding the true difference, in (0, 1).
        alternative: ``greater`` and ``less`` give one limit and a one-sided e-value.
        margin: Difference under the null hypothesis of the e-value.
        paired: Whether the two sides are values of the same units.
        cap: Largest value that counts, such as the baseline's 99.9 % quantile; larger ones are set to it.

    Returns:
        The difference with its limits and e-value. Without any spread so far nothing is excluded and the e-value is 1.

    Raises:
        ValueError: If a side has fewer than two finite values, pairs do not match, or a parameter is out of range.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> result = mean_difference(rng.normal(0.5, 1, 400), rng.normal(0.0, 1, 400), optimal_n=800)
        >>> result.low < 0.5 < result.high
        True
    """
    ours, theirs = _values(candidate, "candidate", cap), _values(baseline, "baseline", cap)
    if optimal_n < 2 or not 0.0 < alpha < 1.0 or not math.isfinite(margin):
        raise ValueError(
            f"expected optimal_n ≥ 2, alpha in (0, 1) and a finite margin, got {optimal_n}, {alpha!r}, {margin!r}"
        )
    if alternative not in ("two-sided", "greater", "less"):
        raise ValueError(f"alternative: expected two-sided, greater or less, got {alternative!r}")
    if paired and len(ours) != len(theirs):
        raise ValueError(f"paired: expected as many values on both sides, got {len(ours)} and {len(theirs)}")
    delta = float(ours.mean() - theirs.mean())
    if paired:
        t, variance = len(ours), float((ours - theirs).var(ddof=1)) / len(ours)
    else:
        t = len(ours) + len(theirs)
        variance = float(ours.var(ddof=1)) / len(ours) + float(theirs.var(ddof=1)) / len(theirs)
    if variance == 0.0:
        return SequentialMean(delta, -math.inf, math.inf, alpha, 0.0, t)
    spent = 2.0 * math.log(1.0 / alpha)
    # Scaled by V, the process has variance 1 now and r/V of prior precision.
    r = optimal_n / t / (spent + math.log1p(spent))
    error, sides = math.sqrt(variance), {"two-sided": 0.0, "greater": 1.0, "less": -1.0}[alternative]
    z = (delta - margin) / error
    if sides == 0.0:
        half = error * math.sqrt((1.0 + r) * (math.log1p(1.0 / r) + spent))
        return SequentialMean(delta, delta - half, delta + half, alpha, _log_mixture(z, r), t)
    half = error * _one_sided_width(alpha, r)
    low, high = (delta - half, math.inf) if sides > 0 else (-math.inf, delta + half)
    return SequentialMean(delta, low, high, alpha, _log_half_mixture(sides * z, r), t)


def _log_mixture(z: float, r: float) -> float:
    """log of the N(0, 1/r) mixture over drifts of exp(λz − λ²/2)."""
    return 0.5 * math.log(r / (1.0 + r)) + z * z / (2.0 * (1.0 + r))


def _log_half_mixture(z: float, r: float) -> float:
    """Compute the same over drifts above 0 only."""
    return _log_mixture(z, r) + math.log(2.0) + float(scipy.special.log_ndtr(z / math.sqrt(1.0 + r)))


def _one_sided_width(alpha: float, r: float) -> float:
    """Find the z at which the one-sided e-value reaches 1/α."""
    target, high = math.log(1.0 / alpha), 1.0
    while _log_half_mixture(high, r) < target:
        high *= 2.0
    return float(scipy.optimize.brentq(lambda z: _log_half_mixture(z, r) - target, 0.0, high))


def _values(values: ArrayLike, name: str, cap: float | None) -> Array:
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or len(array) < 2 or not np.isfinite(array).all():
        raise ValueError(f"{name}: expected at least two finite numbers of shape (n,), got shape {array.shape}")
    return array if cap is None else np.minimum(array, cap)
