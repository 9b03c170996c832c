"""Quantiles of what was measured once per example, such as latency, with exact intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class QuantileEstimate:
    """The ``q`` quantile of n values. ``low`` or ``high`` is None where so few values do not bound it on that side.

    ``n_to_bound``: the fewest values that bound it on both sides.
    """

    value: float
    low: float | None
    high: float | None
    q: float
    level: float
    n: int
    n_to_bound: int


def quantile_interval(values: ArrayLike, q: float, *, level: float = 0.95) -> QuantileEstimate:
    """Estimate a quantile, with the order statistics that enclose the true one.

    The number of values below the true quantile is Binomial(n, q), whatever their distribution, so that the limits
    x₍ₗ₎ and x₍ᵤ₎ with P(B < l) ≤ α/2 and P(B ≥ u) ≤ α/2 hold it with at least ``level`` (Thompson 1936; Conover,
    *Practical Nonparametric Statistics*, 3.2). There is no upper limit unless qⁿ ≤ α/2: at 0.95 the 95th percentile
    needs 72 values, the 99th 368. The value itself interpolates linearly.

    Args:
        values: Shape (n,), finite and independent.
        q: Which quantile, in (0, 1).
        level: Level of the interval, in (0, 1).

    Returns:
        The quantile with its limits.

    Raises:
        ValueError: If there are no values, one is not finite, or a parameter is out of range.

    Example:
        >>> result = quantile_interval(np.arange(1, 101), 0.5)
        >>> result.low, result.value, result.high
        (40.0, 50.5, 61.0)
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    if ordered.ndim != 1 or not len(ordered) or not np.isfinite(ordered).all():
        raise ValueError(f"values must be (n,) finite numbers, at least one, got shape {ordered.shape}")
    if not (0 < q < 1 and 0 < level < 1):
        raise ValueError(f"q and level must lie in (0, 1), got {q} and {level}")
    n, tail = len(ordered), (1.0 - level) / 2.0
    below = scipy.stats.binom.cdf(np.arange(n + 1), n, q)  # P(B ≤ k), k = 0 … n
    lower = int(np.count_nonzero(below[:n] <= tail))  # the largest l with P(B ≤ l − 1) ≤ tail; 0 where there is none
    above = 1.0 - np.concatenate([[0.0], below[:n]])  # P(B ≥ u), u = 0 … n
    upper = int(np.count_nonzero(above > tail + 1e-12))  # the smallest u with P(B ≥ u) ≤ tail; n + 1 for none
    value = float(np.quantile(ordered, q))
    return QuantileEstimate(
        value=value,
        # A handful of values may interpolate past their own limit.
        low=min(float(ordered[lower - 1]), value) if lower >= 1 else None,
        high=max(float(ordered[upper - 1]), value) if upper <= n else None,
        q=q,
        level=level,
        n=n,
        n_to_bound=math.ceil(math.log(tail) / math.log(max(q, 1.0 - q)) - 1e-9),
    )
