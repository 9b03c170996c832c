"""Metrics of a choice task: what each needs, which way is better, and how it counts an error row.

A per-example metric is a column of the result table (`score.<metric>`) and its value is the column's mean. A corpus metric
is a function of sums of per-example statistics, which is also how it is resampled (`stats.corpus`).

Error rows stay in every denominator: accuracy, macro-F1 and MCC count them as wrong; nll, Brier and ECE as an answer
that gives every choice the same probability.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mlbaseline.errors import DataError
from mlbaseline.results import SCORE, ResultTable
from mlbaseline.stats.corpus import CorpusMetric, CorpusStatistics, ece, macro_f1, mcc

VERSION = 1
"""Part of every signature: raised when any metric here changes the number that it gives."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """A result table as arrays. target, prediction (n,): positions in the labels, −1 for no or an unknown prediction.

    log_probs (n, labels): normalised over the choices, in nats; None where the model gives no log-likelihoods.
    """

    target: npt.NDArray[np.intp]
    prediction: npt.NDArray[np.intp] | None
    log_probs: Array | None
    n_labels: int


def read_rows(table: ResultTable, labels: Sequence[str]) -> Rows:
    """Raises DataError for a target that is none of the labels."""
    position = {label: index for index, label in enumerate(labels)}
    target = table.frame["target"].map(position)
    if target.isna().any():
        unknown = table.frame["target"][target.isna()].iloc[0]
        raise DataError(f"{table.name}: target {unknown!r} is not among the labels {list(labels)}")
    prediction = table.frame["prediction"]
    has_predictions = prediction.notna().any() or table.frame["error"].notna().any()
    return Rows(
        target=target.to_numpy(dtype=np.intp),
        prediction=prediction.map(position).fillna(-1).to_numpy(dtype=np.intp) if has_predictions else None,
        log_probs=_log_probs(table.logliks(labels)),
        n_labels=len(labels),
    )


def _log_probs(logliks: Array | None) -> Array | None:
    if logliks is None:
        return None
    known = np.where(np.isnan(logliks).any(axis=1, keepdims=True), 0.0, logliks)  # an error row knows nothing
    shifted = known - known.max(axis=1, keepdims=True)
    log_probs: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return log_probs


@dataclass(frozen=True)
class Metric:
    """per_example gives (n,) scores, corpus the statistics of a corpus metric; None where the rows do not carry it."""

    name: str
    higher_is_better: bool
    per_example: Callable[[Rows], Array | None] | None = None
    corpus: Callable[[Rows], tuple[CorpusMetric, CorpusStatistics] | None] | None = None


def _accuracy(rows: Rows) -> Array | None:
    return None if rows.prediction is None else (rows.prediction == rows.target).astype(float)


def _nll_nats(rows: Rows) -> Array | None:
    return None if rows.log_probs is None else -rows.log_probs[np.arange(len(rows.target)), rows.target]


def _brier(rows: Rows) -> Array | None:
    if rows.log_probs is None:
        return None
    truth = np.eye(rows.n_labels)[rows.target]
    squared: Array = ((np.exp(rows.log_probs) - truth) ** 2).sum(axis=1)
    return squared


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", True, per_example=_accuracy),
        Metric("nll_nats", False, per_example=_nll_nats),
        Metric("brier", False, per_example=_brier),
    )
}


def score(table: ResultTable, labels: Sequence[str], names: Sequence[str]) -> ResultTable:
    """The table with a `score.<metric>` column for each per-example metric that its rows carry."""
    rows = read_rows(table, labels)
    columns = {}
    for name in names:
        per_example = METRICS[name].per_example
        if per_example and SCORE + name not in table.frame and (scores := per_example(rows)) is not None:
            columns[SCORE + name] = scores
    return replace(table, frame=table.frame.assign(**columns))
