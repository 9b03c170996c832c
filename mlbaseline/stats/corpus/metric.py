"""Metrics of a whole corpus as functions of summed statistics per example.

A metric that is no mean of per-example scores still is a function of a few sums (counts of a confusion matrix, matched
n-grams, nats and tokens). Each :class:`CorpusMetric` says how to get the statistics of every example once, (n, s), and
the metric from their sums, so that no resample reads a label or a text again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbaseline.stats.types import Array


@dataclass(frozen=True)
class CorpusMetric:
    """``statistics`` of data ─▶ (n, s) per example; ``from_totals`` of sums (…, s) ─▶ the metric (…).

    The metric does not change when all sums are multiplied by one number, unless it says so. ``lowest`` and ``highest``
    are the values it can take.

    ``compared_by`` gives, from the summed statistics of both systems, the metric (of the same statistics) that their
    comparison uses in its place. ``pseudo_examples`` gives, from the statistics of one system, rows (m, s) of examples
    that could as well have been drawn, one for each way to be right and to be wrong: intervals of a single system
    weigh them in, because a rare class that happens to be answered without an error shows no variance. ``upward_bias``
    estimates, from the summed statistics, how much the value is too high on average: intervals of a single system reach
    down by as much. ``caution`` says, from the summed statistics, why an interval may not be reliable.
    """

    name: str
    statistics: Callable[..., Array]
    from_totals: Callable[[Array], Array]
    lowest: float
    highest: float
    compared_by: Callable[[Array], CorpusMetric] | None = None
    pseudo_examples: Callable[[Array], Array] | None = None
    upward_bias: Callable[[Array], Array] | None = None
    caution: Callable[[Array], str] | None = None

    def of(self, statistics: Array) -> float:
        """Compute the metric of one corpus from its (n, s) statistics."""
        return float(self.from_totals(statistics.sum(axis=0)))

    def bias_of(self, statistics: Array) -> float:
        """Estimate how much the metric is too high on average; of (seeds, n, s) statistics, the mean over seeds."""
        return 0.0 if self.upward_bias is None else float(self.upward_bias(statistics.sum(axis=-2)).mean())


def checked_labels(
    labels: npt.NDArray[Any], n_classes: int, n: int | None, name: str, none: bool = False
) -> npt.NDArray[np.intp]:
    if labels.ndim != 1 or len(labels) == 0 or (n is not None and len(labels) != n):
        raise ValueError(f"{name} must be one label an example, got shape {labels.shape}")
    codes = labels.astype(np.intp)
    lowest = -1 if none else 0
    if labels.dtype.kind not in "biu" or codes.min() < lowest or codes.max() >= n_classes:
        raise ValueError(f"{name} must be integers {lowest} … {n_classes - 1}, got {np.unique(labels)[:10].tolist()}")
    return codes


def checked_probabilities(values: npt.ArrayLike, name: str) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or not ((array >= 0) & (array <= 1)).all():
        raise ValueError(f"{name} must lie in [0, 1], at least one of them")
    return array


def first_over_second(totals: Array) -> Array:
    return ratio(totals[..., 0], totals[..., 1])


def ratio(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any]) -> Array:
    """0 where the denominator is 0."""
    quotient: Array = np.zeros(np.broadcast(numerator, denominator).shape)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient
