"""Metrics by kind of task: what each needs, which way is better, and how it counts an error row.

A per-example metric is a column of the result table (`score.<metric>`), its value the column's mean. A corpus metric is
a function of sums of per-example statistics, and is resampled through them (`stats.corpus`). Error rows stay in
every denominator; how they count stands with the metrics of each kind.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlbaseline.metrics.choice import CHOICE_METRICS, read_rows
from mlbaseline.metrics.likelihood import LIKELIHOOD_METRICS
from mlbaseline.metrics.metric import Array, CorpusRows, Metric
from mlbaseline.metrics.text import TEXT_METRICS
from mlbaseline.records import map_array, release_unused_memory
from mlbaseline.results import SCORE, ResultTable
from mlbaseline.stats import CorpusMetric

__all__ = ["METRICS", "VERSION", "Metric", "add_scores", "corpus_statistics", "measure", "metric_of", "read_rows"]

VERSION = 1
"""Part of every signature: raised when any metric here changes the number that it gives."""

METRICS: dict[str, Metric] = {metric.name: metric for metric in (*CHOICE_METRICS, *TEXT_METRICS, *LIKELIHOOD_METRICS)}


_KNOWN: WeakKeyDictionary[ResultTable, dict[tuple[str, tuple[str, ...]], CorpusRows | None]] = WeakKeyDictionary()
"""Of the tables in use: a comparison needs them for each contrast, and n-grams take long."""


def metric_of(name: str) -> Metric:
    """Return a metric by its name; one that is not in `METRICS` is a judged one, with scores from 0 to 1.

    Example:
        >>> metric_of("accuracy").is_judged, metric_of("helpful").is_judged
        (False, True)
    """
    return METRICS.get(name) or Metric(name, True, lowest=0.0, highest=1.0, is_judged=True)


def add_scores(table: ResultTable, labels: Sequence[str], names: Sequence[str]) -> ResultTable:
    """Return the table with a `score.<metric>` column for each per-example metric that its rows allow.

    Args:
        table: The result table.
        labels: Of the task; () if it has none.
        names: Of metrics.
    """
    columns: dict[Hashable, Any] = dict(table.frame.items())
    for name in names:
        per_example = metric_of(name).per_example
        if per_example and SCORE + name not in columns and (scores := per_example(table, labels)) is not None:
            columns[SCORE + name] = map_array(scores)
    release_unused_memory()
    # `assign` would copy each new column into memory.
    return replace(table, frame=pd.DataFrame(columns, copy=False))


def measure(
    table: ResultTable, labels: Sequence[str], name: str, mask: npt.NDArray[np.bool_] | None = None
) -> float | None:
    """Return the metric of a table, or of some of its rows.

    Args:
        table: The result table.
        labels: Of the task; () if it has none.
        name: Of the metric.
        mask: Rows that count (n,); None for all.

    Returns:
        None where the rows do not have what the metric needs, or there are none.
    """
    metric = metric_of(name)
    if metric.corpus is None:
        scores = table.scores(name)
        if scores is None:
            return None
        chosen = scores if mask is None else scores[mask]
        known = chosen[~np.isnan(chosen)]
        return float(known.mean()) if len(known) else None
    rows = _corpus_rows(table, labels, name)
    if rows is None or (mask is not None and not mask.any()):
        return None
    return rows.value(mask)


def corpus_statistics(table: ResultTable, labels: Sequence[str], name: str) -> tuple[CorpusMetric, Array] | None:
    """Return a corpus metric with the statistics (n, s) of a table's rows; None where the rows lack what it needs.

    Raises:
        ValueError: The metric is a mean of per-example scores.
    """
    rows = _corpus_rows(table, labels, name)
    return None if rows is None else (rows.metric, rows.statistics())


def _corpus_rows(table: ResultTable, labels: Sequence[str], name: str) -> CorpusRows | None:
    corpus = metric_of(name).corpus
    if corpus is None:
        raise ValueError(f"{name} is a mean of per-example scores; it has no corpus statistics")
    known = _KNOWN.setdefault(table, {})
    key = name, tuple(labels)
    if key not in known:
        known[key] = corpus(table, labels)
    return known[key]
