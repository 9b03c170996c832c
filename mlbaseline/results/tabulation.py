"""Answers become a result table: one row per example, whatever the order in which they came."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from mlbaseline.errors import DataError
from mlbaseline.records import Answer, Signature, TaskData
from mlbaseline.results.table import (
    BATCH,
    FIRST_TOKEN,
    LOGLIK,
    REFERENCE,
    SCORE,
    SLICE,
    SUM,
    UNANSWERED,
    WEIGHT,
    ResultTable,
    validate,
)


def tabulate(
    data: TaskData, answers: Iterable[Answer], *, baseline: str, kind: str, seed: int | None, signature: Signature
) -> ResultTable:
    """Join answers to their examples.

    Args:
        data: The examples of a split.
        answers: One for each example, in any order.
        baseline: Name in the suite.
        kind: Kind of the baseline.
        seed: None for a rung that has no randomness.
        signature: Everything that can change a score.

    Returns:
        A valid table with one row per example; scores are added later (`metrics.add_scores`).

    Raises:
        DataError: An example has no answer or several, or an answer belongs to no example.
    """
    examples = sorted(data.examples, key=lambda example: example.id)
    collected = _AnswerColumns([example.id for example in examples], baseline)
    for answer in answers:
        collected.add(answer)
    collected.check_complete()
    columns: dict[str, object] = {
        "example_id": collected.ids,
        "cluster": pd.array([example.cluster for example in examples], dtype="string"),
    }
    for name in examples[0].slices:
        columns[SLICE + name] = [example.slices[name] for example in examples]
    columns["target"] = [example.target for example in examples]
    if examples[0].weight is not None:
        columns[WEIGHT] = [example.weight for example in examples]
    if any(example.references for example in examples):
        columns["references"] = [list(example.references) for example in examples]
    table = ResultTable(baseline, kind, seed, signature, pd.DataFrame(columns | collected.columns(data.labels)))
    validate(table)
    return table


class _AnswerColumns:
    """Answers in columns, row by row in any order: as objects, a million of them would take a gigabyte.

    ids: of all examples, sorted.
    """

    def __init__(self, ids: Sequence[str], baseline: str) -> None:
        self.ids, self._baseline = ids, baseline
        n = len(ids)
        self._answered, self._truncated, self._unanswered = (np.zeros(n, dtype=bool) for _ in range(3))
        self._tokens_in, self._tokens_out = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        self._numbers: dict[str, np.ndarray] = {name: np.full(n, np.nan) for name in ("latency_s", "compute_s")}
        self._nats: list[np.ndarray] = []
        self._texts: dict[str, list[str | None]] = {"prediction": [None] * n, "error": [None] * n}
        self._samples: dict[int, list[str]] = {}
        self._unknown: set[str] = set()
        self._batches: list[int | None] = [None] * n

    def add(self, answer: Answer) -> None:
        row = bisect_left(self.ids, answer.example_id)
        if row == len(self.ids) or self.ids[row] != answer.example_id:
            self._unknown.add(answer.example_id)
            return
        if self._answered[row]:
            raise DataError(
                f"{self._baseline}: example {answer.example_id!r} was answered twice; each needs exactly one answer"
            )
        self._answered[row] = True
        self._truncated[row], self._unanswered[row] = answer.truncated, answer.unanswered
        self._tokens_in[row], self._tokens_out[row] = answer.tokens_in, answer.tokens_out
        self._numbers["compute_s"][row] = answer.compute_s
        self._batches[row] = answer.batch
        for name in ("latency_s", "cost_usd", FIRST_TOKEN, REFERENCE):
            if (value := getattr(answer, name)) is not None:
                self._put(name, row, value)
        for prefix, values in ((SCORE, answer.scores), (SUM, answer.sums)):
            for name, value in values.items():
                self._put(prefix + name, row, value)
        for position, nats in enumerate(answer.loglik_nats):
            if position == len(self._nats):
                self._nats.append(np.full(len(self.ids), np.nan))
            self._nats[position][row] = nats
        for name in ("prediction", "raw", "error"):
            if (text := getattr(answer, name)) is not None:
                if name not in self._texts:
                    self._texts[name] = [None] * len(self.ids)
                self._texts[name][row] = text
        if answer.samples:
            self._samples[row] = list(answer.samples)

    def _put(self, column: str, row: int, value: float) -> None:
        if column not in self._numbers:
            self._numbers[column] = np.full(len(self.ids), np.nan)
        self._numbers[column][row] = value

    def check_complete(self) -> None:
        missing = [self.ids[row] for row in np.flatnonzero(~self._answered).tolist()]
        if missing or self._unknown:
            unknown = sorted(self._unknown)
            raise DataError(
                f"{self._baseline}: {len(missing)} of {len(self.ids)} examples have no answer (first: {missing[:3]}), "
                f"{len(unknown)} answers belong to no example (first: {unknown[:3]})"
            )

    def columns(self, labels: Sequence[str]) -> dict[str, object]:
        columns: dict[str, object] = {"prediction": pd.array(self._texts["prediction"], dtype="string")}
        if "raw" in self._texts:
            columns["raw"] = pd.array(self._texts["raw"], dtype="string")
        if self._samples:
            columns["samples"] = [self._samples.get(row, []) for row in range(len(self.ids))]
        columns |= {name: self._numbers[name] for name in sorted(self._numbers) if name.startswith(SCORE)}
        if self._nats:
            none = np.full(len(self.ids), np.nan)  # of a label that no example has a choice for
            columns |= {
                LOGLIK + label: self._nats[position] if position < len(self._nats) else none
                for position, label in enumerate(labels)
            }
        columns |= {name: self._numbers[name] for name in sorted(self._numbers) if name.startswith(SUM)}
        columns |= {"tokens_in": self._tokens_in, "tokens_out": self._tokens_out}
        for name in ("latency_s", "compute_s", "cost_usd", FIRST_TOKEN, REFERENCE):
            if name in self._numbers:
                columns[name] = self._numbers[name]
        if any(batch is not None for batch in self._batches):
            columns[BATCH] = _numbered(self._batches)
        if self._unanswered.any():
            columns[UNANSWERED] = self._unanswered
        columns["truncated"] = self._truncated
        columns["error"] = pd.array(self._texts["error"], dtype="string")
        return columns


def _numbered(batches: Sequence[int | None]) -> np.ndarray:
    """Batches by numbers (n,) in the order of the rows, negative ones for those of an earlier session.

    A row outside any batch is one of its own.
    """
    keys = [("row", row) if batch is None else ("batch", batch) for row, batch in enumerate(batches)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    signed = [
        -1 - numbers[key] if batch is not None and batch < 0 else numbers[key]
        for key, batch in zip(keys, batches, strict=True)
    ]
    return np.array(signed, dtype=np.int64)
