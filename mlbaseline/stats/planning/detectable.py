"""What a confidence distribution detects: the power of the very method that infers, few seeds and clusters included."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy

from mlbaseline.stats.confidence import MeanConfidence, SeedVariance
from mlbaseline.stats.types import Alternative, Array

_NODES = 40
_NORMAL_FROM_DF = 1_000.0


@dataclass(frozen=True)
class Precision:
    """How precisely a mean difference is known.

    Attributes:
        variance: Variance of the mean over examples.
        df: Degrees of freedom of its estimate.
        seeds: The seeds' part, with its expected values; None for checkpoints.
    """

    variance: float
    df: float
    seeds: SeedVariance | None = None

    @property
    def standard_error(self) -> float:
        """Of the mean difference, seeds included."""
        seeds = 0.0 if self.seeds is None else float(self.seeds.estimate)
        return math.sqrt(self.variance + seeds)


def tail_of(level: float, alternative: Alternative) -> float:
    """Error rate on the side that is to be shown."""
    return (1.0 - level) / (2.0 if alternative == "two-sided" else 1.0)


def detectable(precision: Precision, tail: float, power: float) -> float:
    """Find the smallest true distance from a margin whose bound at ``tail`` excludes it with probability ``power``.

    A bound lies the half-width of the interval away from the estimate, and the half-width varies from sample to sample.
    Over examples alone that is the noncentral t distribution. With seeds the half-widths are those of `MeanConfidence`
    at 40 equally likely values of the seeds' observed variance, and the estimate is normal.
    """
    error = precision.standard_error
    if error == 0.0:
        return 0.0
    if precision.seeds is None:
        return error * _noncentrality(float(precision.df), tail, power)
    widths = _half_widths(precision, tail)

    def missing(distance: float) -> float:
        return float(scipy.special.ndtr((distance - widths) / error).mean()) - power

    high = float(widths.max()) + error * max(1.0, float(scipy.special.ndtri(power)) + 1.0)
    return float(scipy.optimize.brentq(missing, min(0.0, float(widths.min()) - 40.0 * error), high, xtol=1e-6 * error))


def _noncentrality(df: float, tail: float, power: float) -> float:
    """Solve for the noncentrality at which t exceeds its ``tail`` quantile with probability ``power``."""
    if df > _NORMAL_FROM_DF:
        return float(-scipy.special.ndtri(tail) + scipy.special.ndtri(power))
    critical = float(-scipy.special.stdtrit(df, tail))

    def missing(noncentrality: float) -> float:
        return 1.0 - float(scipy.special.nctdtr(df, noncentrality, critical)) - power

    high = critical + 2.0
    while missing(high) < 0.0 and high < 1e4:
        high *= 1.5
    return float(scipy.optimize.brentq(missing, 0.0, high)) if missing(0.0) < 0.0 else 0.0


def _half_widths(precision: Precision, tail: float) -> Array:
    seeds = precision.seeds
    assert seeds is not None
    df = float(seeds.df)
    shares = (np.arange(_NODES) + 0.5) / _NODES
    observed = float(seeds.observed) * 2.0 * scipy.special.gammaincinv(df / 2.0, shares) / df
    possible = SeedVariance(observed, np.full(_NODES, float(seeds.residual)), np.full(_NODES, df))
    none = np.zeros(_NODES)
    confidence = MeanConfidence(none, none + precision.variance, none + precision.df, none, none, possible)
    return -confidence.lower(tail)
