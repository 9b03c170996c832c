"""Quantiles of what was measured once per example, such as latency, with exact intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class QuantileEstimate:
    """The ``q`` quantile. ``low`` or ``high`` is None where so few values do not bound it on that side.

    ``n``: independent values, fewer than there are where some belong together. ``n_to_bound``: the fewest of them that
    bound it on both sides.
    """

    value: float
    low: float | None
    high: float | None
    q: float
    level: float
    n: int
    n_to_bound: int


def quantile_interval(
    values: ArrayLike, q: float, *, clusters: ArrayLike | None = None, level: float = 0.95
) -> QuantileEstimate:
    """Estimate a quantile, with the order statistics that enclose the true one.

    The number of values below the true quantile is Binomial(n, q), whatever their distribution, so that the limits
    x₍ₗ₎ and x₍ᵤ₎ with P(B < l) ≤ α/2 and P(B ≥ u) ≤ α/2 hold it with at least ``level`` (Thompson 1936; Conover,
    *Practical Nonparametric Statistics*, 3.2). There is no upper limit unless qⁿ ≤ α/2: at 0.95 the 95th percentile
    needs 72 values, the 99th 368. The value itself interpolates linearly.

    Values of one cluster (one query timed in several runs, or queries about one passage) may all be alike. They count
    as n²/Σ m² independent ones, for clusters of m values (Kish 1965, *Survey Sampling*, 8.2, at an intraclass
    correlation of 1): wide rather than narrow where they are not alike.

    Args:
        values: Shape (n,), finite; independent between clusters.
        q: Which quantile, in (0, 1).
        clusters: Labels (n,) of values that belong together; by default each is one of its own.
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
    n, tail = _effective(len(ordered), clusters), (1.0 - level) / 2.0
    # Farther from the mean, by Bernstein's inequality, lies less than any tail that a float's level has.
    away = 10.0 * math.sqrt(n * q * (1.0 - q)) + 30.0
    first = max(0, math.floor(n * q - away))
    below = scipy.stats.binom.cdf(np.arange(first, min(n, math.ceil(n * q + away))), n, q)  # P(B ≤ k)
    # The largest l with P(B ≤ l − 1) ≤ tail; 0 where there is none.
    lower = first + int(np.count_nonzero(below <= tail))
    # The smallest u with P(B ≥ u) ≤ tail; n + 1 for none. P(B ≥ 0) is above every tail.
    upper = first + 1 + int(np.count_nonzero(1.0 - below > tail + 1e-12))
    value = float(np.quantile(ordered, q))
    share = len(ordered) / n  # of the values, for one of the independent ones
    at_lower, at_upper = math.floor(lower * share + 1e-9), math.ceil(upper * share - 1e-9)
    return QuantileEstimate(
        value=value,
        # A handful of values may interpolate past their own limit.
        low=min(float(ordered[at_lower - 1]), value) if lower >= 1 else None,
        high=max(float(ordered[at_upper - 1]), value) if upper <= n else None,
        q=q,
        level=level,
        n=n,
        n_to_bound=math.ceil(math.log(tail) / math.log(max(q, 1.0 - q)) - 1e-9),
    )


def _effective(n: int, clusters: ArrayLike | None) -> int:
    """How many independent values n values in clusters stand for at least."""
    if clusters is None:
        return n
    labels = np.asarray(clusters)
    if labels.shape != (n,):
        raise ValueError(f"clusters: expected one label a value, ({n},), got {labels.shape}")
    if (labels[1:] > labels[:-1]).all():  # each one for itself, which takes little memory to see
        return n
    sizes = np.unique(labels, return_counts=True)[1].astype(float)
    return max(1, math.floor(n**2 / float(np.square(sizes).sum()) + 1e-9))
