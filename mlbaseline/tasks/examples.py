"""Rows ─▶ candidates: examples that may enter a split, before anything is drawn."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlbaseline.errors import DataError
from mlbaseline.progress import preparing
from mlbaseline.records import Example, Fields, digest_of
from mlbaseline.suite import ChoiceTask, Human, PerplexityTask, Suite, Task
from mlbaseline.tasks.data_files import DataTable
from mlbaseline.tasks.prompting import placeholders, value_text
from mlbaseline.values import as_text, is_missing

_ID_CHARACTERS = 16
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """An example, not yet sliced. Two with equal `content` (a digest) are duplicates: a model is shown the same, give
    or take case, white space and Unicode form, whatever their targets."""

    example: Example
    content: bytes


def check_columns(suite: Suite, tables: Mapping[str, DataTable]) -> None:
    """Every column that the suite names is there. Raises DataError with all problems found."""
    task = suite.task
    problems = list(_prompt_problems(task, {column for table in tables.values() for column in table.columns}))
    for table in tables.values():
        there = {*table.columns, *task.columns.fields}
        for role, column in _named_columns(suite):
            if column not in (there if role.startswith("task.slices") else table.columns):
                problems.append(
                    f"{role}: no column {column!r} in {table.path.name}, which has: {', '.join(table.columns)}"
                )
    raise_all("data", problems)


def raise_all(where: str, problems: Sequence[str]) -> None:
    """Raise DataError with every problem, if there is one."""
    if problems:
        raise DataError(
            f"{where}: " + "\n".join(problems if len(problems) == 1 else ["", *(f"  - {p}" for p in problems)])
        )


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
    for field, column in columns.fields.items():
        yield f"task.columns.{field}", column
    for name, slicing in suite.task.slices.items():
        yield f"task.slices.{name}.column", slicing.column
    for name, spec in suite.baselines.items():
        if isinstance(spec, Human) and spec.agreement is not None:
            yield f"baselines.{name}.agreement", spec.agreement


def _prompt_problems(task: Task, columns: set[str]) -> Iterator[str]:
    try:
        names = placeholders(task.prompt)
    except DataError as error:
        yield str(error)
        return
    fields = task.columns.fields
    known = sorted(columns | set(fields))
    for name in names:
        if fields.get(name, name) == task.columns.target and not isinstance(task, PerplexityTask):
            yield f"prompt: {{{name}}} shows the model the target"
        elif name not in known:
            yield f"prompt: {{{name}}} is neither a column nor a field; there is: {', '.join(known)}"
    if not names and task.columns.choices is None:
        yield f"prompt: names no field, so that all examples would be the same; there is: {', '.join(known)}"


def _raise_first(problems: Sequence[str], remedy: str) -> None:
    shown = list(problems[:_SHOWN])
    if len(problems) > _SHOWN:
        shown.append(f"… and {len(problems) - _SHOWN} rows more; {remedy}")
    raise_all("data", shown)


def build_candidates(task: Task, tables: Mapping[str, DataTable], counts: Counter[str]) -> dict[str, list[Candidate]]:
    """The usable rows of each file, in its order; what is left out is added to `counts`.

    Raises DataError for a target outside the choices, and for an id that is missing or not unique.
    """
    rows = {name: _usable_rows(task, table, counts) for name, table in tables.items()}
    targets = _targets(task, [values for usable in rows.values() for _, values in usable])
    found: dict[str, list[Candidate]] = {}
    for name, usable in rows.items():
        maker = _Maker(task, targets, tables[name])
        found[name] = [maker.make(*row) for row in preparing(usable, f"Preparing {tables[name].path.name}")]
    targets.raise_problems()
    if task.columns.id is not None:
        _check_ids([candidate.example.id for candidates in found.values() for candidate in candidates])
    return found


def _usable_rows(task: Task, table: DataTable, counts: Counter[str]) -> list[tuple[int, Fields]]:
    shown = [task.columns.fields.get(name, name) for name in placeholders(task.prompt)]
    choices = task.columns.choices or ()
    usable = []
    for row in table.rows:
        _, values = row
        if is_missing(values[task.columns.target]):
            counts["dropped_without_target"] += 1
        elif any(is_missing(values[column]) for column in shown):
            counts["dropped_empty_prompt"] += 1
        elif any(is_missing(values[column]) for column in choices):
            counts["dropped_empty_choice"] += 1
        else:
            usable.append(row)
    return usable


class _Maker:
    """Makes candidates of the rows of one table."""

    def __init__(self, task: Task, targets: _Targets | _Texts, table: DataTable) -> None:
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
            return digest_of(texts)[:_ID_CHARACTERS]
        if is_missing(values[self._id]):
            raise DataError(f"{where}: column {self._id!r} is to name the examples, and is empty here")
        return as_text(values[self._id])


def content_of(texts: Sequence[str]) -> bytes:
    """What `Candidate.content` is of texts: 16 bytes, where the texts of a large table would fill its memory again."""
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
            f"data: {len(repeated)} ids stand at more than one row (first: {', '.join(repeated[:_SHOWN])}); ids must "
            "be unique over all splits. Leave `columns.id` out to name examples by their content."
        )


def _targets(task: Task, rows: Sequence[Mapping[str, Any]]) -> _Targets | _Texts:
    return _Targets(task, rows) if isinstance(task, ChoiceTask) else _Texts(task)


class _Texts:
    """Reads the target column of answers in any words: a text, or a list of texts that are all accepted."""

    def __init__(self, task: Task) -> None:
        self._column = task.columns.target
        self._problems: list[str] = []

    def read(self, values: Mapping[str, Any], where: str) -> list[str]:
        """The accepted texts of one row; an empty one, and a problem on record, where there is none."""
        found = values[self._column]
        accepted = found if isinstance(found, list) else [found]
        if not accepted or any(is_missing(text) or isinstance(text, list | dict) for text in accepted):
            self._problems.append(f"{where}: target {found!r} is neither a text nor a list of texts")
            return [""]
        return list(dict.fromkeys(map(as_text, accepted)))

    def raise_problems(self) -> None:
        _raise_first(self._problems, "correct or remove the rows")


class _Targets:
    """Reads the target column. With choices of their own per example, a target is the text of the right one or its
    position; which of the two is a fact of the whole column, not of a row, or a choice "1" would be misread."""

    def __init__(self, task: ChoiceTask, rows: Sequence[Mapping[str, Any]]) -> None:
        self._task = task
        self._problems: list[str] = []
        self._by_position = task.columns.choices is not None and self._positions_fit_better(rows)

    def read(self, values: Mapping[str, Any], where: str) -> list[str]:
        """The label of one row; the first choice, and a problem on record, where the target is none of them."""
        target = values[self._task.columns.target]
        if self._task.columns.choices is None:
            label = as_text(target) if as_text(target) in self._task.labels else None
            expected: Sequence[str] = self._task.labels
        else:
            label = self._position(values) if self._by_position else self._match(values)
            texts = [as_text(values[column]) for column in self._task.columns.choices]
            expected = self._task.labels if self._by_position else texts
        if label is None:
            self._problems.append(f"{where}: target {target!r} is none of the choices {list(expected)}")
        return [label or self._task.labels[0]]

    def raise_problems(self) -> None:
        _raise_first(self._problems, "add the choice, or correct or remove the rows")

    def _position(self, values: Mapping[str, Any]) -> str | None:
        target = as_text(values[self._task.columns.target]).strip()
        return target if target in self._task.labels else None

    def _match(self, values: Mapping[str, Any]) -> str | None:
        texts = [as_text(values[column]) for column in self._task.columns.choices or ()]
        target = as_text(values[self._task.columns.target])
        return str(texts.index(target)) if texts.count(target) == 1 else None

    def _positions_fit_better(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        by_position = [self._position(values) for values in rows]
        by_text = [self._match(values) for values in rows]
        if None not in by_position and None not in by_text and by_position != by_text:
            values = next(v for v, a, b in zip(rows, by_position, by_text, strict=True) if a != b)
            target = values[self._task.columns.target]
            raise DataError(
                "data: the targets are valid both as positions and as texts of the choices, and the two disagree "
                f"(first: target {target!r} of {[values[column] for column in self._task.columns.choices or ()]}); "
                "give texts that are no positions, or positions that are no texts"
            )
        return by_position.count(None) <= by_text.count(None)
