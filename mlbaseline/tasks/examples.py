"""Rows ─▶ candidates: examples that may enter a split, before anything is drawn."""

from __future__ import annotations

import hashlib
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from mlbaseline import formats
from mlbaseline.errors import DataError
from mlbaseline.progress import preparing
from mlbaseline.records import ExampleTable, Fields, digest_of, pack, without_empty
from mlbaseline.suite import Human, Suite, Task
from mlbaseline.tasks.data_errors import SHOWN, meant_column, no_column, quoted, raise_all
from mlbaseline.tasks.data_files import DataTable, RowTable
from mlbaseline.tasks.prompting import placeholders, value_text
from mlbaseline.tasks.targets import MakeTargetReader, TargetReader
from mlbaseline.values import as_text, is_missing

if TYPE_CHECKING:
    import pyarrow as pa

CONTENT = "content"
"""Column of candidates: a digest. Two with equal content are duplicates: a model is shown the same, give or take case,
white space and Unicode form, whatever their targets."""
_CONTENT_BYTES = 16
_ID_CHARACTERS = 16


class LeftOutReason(str, Enum):
    """Why a row cannot be used, by the name of its count."""

    WITHOUT_TARGET = "dropped_without_target"
    EMPTY_PROMPT = "dropped_empty_prompt"
    EMPTY_CHOICE = "dropped_empty_choice"


_REASONS: Mapping[LeftOutReason, str] = {
    LeftOutReason.WITHOUT_TARGET: "without a target",
    LeftOutReason.EMPTY_PROMPT: "with nothing in a column that the prompt shows",
    LeftOutReason.EMPTY_CHOICE: "without one of the choices",
}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows that were left out. counts: by reason. notes: file, reason and the first rows, for a person."""

    counts: Counter[str]
    notes: list[str] = field(default_factory=list)

    def add(self, file: str, reason: LeftOutReason, rows: Sequence[int]) -> None:
        """Add the rows of one file, by their numbers."""
        self.counts[reason.value] += len(rows)
        if rows:
            first = ", ".join(map(str, rows[:SHOWN])) + ", …" * (len(rows) > SHOWN)
            self.notes.append(f"{file}: left out {formats.counted(len(rows), 'row')} {_REASONS[reason]}: row {first}")


def check_columns(suite: Suite, tables: Mapping[str, DataTable]) -> None:
    """Raise DataError, with every problem, where the files lack a column that the suite names."""
    task = suite.task
    problems = list(_prompt_errors(task, {column for table in tables.values() for column in table.columns}))
    for table in tables.values():
        there = {*table.columns, *task.columns.fields}
        for role, column in _named_columns(suite):
            if column not in (there if role.startswith("task.slices") else table.columns):
                problems.append(f"{role}: {no_column(column, table.columns, f' in {table.path.name}')}")
    raise_all("data", problems)


def _named_columns(suite: Suite) -> Iterator[tuple[str, str]]:
    """(path in the suite, column that it names)"""
    columns = suite.task.columns
    yield "task.columns.target", columns.target
    if columns.id is not None:
        yield "task.columns.id", columns.id
    if columns.cluster is not None:
        yield "task.columns.cluster", columns.cluster
    for position, column in enumerate(columns.choices or ()):
        yield f"task.columns.choices.{position}", column
    for name, column in columns.fields.items():
        yield f"task.columns.{name}", column
    for name, slicing in suite.task.slices.items():
        if slicing.column is not None:
            yield f"task.slices.{name}.column", slicing.column
    for name, spec in suite.baselines.items():
        if isinstance(spec, Human) and spec.agreement is not None:
            yield f"baselines.{name}.agreement", spec.agreement


def _prompt_errors(task: Task, columns: set[str]) -> Iterator[str]:
    try:
        names = placeholders(task.prompt)
    except DataError as error:
        yield str(error)
        return
    fields = task.columns.fields
    known = sorted(columns | set(fields))
    for name in names:
        if fields.get(name, name) == task.columns.target and not task.prompt_may_show_target:
            yield f"prompt: {{{name}}} shows the model the target"
        elif name not in known:
            near = meant_column(name, known)
            yield f"prompt: {{{name}}} is neither a column nor a field; there are: {quoted(known)}{near}"
    if not names and task.columns.choices is None:
        yield f"prompt: names no field, so that all examples would be the same; there are: {quoted(known)}"


def build_candidates(
    task: Task, tables: Mapping[str, DataTable], left_out: LeftOut, make_reader: MakeTargetReader
) -> dict[str, ExampleTable]:
    """Make candidates of the usable rows of each file, in its order; what is left out is added to `left_out`.

    Args:
        task: The task of the suite.
        tables: File ─▶ its table.
        left_out: Rows that were left out; it is added to.
        make_reader: Makes the reader of the target column from all usable rows.

    Returns:
        Examples that may enter a split, not yet sliced, with their `CONTENT`.

    Raises:
        DataError: A target is none of the choices, or an id is missing or not unique.
    """
    rows = {name: _usable_rows(task, table, left_out) for name, table in tables.items()}
    targets = make_reader([*rows.values()])
    found: dict[str, ExampleTable] = {}
    for name, usable in rows.items():
        maker = _Maker(task, targets, tables[name])
        made = (maker.make(*row) for row in preparing(usable, f"Preparing {tables[name].path.name}"))
        table = without_empty(pack(made, candidate_schema())).append_column("values", usable.table["values"])
        found[name] = ExampleTable(table, maker.places, task.labels)
    targets.raise_errors()
    if task.columns.id is not None:
        _check_ids([*found.values()])
    return found


def candidate_schema() -> pa.Schema:
    """Return the columns of candidates beside `values`."""
    import pyarrow as pa

    text, texts = pa.large_string(), pa.list_(pa.large_string())
    columns = [("id", text), ("target", text), ("cluster", text), ("choices", texts), ("references", texts)]
    return pa.schema([*columns, (CONTENT, pa.binary(_CONTENT_BYTES))])


def _usable_rows(task: Task, table: DataTable, left_out: LeftOut) -> RowTable:
    shown = [task.columns.fields.get(name, name) for name in placeholders(task.prompt)]
    choices = task.columns.choices or ()
    usable = array("q")
    numbers: dict[LeftOutReason, list[int]] = {reason: [] for reason in LeftOutReason}
    for position, (number, values) in enumerate(table.rows):
        if is_missing(values[task.columns.target]):
            numbers[LeftOutReason.WITHOUT_TARGET].append(number)
        elif any(is_missing(values[column]) for column in shown):
            numbers[LeftOutReason.EMPTY_PROMPT].append(number)
        elif any(is_missing(values[column]) for column in choices):
            numbers[LeftOutReason.EMPTY_CHOICE].append(number)
        else:
            usable.append(position)
    for reason, rows in numbers.items():
        left_out.add(table.path.name, reason, rows)
    return table.rows if len(usable) == len(table.rows) else table.rows.take(np.asarray(usable))


class _Maker:
    """Makes candidates of the rows of one table."""

    def __init__(self, task: Task, targets: TargetReader, table: DataTable) -> None:
        columns = task.columns
        self._task, self._targets, self._file = task, targets, table.path.name
        # Named by what the model is shown, not by the wording around it: a new template keeps ids and splits.
        self._shown = sorted({columns.fields.get(name, name) for name in placeholders(task.prompt)})
        self.places = {column: place for place, column in enumerate(table.columns)}
        self.places |= {field: self.places[column] for field, column in columns.fields.items()}
        self._choices, self._id, self._cluster = columns.choices or (), columns.id, columns.cluster

    def make(self, number: int, values: Fields) -> tuple[Any, ...]:
        """Return the columns of `candidate_schema`."""
        where = f"{self._file}, row {number}"
        own_choices = [as_text(values[column]) for column in self._choices]
        texts = (*(value_text(values[column]) for column in self._shown), *own_choices)
        id = self._name(values, texts, where)
        cluster = None
        if self._cluster is not None:
            cluster = f"alone:{id}" if is_missing(values[self._cluster]) else as_text(values[self._cluster])
        target, *references = self._targets.read(values, where)
        return id, target, cluster, own_choices or None, references or None, content_of(texts)

    def _name(self, values: Fields, texts: Sequence[str], where: str) -> str:
        if self._id is None:
            return content_id(texts)
        if is_missing(values[self._id]):
            raise DataError(f"{where}: column {self._id!r} is to name the examples, and is empty here")
        return as_text(values[self._id])


def content_id(texts: Sequence[str]) -> str:
    """Name an example by its content.

    Args:
        texts: What the model is shown of it, in the order of the columns' names.
    """
    return digest_of(texts)[:_ID_CHARACTERS]


def content_of(texts: Sequence[str]) -> bytes:
    """Return the `CONTENT` of a candidate: 16 bytes, as the texts of a large table would take its memory again.

    Args:
        texts: What the model is shown of it.
    """
    # White space, to which \x1f belongs, is one blank by then.
    return hashlib.blake2b(
        "\x1f".join(map(_normalise, texts)).encode("utf-8", "surrogatepass"), digest_size=_CONTENT_BYTES
    ).digest()


def _normalise(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _check_ids(files: Sequence[ExampleTable]) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    ids = pa.chunked_array([chunk for examples in files for chunk in examples.table["id"].chunks], pa.large_string())
    times = pc.value_counts(ids)
    repeated = times.filter(pc.greater(times.field("counts"), 1)).field("values")
    if len(repeated):
        first = ", ".join(repeated[:SHOWN].to_pylist())
        raise DataError(
            f"data: {len(repeated)} ids stand at more than one row (first: {first}); ids must "
            "be unique over all splits. Leave `columns.id` out to name examples by their content."
        )
