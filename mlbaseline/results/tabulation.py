"""Answers become a result table: one row per example, whatever the order in which they came."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mlbaseline.errors import DataError
from mlbaseline.records import (
    BLOCK_ROWS,
    Answer,
    Example,
    Signature,
    TableWriter,
    TaskData,
    by_id,
    columns_of,
    map_array,
    release_unused_memory,
    sort_rows,
    take_rows,
    values_of,
)
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

if TYPE_CHECKING:
    import pyarrow as pa

_NATS = "nats."
"""Prefix of the log-likelihoods of choices, by the position of the choice."""
_TIMES = ("latency_s", "compute_s", "cost_usd", FIRST_TOKEN, REFERENCE)


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
    collected = _collect(answers)
    examples = _pack_examples(by_id(data.examples))
    ids = examples["example_id"]
    ordered = take_rows(collected, sort_rows(collected["example_id"]))
    if not ordered["example_id"].equals(ids):
        raise _misfit(ids.to_pylist(), collected["example_id"].to_pylist(), baseline)
    del collected
    columns = _example_columns(examples) | _answer_columns(ordered, data.labels)
    table = ResultTable(baseline, kind, seed, signature, pd.DataFrame(columns, copy=False))
    validate(table)
    release_unused_memory()
    return table


def _misfit(ids: Sequence[str], answered: Sequence[str], baseline: str) -> DataError:
    """Say why answers are not one for each example."""
    known, times = set(ids), Counter[str]()
    for id in answered:
        times[id] += 1
        if times[id] > 1 and id in known:
            return DataError(f"{baseline}: example {id!r} was answered twice; each needs exactly one answer")
    missing, unknown = [id for id in ids if id not in times], sorted(times.keys() - known)
    return DataError(
        f"{baseline}: {len(missing)} of {len(ids)} examples have no answer (first: {missing[:3]}), "
        f"{len(unknown)} answers belong to no example (first: {unknown[:3]})"
    )


def _pack_examples(examples: Sequence[Example]) -> pa.Table:
    """Return what a result table repeats of each example."""
    slices = [SLICE + name for name in examples[0].slices]
    names = ("cluster", *slices, "target", WEIGHT, "references")
    return columns_of(examples, ("id", *names)).rename_columns(["example_id", *names])


def _example_columns(examples: pa.Table) -> dict[str, Any]:
    import pyarrow as pa

    references = "references"
    absent = {WEIGHT} if examples[WEIGHT].null_count else set()
    absent |= {references} if examples[references].null_count == len(examples) else set()
    convert = {"cluster": _strings, WEIGHT: _numbers_in, references: _lists}
    names = [name for name in examples.column_names if name not in absent]
    return {name: convert.get(name, pa.ChunkedArray.to_pandas)(examples[name]) for name in names}


def _collect(answers: Iterable[Answer]) -> pa.Table:
    """Put answers into a table, block by block: as objects, a million of them take a gigabyte."""
    import pyarrow as pa

    iterator, schema = iter(answers), pa.schema([*_answer_types().items()])
    before, writer = list[pa.Table](), TableWriter(schema)
    while block := list(islice(iterator, BLOCK_ROWS)):
        columns = _pack_answers(block)
        added = [pa.field(name, column.type) for name, column in columns.items() if name not in schema.names]
        if added:
            before.append(writer.table())
            schema = pa.schema([*schema, *added])
            writer = TableWriter(schema)
        arrays = [columns.get(field.name, pa.nulls(len(block), field.type)) for field in schema]
        writer.add(pa.record_batch(arrays, schema=schema))
    return pa.concat_tables([*before, writer.table()], promote_options="default")


def _answer_types() -> dict[str, pa.DataType]:
    """Return the columns that there are whatever the answers have."""
    import pyarrow as pa

    types = dict.fromkeys(("example_id", "prediction", "error"), pa.large_string())
    types |= dict.fromkeys(("tokens_in", "tokens_out"), pa.int64())
    types |= dict.fromkeys(("truncated", UNANSWERED), pa.bool_())
    return types | dict.fromkeys(("latency_s", "compute_s"), pa.float64())


def _pack_answers(answers: Sequence[Answer]) -> dict[str, pa.Array]:
    """Return answers as columns, without those that none of them has anything for."""
    import pyarrow as pa

    text = pa.large_string()
    types = {**_answer_types(), "raw": text, BATCH: pa.int64(), **dict.fromkeys(_TIMES, pa.float64())}
    columns = {name: pa.array([getattr(answer, name) for answer in answers], kind) for name, kind in types.items()}
    columns["samples"] = pa.array([answer.samples or None for answer in answers], pa.list_(text))
    for name, numbers in _numbers(answers).items():
        columns[name] = pa.array(numbers, pa.float64())
    return {name: column for name, column in columns.items() if column.null_count < len(column)}


def _numbers(answers: Sequence[Answer]) -> dict[str, np.ndarray]:
    """Return the numbers whose columns the answers themselves decide; NaN where an answer lacks one."""
    numbers: dict[str, np.ndarray] = defaultdict(lambda: np.full(len(answers), np.nan))
    for row, answer in enumerate(answers):
        for name, score in answer.scores.items():
            numbers[SCORE + name][row] = score
        for name, value in answer.sums.items():
            numbers[SUM + name][row] = value
        for position, nats in enumerate(answer.loglik_nats):
            numbers[f"{_NATS}{position}"][row] = nats
    return numbers


def _answer_columns(answers: pa.Table, labels: Sequence[str]) -> dict[str, Any]:
    names = sorted(answers.column_names)
    columns: dict[str, Any] = {"prediction": _strings(answers["prediction"])}
    if "raw" in names:
        columns["raw"] = _strings(answers["raw"])
    if "samples" in names:
        columns["samples"] = _lists(answers["samples"])
    columns |= {name: _numbers_in(answers[name]) for name in names if name.startswith(SCORE)}
    if _NATS + "0" in names:
        none = np.full(len(answers), np.nan)  # of a label that no example has a choice for
        for position, label in enumerate(labels):
            name = f"{_NATS}{position}"
            columns[LOGLIK + label] = _numbers_in(answers[name]) if name in names else none.copy()
    columns |= {name: _numbers_in(answers[name]) for name in names if name.startswith(SUM)}
    columns |= {name: _numbers_in(answers[name]) for name in ("tokens_in", "tokens_out", *_TIMES) if name in names}
    if BATCH in names:
        columns[BATCH] = _numbered(answers[BATCH])
    is_unanswered = _numbers_in(answers[UNANSWERED])
    if is_unanswered.any():
        columns[UNANSWERED] = is_unanswered
    columns["truncated"] = _numbers_in(answers["truncated"])
    columns["error"] = _strings(answers["error"])
    return columns


def _strings(column: pa.ChunkedArray) -> Any:
    return pd.StringDtype().__from_arrow__(column)  # type: ignore[attr-defined]


def _numbers_in(column: pa.ChunkedArray) -> np.ndarray:
    """Return numbers that may be written to, as not every version of pandas takes everywhere those that may not."""
    return map_array(column.to_numpy())


def _lists(column: pa.ChunkedArray) -> list[list[str]]:
    return [texts or [] for texts in values_of(column)]


def _numbered(batches: pa.ChunkedArray) -> np.ndarray:
    """Batches by numbers (n,) in the order of the rows, negative ones for those of an earlier session.

    A row outside any batch is one of its own.
    """
    is_alone, known = batches.is_null().to_numpy(), batches.fill_null(0).to_numpy()
    keys = np.where(is_alone, known.max() + 1 + np.arange(len(known)), known)
    numbers = pd.factorize(keys)[0].astype(np.int64)
    return map_array(np.where(~is_alone & (known < 0), -1 - numbers, numbers))
