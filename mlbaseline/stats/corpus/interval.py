"""The interval of one system's corpus metric."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from mlbaseline.stats.bootstrap import Units, checked_values, gather_units
from mlbaseline.stats.corpus.influences import (
    caution_about,
    effective_df,
    gradient_at,
    influences_of,
    standard_error_of,
)
from mlbaseline.stats.corpus.metric import CorpusMetric
from mlbaseline.stats.types import Array

PSEUDO_WEIGHT = 0.25
"""Weight of a pseudo-example: a right and a wrong one of each class are half an example together."""


@dataclass(frozen=True)
class CorpusInterval:
    """A corpus metric of one system with its interval.

    Attributes:
        value: The metric.
        low: Lower limit, within the metric's range.
        high: Upper limit.
        level: Level of the interval.
        standard_error: Of the metric, to first order.
        n: Examples.
        n_units: Clusters where given, else examples.
        method: ``logit`` for a metric with two bounds, ``log`` with one, ``unchanging`` without variation.
        caution: Why the interval may not be reliable; empty where it is.
    """

    value: float
    low: float
    high: float
    level: float
    standard_error: float
    n: int
    n_units: int
    method: str
    caution: str = ""


def corpus_interval(
    statistics: npt.ArrayLike,
    metric: CorpusMetric,
    *,
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> CorpusInterval:
    """Estimate a corpus metric of one system.

    The interval is Student's t on the logit scale of a metric with two bounds, on the log scale of one that is only
    positive, with the delta method's standard error and the degrees of freedom of `effective_df`. Where the metric has
    pseudo-examples, it is the hull of the intervals with and without them, as Agresti and Coull (1998) do for a
    proportion. The lower limit of a metric that is biased upward is lower by that bias.

    Simulated, nominal 0.95: macro-F1 with classes of 3 % 0.94 to 0.96 where a symmetric bootstrap covers 0.83 to 0.90,
    AUROC with ten positives 0.95 to 0.98 for 0.71 to 0.88. ECE with 50 to 1,000 examples 0.96 to 1.00, where an
    interval without the bias covers 0.47 to 0.96; of a perfectly calibrated model 0.85 to 0.98, missing by thousandths,
    where that never covers.

    Args:
        statistics: Statistics (n, s) of the system.
        metric: The metric.
        clusters: Labels (n,) of examples that belong together.
        level: Level of the interval, in (0, 1).

    Returns:
        The metric with its interval. Where no example varies, a share 1 − (α/2)^(1/n) of them may have the worst value.

    Raises:
        ValueError: If the statistics are empty or not finite, the labels do not match them, or the level is out of
            range.

    Example:
        >>> from mlbaseline.stats import auroc
        >>> metric = auroc()
        >>> statistics = metric.statistics([0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1], [1, 1, 0, 1, 0, 1, 0, 0])
        >>> result = corpus_interval(statistics, metric)
        >>> round(result.value, 4), result.low < result.value < result.high
        (0.8125, True)
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    values = checked_values(statistics)
    units = gather_units(values, clusters)
    n, n_units, value = len(values), len(units.sums), metric.of(values)
    influences = influences_of(metric, units)
    error, caution = standard_error_of(influences), caution_about(metric, values.sum(axis=0), influences)
    if error == 0:
        share = 1.0 - ((1 - level) / 2) ** (1.0 / n_units)
        up = metric.highest - value if np.isfinite(metric.highest) else max(abs(value), 1.0)
        low, high = value - share * (value - metric.lowest), value + share * up
        return CorpusInterval(value, low, high, level, error, n, n_units, "unchanging", caution)
    none = np.empty((0, values.shape[1]))
    pseudo = none if metric.pseudo_examples is None else PSEUDO_WEIGHT * metric.pseudo_examples(values)
    limits = [_transformed(metric, units, rows, level) for rows in ([none, pseudo] if len(pseudo) else [none])]
    low, high = min(value, *(low for low, _ in limits)), max(value, *(high for _, high in limits))
    low = max(metric.lowest, low - metric.bias_of(values))
    method = "logit" if np.isfinite(metric.highest) else "log"
    return CorpusInterval(value, low, high, level, error, n, n_units, method, caution)


def _transformed(metric: CorpusMetric, units: Units, pseudo: Array, level: float) -> tuple[float, float]:
    """Limits on the transformed scale, with pseudo-examples counted in; on the plain scale at an end of the range."""
    totals = units.sums.sum(axis=0) + pseudo.sum(axis=0)
    estimate = float(metric.from_totals(totals))
    gradient = gradient_at(metric, totals)
    # Of a metric that scaling all sums leaves alone these have mean 0, pseudo-examples included.
    influences = np.concatenate([units.sums @ gradient, pseudo @ gradient])
    n_units = len(units.sums)
    error = math.sqrt(float(np.square(influences).sum()) * n_units / (n_units - 1))
    reach = float(scipy.stats.t.isf((1 - level) / 2, min(effective_df(influences), n_units - 1.0))) * error
    span = metric.highest - metric.lowest
    if not np.isfinite(span):
        distance = estimate - metric.lowest
        if distance <= 0.0:
            return metric.lowest, math.inf
        return metric.lowest + distance * math.exp(-reach / distance), metric.lowest + distance * math.exp(
            reach / distance
        )
    share = (estimate - metric.lowest) / span
    if not 0.0 < share < 1.0:
        return max(metric.lowest, estimate - reach), min(metric.highest, estimate + reach)
    centre, width = scipy.special.logit(share), reach / (span * share * (1.0 - share))
    low, high = scipy.special.expit([centre - width, centre + width])
    return metric.lowest + span * float(low), metric.lowest + span * float(high)
