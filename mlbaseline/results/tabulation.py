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
    TaskData,
    by_id,
    pack,
    release_unused_memory,
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
    ordered = _by_id(collected, examples["example_id"], baseline)
    columns = _example_columns(examples) | _answer_columns(ordered, data.labels)
    table = ResultTable(baseline, kind, seed, signature, pd.DataFrame(columns, copy=False))
    del ordered, columns
    validate(table)
    release_unused_memory()
    return table


def _by_id(answers: dict[str, pa.ChunkedArray], ids: pa.ChunkedArray, baseline: str) -> dict[str, pa.ChunkedArray]:
    """Return the columns of answers in the order of ids. `answers` is emptied, so that no column stands twice.

    Raises:
        DataError: There is not one answer for each id.
    """
    import pyarrow.compute as pc

    given = answers.pop("example_id")
    order = pc.sort_indices(given)
    if not given.take(order).equals(ids):
        raise _misfit(ids.to_pylist(), given.to_pylist(), baseline)
    return {name: answers.pop(name).take(order) for name in sorted(answers)}


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
    import pyarrow as pa

    text = pa.large_string()
    slices = tuple(examples[0].slices)
    columns = [("example_id", text), ("cluster", text), *((SLICE + name, text) for name in slices), ("target", text)]
    columns += [(WEIGHT, pa.float64()), ("references", pa.list_(text))]
    rows = (
        (e.id, e.cluster, *(e.slices[name] for name in slices), e.target, e.weight, e.references or None)
        for e in examples
    )
    return pack(rows, pa.schema(columns))


def _example_columns(examples: pa.Table) -> dict[str, Any]:
    import pyarrow as pa

    references = "references"
    absent = {WEIGHT} if examples[WEIGHT].null_count else set()
    absent |= {references} if examples[references].null_count == len(examples) else set()
    convert = {"cluster": _strings, WEIGHT: _owned, references: _lists}
    names = [name for name in examples.column_names if name not in absent]
    return {name: convert.get(name, pa.ChunkedArray.to_pandas)(examples[name]) for name in names}


def _collect(answers: Iterable[Answer]) -> dict[str, pa.ChunkedArray]:
    """Put answers into columns, block by block: as objects, a million of them take a gigabyte."""
    import pyarrow as pa

    iterator, blocks = iter(answers), [pa.schema([*_answer_types().items()]).empty_table()]
    while block := list(islice(iterator, BLOCK_ROWS)):
        blocks.append(_pack_answers(block))
    table = pa.concat_tables(blocks, promote_options="default")
    return {name: table[name] for name in table.column_names}


def _answer_types() -> dict[str, pa.DataType]:
    """Return the columns that there are whatever the answers have."""
    import pyarrow as pa

    types = dict.fromkeys(("example_id", "prediction", "error"), pa.large_string())
    types |= dict.fromkeys(("tokens_in", "tokens_out"), pa.int64())
    types |= dict.fromkeys(("truncated", UNANSWERED), pa.bool_())
    return types | dict.fromkeys(("latency_s", "compute_s"), pa.float64())


def _pack_answers(answers: Sequence[Answer]) -> pa.Table:
    """Return answers as columns, without those that none of them has anything for."""
    import pyarrow as pa

    text = pa.large_string()
    types = {**_answer_types(), "raw": text, BATCH: pa.int64(), **dict.fromkeys(_TIMES, pa.float64())}
    columns = {name: pa.array([getattr(answer, name) for answer in answers], kind) for name, kind in types.items()}
    columns["samples"] = pa.array([answer.samples or None for answer in answers], pa.list_(text))
    for name, numbers in _numbers(answers).items():
        columns[name] = pa.array(numbers, pa.float64())
    return pa.table({name: column for name, column in columns.items() if column.null_count < len(column)})


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


def _answer_columns(answers: dict[str, pa.ChunkedArray], labels: Sequence[str]) -> dict[str, Any]:
    """Return the columns of a result table. `answers` loses its numbers, so that none of them stands twice."""
    names = sorted(answers)
    columns: dict[str, Any] = {"prediction": _strings(answers["prediction"])}
    if "raw" in names:
        columns["raw"] = _strings(answers["raw"])
    if "samples" in names:
        columns["samples"] = _lists(answers["samples"])
    columns |= {name: _owned(answers.pop(name)) for name in names if name.startswith(SCORE)}
    if _NATS + "0" in names:
        none = np.full(len(answers["error"]), np.nan)  # of a label that no example has a choice for
        for position, label in enumerate(labels):
            name = f"{_NATS}{position}"
            columns[LOGLIK + label] = _owned(answers.pop(name)) if name in names else none.copy()
    columns |= {name: _owned(answers.pop(name)) for name in names if name.startswith(SUM)}
    columns |= {name: _owned(answers.pop(name)) for name in ("tokens_in", "tokens_out", *_TIMES) if name in names}
    if BATCH in names:
        columns[BATCH] = _numbered(answers.pop(BATCH))
    is_unanswered = _owned(answers.pop(UNANSWERED))
    if is_unanswered.any():
        columns[UNANSWERED] = is_unanswered
    columns["truncated"] = _owned(answers.pop("truncated"))
    columns["error"] = _strings(answers["error"])
    return columns


def _strings(column: pa.ChunkedArray) -> Any:
    return pd.StringDtype().__from_arrow__(column)  # type: ignore[attr-defined]


def _owned(column: pa.ChunkedArray) -> np.ndarray:
    """Return numbers that may be written to, as not every version of pandas takes everywhere those that may not."""
    numbers: np.ndarray = column.to_numpy()
    return numbers if numbers.flags.writeable else numbers.copy()


def _lists(column: pa.ChunkedArray) -> list[list[str]]:
    return [texts or [] for texts in values_of(column)]


def _numbered(batches: pa.ChunkedArray) -> np.ndarray:
    """Batches by numbers (n,) in the order of the rows, negative ones for those of an earlier session.

    A row outside any batch is one of its own.
    """
    is_alone, known = batches.is_null().to_numpy(), batches.fill_null(0).to_numpy()
    keys = np.where(is_alone, known.max() + 1 + np.arange(len(known)), known)
    numbers = pd.factorize(keys)[0].astype(np.int64)
    signed: np.ndarray = np.where(~is_alone & (known < 0), -1 - numbers, numbers)
    return signed
