"""Partial pooling of groups: each group's estimate, drawn towards their common mean by how little it knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from mlbaseline.stats.types import Array

MIN_GROUPS = 3
"""Two groups say next to nothing about how much groups differ."""
_STEPS, _WIDEST = 400, 6.0
"""Values of τ that are averaged over, and the largest, in standard deviations of the estimates or largest errors."""


@dataclass(frozen=True)
class PooledGroups:
    """Groups (k,) as a random sample of what could differ.

    Attributes:
        mean: Common mean of the groups' true values.
        spread: Standard deviation of the true values between groups, τ, averaged over what the groups leave possible.
        estimate: Shape (k,), each group's value after pooling.
        low: Shape (k,), lower limits.
        high: Shape (k,), upper limits.
        own: Shape (k,), from 0 to 1: how much of the estimate is the group's own; the rest is the common mean.
        level: Level of the limits.
    """

    mean: float
    spread: float
    estimate: Array
    low: Array
    high: Array
    own: Array
    level: float


def partial_pooling(estimates: ArrayLike, standard_errors: ArrayLike, *, level: float = 0.95) -> PooledGroups:
    """Shrink the estimates of groups towards their common mean.

    Each group's true value is taken as normal around a common mean μ with standard deviation τ, both unknown, with flat
    priors (Rubin 1981, Journal of Educational Statistics 6:377; Gelman et al., *Bayesian Data Analysis*, 5.4). Given τ,
    a group's value is B·mean + (1 − B)·its own estimate with B = se²/(se² + τ²); this is averaged over what the
    groups leave possible of τ. Over all groups these are closer to the truth than the groups' own estimates, and the
    highest and the lowest are not exaggerated. Of one given group the limits are no confidence interval, and a group
    that truly is an exception is drawn in. It describes, and decides nothing.

    Args:
        estimates: Of each group, shape (k,), at least three.
        standard_errors: Theirs, above 0; independent.
        level: Level of the limits, in (0, 1).

    Returns:
        The pooled groups.

    Raises:
        ValueError: If there are fewer than three groups, shapes do not match, or a number is not finite.

    Example:
        >>> partial_pooling([0.60, 0.10, 0.08, 0.12], [0.20, 0.03, 0.03, 0.03]).estimate.round(2).tolist()
        [0.26, 0.1, 0.09, 0.12]
    """
    values, errors = np.asarray(estimates, dtype=float), np.asarray(standard_errors, dtype=float)
    if values.ndim != 1 or values.shape != errors.shape or len(values) < MIN_GROUPS:
        raise ValueError(
            f"estimates and standard_errors: expected one shape (k,) with k of at least {MIN_GROUPS}, got "
            f"{values.shape} and {errors.shape}"
        )
    if not (np.isfinite(values).all() and np.isfinite(errors).all() and (errors > 0.0).all()):
        raise ValueError("estimates and standard_errors: expected finite numbers, standard errors above 0")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level: expected a number between 0 and 1, got {level!r}")
    spreads = np.linspace(0.0, _WIDEST * max(float(np.std(values)), float(errors.max())), _STEPS)[:, None]
    total = np.square(errors) + np.square(spreads)
    mean_variance = 1.0 / (1.0 / total).sum(axis=1, keepdims=True)
    mean = mean_variance * (values / total).sum(axis=1, keepdims=True)
    log_likelihood = 0.5 * (
        np.log(mean_variance)[:, 0] - (np.log(total) + np.square(values - mean) / total).sum(axis=1)
    )
    weight = np.exp(log_likelihood - log_likelihood.max())[:, None]
    weight /= weight.sum()
    shrinkage = np.square(errors) / total
    given = shrinkage * mean + (1.0 - shrinkage) * values
    variance = (1.0 - shrinkage) * np.square(errors) + np.square(shrinkage) * mean_variance
    pooled = (weight * given).sum(axis=0)
    deviation = np.sqrt((weight * (variance + np.square(given - pooled))).sum(axis=0))
    half = -float(scipy.special.ndtri((1.0 - level) / 2.0)) * deviation
    return PooledGroups(
        mean=float((weight * mean).sum()),
        spread=float((weight * spreads).sum()),
        estimate=pooled,
        low=pooled - half,
        high=pooled + half,
        own=1.0 - (weight * shrinkage).sum(axis=0),
        level=level,
    )
