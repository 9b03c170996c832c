"""A corpus metric to first order: how far each unit moves it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mlbaseline.stats.bootstrap import Units, checked_values, gather_units
from mlbaseline.stats.corpus.metric import CorpusMetric
from mlbaseline.stats.types import Array

_FEW_CARRYING, _MIN_CAUTION_N = 6.0, 20
"""(Σe²)²/Σe⁴ below which too few examples carry the variance, and the examples from which it is looked at."""


def influences_of(metric: CorpusMetric, units: Units) -> Array:
    """(units,) first-order effect of each unit on the metric, times the number of units: n · ∇f(T) · (x − x̄)."""
    totals = units.sums.sum(axis=0)
    gradient = gradient_at(metric, totals)
    residuals = units.sums - np.outer(units.sizes, units.means)
    influences: Array = len(units.sums) * (residuals @ gradient)
    influences[np.abs(influences) < 1e-9 * np.abs(gradient * totals).sum()] = 0.0
    return influences


def gradient_at(metric: CorpusMetric, totals: Array) -> Array:
    """(s,) derivatives of the metric by the sums of its statistics, by central differences."""
    steps = np.diag(1e-5 * np.maximum(np.abs(totals), 1e-3 * np.abs(totals).max()))
    gradient: Array = (metric.from_totals(totals + steps) - metric.from_totals(totals - steps)) / (2 * np.diag(steps))
    return gradient


def standard_error_of(influences: Array) -> float:
    """Compute the standard error of the mean of influences, 0 for a single unit."""
    n = len(influences)
    return float(np.sqrt(np.square(influences).sum() / (n * (n - 1)))) if n > 1 else 0.0


def effective_df(influences: Array) -> float:
    """Degrees of freedom of the variance of influences (n,), from their kurtosis κ: 2n/(κ − 1), at most n − 1.

    Where a few units carry the variance (a rare class, a few positives, very long texts) it is known no better than
    these few let it be.
    """
    n = len(influences)
    squares = float(np.square(influences).sum())
    if squares == 0.0:
        return n - 1.0
    kurtosis = n * float((influences**4).sum()) / squares**2
    return float(np.clip(2.0 * n / max(kurtosis - 1.0, 1e-9), 2.0, max(n - 1.0, 2.0)))


def caution_about(metric: CorpusMetric, totals: Array, influences: Array) -> str:
    """Why the interval of a metric may not be reliable; empty where it is.

    Args:
        metric: The metric.
        totals: Sums of its statistics.
        influences: Shape (units,), of one system or of a difference.
    """
    if metric.caution is not None and (said := metric.caution(totals)):
        return said
    squares = np.square(influences)
    if metric.pseudo_examples is not None or len(squares) < _MIN_CAUTION_N or not squares.any():
        return ""
    carrying = float(squares.sum() ** 2 / np.square(squares).sum())
    if carrying >= _FEW_CARRYING:
        return ""
    return (
        f"few examples carry the variance (as {carrying:.0f} equal ones of {len(squares):,} would): the interval "
        "covers less than it states"
    )


def pseudo_values(
    statistics: npt.ArrayLike, metric: CorpusMetric, *, clusters: npt.ArrayLike | None = None
) -> npt.NDArray[np.float64]:
    """Express the metric to first order as a mean.

    Args:
        statistics: Statistics (n, s) of one system.
        metric: The metric.
        clusters: Labels (n,) of examples that belong together.

    Returns:
        Values (units,), one a cluster where given, else one an example. Their mean is the metric, and their variance
        is that of the metric.

    Raises:
        ValueError: If the statistics are empty or not finite, or the labels do not match them.

    Example:
        >>> from mlbaseline.stats import macro_f1
        >>> metric = macro_f1(2)
        >>> values = pseudo_values(metric.statistics([0, 1, 1, 0], [0, 1, 0, 0]), metric)
        >>> round(float(values.mean()), 4)
        0.7333
    """
    values = checked_values(statistics)
    return metric.of(values) + influences_of(metric, gather_units(values, clusters))
