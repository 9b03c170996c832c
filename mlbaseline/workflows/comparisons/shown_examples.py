"""Rows of the compared rungs as MLflow traces, so that its own pages show them side by side."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Collection, Iterator, Mapping, Sequence

import pandas as pd

from mlbaseline import store
from mlbaseline.errors import TrackingError
from mlbaseline.records import Example, OutputType, TaskData
from mlbaseline.results import SCORE, SLICE
from mlbaseline.suite import Suite
from mlbaseline.tasks import kind_of_suite
from mlbaseline.values import is_missing
from mlbaseline.workflows.comparisons.answered_data import input_fields

log = logging.getLogger("mlbaseline")


def show_examples(suite: Suite, tracker: store.Tracker, runs: Sequence[store.EvaluationRun], test: TaskData) -> None:
    """Log as many examples of each run as the suite says (`traces`) as traces, and as an evaluation dataset.

    The comparison is complete without them: a server that does not take them is a warning.

    Args:
        suite: The suite.
        tracker: The tracking server.
        runs: Evaluations of the test that are compared.
        test: The test.
    """
    if not suite.traces:
        return
    shown = {example.id: _shown(suite, example) for example in _chosen(test.examples, suite.traces)}
    try:
        store.log_dataset(tracker, f"{suite.name} test", test.digest, shown.values())
        for run in runs:
            (table,) = store.load_tables(tracker, [run], cache=store.tables_cache())
            store.log_answers(tracker, run, list(_answers(table.frame, shown)))
    except TrackingError as error:
        log.warning("The comparison is complete; its examples are not shown in MLflow's pages: %s", error)


def _chosen(examples: Collection[Example], n: int) -> list[Example]:
    """Choose examples that are the same for every rung and every run, and a cross-section of the test."""
    return sorted(examples, key=lambda each: hashlib.sha256(each.id.encode("utf-8", "surrogatepass")).digest())[:n]


def _shown(suite: Suite, example: Example) -> store.ShownExample:
    has_target = kind_of_suite(suite).output_type is not OutputType.LOGLIKELIHOOD_ROLLING
    return store.ShownExample(example.id, input_fields(suite, example), example.target if has_target else None)


def _answers(frame: pd.DataFrame, shown: Mapping[str, store.ShownExample]) -> Iterator[store.ShownAnswer]:
    rows = frame[frame["example_id"].isin(shown)]
    scores = [name for name in rows.columns if name.startswith(SCORE)]
    slices = [name for name in rows.columns if name.startswith(SLICE)]
    binary = {name for name in scores if rows[name].dropna().isin((0, 1)).all()}
    for row in rows.to_dict(orient="records"):
        yield store.ShownAnswer(
            shown[row["example_id"]],
            prediction=None if is_missing(row["prediction"]) else row["prediction"],
            error=None if is_missing(row["error"]) else row["error"],
            scores={
                name.removeprefix(SCORE): bool(row[name]) if name in binary else float(row[name])
                for name in scores
                if math.isfinite(row[name])
            },
            slices={name.removeprefix(SLICE): row[name] for name in slices},
            latency_s=None if is_missing(row.get("latency_s")) else row["latency_s"],
        )
