"""Metrics of a choice task.

Error rows count as wrong for accuracy, macro-F1 and MCC; for nll, Brier and ECE as an answer that gives every choice
the same probability.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlbaseline import stats
from mlbaseline.errors import DataError
from mlbaseline.metrics.metric import Array, CorpusRows, Metric
from mlbaseline.records import map_array, map_by_rows
from mlbaseline.results import ResultTable
from mlbaseline.stats import CorpusMetric

Labels = npt.NDArray[np.integer]


@dataclass(frozen=True)
class ChoiceArrays:
    """A result table as arrays. target, prediction (n,): positions in the labels, −1 for no or an unknown prediction.

    log_probs (n, labels): normalised over the choices, in nats; None where the model gives no log-likelihoods.
    """

    target: Labels
    prediction: Labels | None
    log_probs: Array | None
    n_labels: int


def read_rows(table: ResultTable, labels: Sequence[str]) -> ChoiceArrays:
    """Return a table as arrays: the same objects each time, which must not be changed.

    Raises:
        DataError: A target is not among the labels.
    """
    known = _KNOWN.setdefault(table, {})
    key = tuple(labels)
    if key not in known:
        known[key] = _read_rows(table, key)
    return known[key]


_KNOWN: WeakKeyDictionary[ResultTable, dict[tuple[str, ...], ChoiceArrays]] = WeakKeyDictionary()
"""Of the tables in use: every metric on every slice needs them."""


def _read_rows(table: ResultTable, labels: tuple[str, ...]) -> ChoiceArrays:
    target = _positions(table.frame["target"], labels)
    if (target < 0).any():
        unknown = table.frame["target"][target < 0].iloc[0]
        raise DataError(f"{table.name}: target {unknown!r} is not among the labels {list(labels)}")
    prediction = table.frame["prediction"]
    has_predictions = prediction.notna().any() or table.frame["error"].notna().any()
    return ChoiceArrays(
        target=target,
        prediction=_positions(prediction, labels) if has_predictions else None,
        log_probs=_log_probs(table, labels),
        n_labels=len(labels),
    )


def _positions(column: pd.Series[str], labels: Sequence[str]) -> Labels:
    """Return the position of each text in the labels, −1 for any other text and for none. No text is copied."""
    position = {label: index for index, label in enumerate(labels)}
    codes, texts = pd.factorize(column)
    # The last one is where the code −1 of a missing text points.
    return map_array(np.array([*(position.get(text, -1) for text in texts), -1], dtype=np.int64)[codes])


def _log_probs(table: ResultTable, labels: Sequence[str]) -> Array | None:
    def normalised(rows: slice) -> Array:
        logliks = table.logliks(labels, rows)
        assert logliks is not None  # as below
        missing = np.isnan(logliks)
        # An error row has nothing; in others, what is missing is a choice that the example does not have.
        known: Array = np.where(missing.all(axis=1, keepdims=True), 0.0, np.where(missing, -np.inf, logliks))
        known -= known.max(axis=1, keepdims=True)
        known -= np.log(np.exp(known).sum(axis=1, keepdims=True))
        return known

    return None if table.logliks(labels, slice(0)) is None else map_by_rows(normalised, len(table.frame))


def _scored(scores: Callable[[ChoiceArrays], Array | None]) -> Callable[[ResultTable, Sequence[str]], Array | None]:
    return lambda table, labels: scores(read_rows(table, labels))


def _counted(
    corpus: Callable[[ChoiceArrays], CorpusRows | None],
) -> Callable[[ResultTable, Sequence[str]], CorpusRows | None]:
    return lambda table, labels: corpus(read_rows(table, labels))


def _accuracy(rows: ChoiceArrays) -> Array | None:
    return None if rows.prediction is None else (rows.prediction == rows.target).astype(float)


def _nll_nats(rows: ChoiceArrays) -> Array | None:
    target, log_probs = rows.target, rows.log_probs
    if log_probs is None:
        return None
    return map_by_rows(lambda some: -log_probs[some][np.arange(len(target[some])), target[some]], len(target))


def _brier(rows: ChoiceArrays) -> Array | None:
    if rows.log_probs is None:
        return None
    target, log_probs, truth = rows.target, rows.log_probs, np.eye(rows.n_labels)

    def squared(some: slice) -> Array:
        return np.asarray(((np.exp(log_probs[some]) - truth[target[some]]) ** 2).sum(axis=1))

    return map_by_rows(squared, len(target))


def _confusion(metric: Callable[[int], CorpusMetric]) -> Callable[[ChoiceArrays], CorpusRows | None]:
    def corpus(rows: ChoiceArrays) -> CorpusRows | None:
        if rows.prediction is None:
            return None
        chosen = metric(rows.n_labels)
        return CorpusRows(chosen, (rows.target, rows.prediction), chosen.statistics)

    return corpus


def _ece(rows: ChoiceArrays) -> CorpusRows | None:
    prediction, log_probs = rows.prediction, rows.log_probs
    if log_probs is None or prediction is None:
        return None

    def confidence(some: slice) -> Array:
        # With a normalisation the choice that is predicted need not be the most likely one.
        said = np.where(prediction[some] >= 0, prediction[some], log_probs[some].argmax(axis=1))
        return np.exp(log_probs[some][np.arange(len(said)), said]).clip(0.0, 1.0)

    chosen = stats.ece()
    columns = map_by_rows(confidence, len(prediction)), prediction == rows.target
    return CorpusRows(chosen, columns, chosen.statistics)


CHOICE_METRICS = (
    Metric("accuracy", True, per_example=_scored(_accuracy), lowest=0, highest=1),
    Metric("macro_f1", True, corpus=_counted(_confusion(stats.macro_f1))),
    Metric("mcc", True, corpus=_counted(_confusion(stats.mcc))),
    Metric("nll_nats", False, per_example=_scored(_nll_nats), lowest=0),
    Metric("brier", False, per_example=_scored(_brier), lowest=0, highest=2),
    Metric(
        "ece",
        False,
        corpus=_counted(_ece),
        # The binned error is biased upwards, and more so for sharp models: two perfectly calibrated ones would differ.
        compared_as="squared calibration error without the bias of its bins",
    ),
)
