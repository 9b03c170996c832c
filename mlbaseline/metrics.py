"""Metrics of a choice task: what each needs, which way is better, and how it counts an error row.

A per-example metric is a column of the result table (`score.<metric>`), its value the column's mean. A corpus metric is
a function of sums of per-example statistics, and is resampled through them (`stats.corpus_metrics`).

Error rows stay in every denominator: accuracy, macro-F1 and MCC count them as wrong; nll, Brier and ECE as an answer
that gives every choice the same probability.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mlbaseline import stats
from mlbaseline.errors import DataError
from mlbaseline.results import SCORE, ResultTable
from mlbaseline.stats import CorpusMetric

VERSION = 1
"""Part of every signature: raised when any metric here changes the number that it gives."""

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Rows:
    """A result table as arrays. target, prediction (n,): positions in the labels, −1 for no or an unknown prediction.

    log_probs (n, labels): normalised over the choices, in nats; None where the model gives no log-likelihoods.
    """

    target: Labels
    prediction: Labels | None
    log_probs: Array | None
    n_labels: int


def read_rows(table: ResultTable, labels: Sequence[str]) -> Rows:
    """The arrays are the same objects for the same table: read them only. Raises DataError for an unknown target."""
    return _read_rows(table, tuple(labels))


@lru_cache(maxsize=32)  # every metric on every slice asks for them
def _read_rows(table: ResultTable, labels: tuple[str, ...]) -> Rows:
    position = {label: index for index, label in enumerate(labels)}
    target = table.frame["target"].map(position)
    if target.isna().any():
        unknown = table.frame["target"][target.isna()].iloc[0]
        raise DataError(f"{table.name}: target {unknown!r} is not among the labels {list(labels)}")
    prediction = table.frame["prediction"]
    has_predictions = prediction.notna().any() or table.frame["error"].notna().any()
    return Rows(
        target=target.to_numpy(dtype=np.int64),
        prediction=prediction.map(position).fillna(-1).to_numpy(dtype=np.int64) if has_predictions else None,
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
    """One way to score a table, by one of two functions; each gives None where the rows lack what it needs.

    per_example: (n,) scores, whose mean is the metric. corpus: the metric, and its statistics (n, s).
    """

    name: str
    higher_is_better: bool
    per_example: Callable[[Rows], Array | None] | None = None
    corpus: Callable[[Rows], tuple[CorpusMetric, Array] | None] | None = None


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


def _confusion(metric: Callable[[int], CorpusMetric]) -> Callable[[Rows], tuple[CorpusMetric, Array] | None]:
    def corpus(rows: Rows) -> tuple[CorpusMetric, Array] | None:
        if rows.prediction is None:
            return None
        chosen = metric(rows.n_labels)
        return chosen, chosen.statistics(rows.target, rows.prediction)

    return corpus


def _ece(rows: Rows) -> tuple[CorpusMetric, Array] | None:
    if rows.log_probs is None or rows.prediction is None:
        return None
    chosen = stats.ece()
    confidence = np.exp(rows.log_probs.max(axis=1)).clip(0.0, 1.0)
    return chosen, chosen.statistics(confidence, (rows.prediction == rows.target).astype(float))


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", True, per_example=_accuracy),
        Metric("macro_f1", True, corpus=_confusion(stats.macro_f1)),
        Metric("mcc", True, corpus=_confusion(stats.mcc)),
        Metric("nll_nats", False, per_example=_nll_nats),
        Metric("brier", False, per_example=_brier),
        Metric("ece", False, corpus=_ece),
    )
}


def add_scores(table: ResultTable, labels: Sequence[str], names: Sequence[str]) -> ResultTable:
    """The table with a `score.<metric>` column for each per-example metric that its rows carry."""
    rows = read_rows(table, labels)
    columns = {}
    for name in names:
        per_example = METRICS[name].per_example
        if per_example and SCORE + name not in table.frame and (scores := per_example(rows)) is not None:
            columns[SCORE + name] = scores
    return replace(table, frame=table.frame.assign(**columns))


def measure(
    table: ResultTable, labels: Sequence[str], name: str, mask: npt.NDArray[np.bool_] | None = None
) -> float | None:
    """The metric of a table, or of the rows in `mask` (n,); None where the rows do not carry it, or there are none."""
    metric = METRICS[name]
    if metric.per_example:
        scores = table.scores(name)
        if scores is None:
            return None
        chosen = scores if mask is None else scores[mask]
        known = chosen[~np.isnan(chosen)]
        return float(known.mean()) if len(known) else None
    found = corpus_statistics(table, labels, name)
    if found is None or (mask is not None and not mask.any()):
        return None
    corpus, statistics = found
    return corpus.of(statistics if mask is None else statistics[mask])


def corpus_statistics(table: ResultTable, labels: Sequence[str], name: str) -> tuple[CorpusMetric, Array] | None:
    """A corpus metric with the statistics (n, s) of a table's rows; None where the rows do not carry it."""
    corpus = METRICS[name].corpus
    if corpus is None:
        raise ValueError(f"{name} is a mean of per-example scores; it has no corpus statistics")
    return corpus(read_rows(table, labels))
