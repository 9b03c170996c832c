"""Rows ─▶ candidates: examples that may enter a split, before anything is drawn."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from mlbaseline.errors import DataError
from mlbaseline.progress import preparing
from mlbaseline.records import Example, Fields, digest_of
from mlbaseline.suite import Human, Suite, Task
from mlbaseline.tasks.data_errors import SHOWN, meant_column, no_column, quoted, raise_all
from mlbaseline.tasks.data_files import DataTable
from mlbaseline.tasks.prompting import placeholders, value_text
from mlbaseline.tasks.targets import MakeTargetReader, TargetReader
from mlbaseline.values import as_text, is_missing

_ID_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Candidate:
    """An example, not yet sliced.

    Two with equal `content` (a digest) are duplicates: a model is shown the same, give or take case, white space and
    Unicode form, whatever their targets.
    """

    example: Example
    content: bytes


class LeftOutReason(str, Enum):
    """Why a row cannot be used, by the name of its count."""

    WITHOUT_TARGET = "dropped_without_target"
    EMPTY_PROMPT = "dropped_empty_prompt"
    EMPTY_CHOICE = "dropped_empty_choice"


_REASONS: Mapping[LeftOutReason, str] = {
    LeftOutReason.WITHOUT_TARGET: "have no target",
    LeftOutReason.EMPTY_PROMPT: "have nothing in a column that the prompt shows",
    LeftOutReason.EMPTY_CHOICE: "lack a choice",
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
            self.notes.append(f"{file}: {len(rows):,} rows {_REASONS[reason]} and are left out: row {first}")


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
) -> dict[str, list[Candidate]]:
    """Make candidates of the usable rows of each file, in its order; what is left out is added to `left_out`.

    Args:
        task: The task of the suite.
        tables: File ─▶ its table.
        left_out: Rows that were left out; it is added to.
        make_reader: Makes the reader of the target column from all usable rows.

    Raises:
        DataError: A target is none of the choices, or an id is missing or not unique.
    """
    rows = {name: _usable_rows(task, table, left_out) for name, table in tables.items()}
    targets = make_reader([values for usable in rows.values() for _, values in usable])
    found: dict[str, list[Candidate]] = {}
    for name, usable in rows.items():
        maker = _Maker(task, targets, tables[name])
        found[name] = [maker.make(*row) for row in preparing(usable, f"Preparing {tables[name].path.name}")]
    targets.raise_errors()
    if task.columns.id is not None:
        _check_ids([candidate.example.id for candidates in found.values() for candidate in candidates])
    return found


def _usable_rows(task: Task, table: DataTable, left_out: LeftOut) -> list[tuple[int, Fields]]:
    shown = [task.columns.fields.get(name, name) for name in placeholders(task.prompt)]
    choices = task.columns.choices or ()
    usable = []
    numbers: dict[LeftOutReason, list[int]] = {reason: [] for reason in LeftOutReason}
    for row in table.rows:
        number, values = row
        if is_missing(values[task.columns.target]):
            numbers[LeftOutReason.WITHOUT_TARGET].append(number)
        elif any(is_missing(values[column]) for column in shown):
            numbers[LeftOutReason.EMPTY_PROMPT].append(number)
        elif any(is_missing(values[column]) for column in choices):
            numbers[LeftOutReason.EMPTY_CHOICE].append(number)
        else:
            usable.append(row)
    for reason, rows in numbers.items():
        left_out.add(table.path.name, reason, rows)
    return usable


class _Maker:
    """Makes candidates of the rows of one table."""

    def __init__(self, task: Task, targets: TargetReader, table: DataTable) -> None:
        columns = task.columns
        self._task, self._targets, self._file = task, targets, table.path.name
        # Named by what the model is shown, not by the wording around it: a new template keeps ids and splits.
        self._shown = sorted({columns.fields.get(name, name) for name in placeholders(task.prompt)})
        self._places = {column: place for place, column in enumerate(table.columns)}
        self._places |= {field: self._places[column] for field, column in columns.fields.items()}
        self._choices, self._id, self._cluster = columns.choices or (), columns.id, columns.cluster

    def make(self, number: int, values: Fields) -> Candidate:
        where = f"{self._file}, row {number}"
        own_choices = tuple(as_text(values[column]) for column in self._choices)
        texts = (*(value_text(values[column]) for column in self._shown), *own_choices)
        id = self._name(values, texts, where)
        cluster = None
        if self._cluster is not None:
            cluster = f"alone:{id}" if is_missing(values[self._cluster]) else as_text(values[self._cluster])
        target, *references = self._targets.read(values, where)
        example = Example(
            id=id,
            fields=values.under(self._places),
            target=target,
            choices=own_choices or self._task.labels,
            cluster=cluster,
            references=tuple(references),
        )
        return Candidate(example, content_of(texts))

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
    """Return the `content` of a candidate: 16 bytes, as the texts of a large table would take its memory again.

    Args:
        texts: What the model is shown of it.
    """
    # White space, to which \x1f belongs, is one blank by then.
    return hashlib.blake2b(
        "\x1f".join(map(_normalise, texts)).encode("utf-8", "surrogatepass"), digest_size=16
    ).digest()


def _normalise(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _check_ids(ids: list[str]) -> None:
    repeated = [id for id, times in Counter(ids).items() if times > 1]
    if repeated:
        raise DataError(
            f"data: {len(repeated)} ids stand at more than one row (first: {', '.join(repeated[:SHOWN])}); ids must "
            "be unique over all splits. Leave `columns.id` out to name examples by their content."
        )
