"""The target column: a label among choices, or the accepted texts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Protocol

import yaml

from mlbaseline import formats
from mlbaseline.errors import DataError
from mlbaseline.suite import ChoiceTask, Task
from mlbaseline.tasks.data_errors import raise_first, visible_form
from mlbaseline.values import NumberedRow, as_text, is_missing

_SHOWN_VALUES = 5


class TargetReader(Protocol):
    """Reads the target column of rows."""

    def read(self, values: Mapping[str, Any], where: str) -> list[str]:
        """Return the accepted answers of one row, the target first; a row without a target is noted as an error."""
        ...

    def raise_errors(self) -> None:
        """Raise DataError if a row had no valid target."""
        ...


UsableRows = Sequence[Iterable[NumberedRow]]
"""The usable rows of each file."""
MakeTargetReader = Callable[[UsableRows], TargetReader]
"""All usable rows ─▶ the reader of their targets."""


class TextTargets:
    """Reads the target column of tasks without labels: a text, or a list of texts that are all accepted."""

    def __init__(self, task: Task) -> None:
        self._column = task.columns.target
        self._problems: list[str] = []

    def read(self, values: Mapping[str, Any], where: str) -> list[str]:
        """Return the accepted texts of one row; an empty one, and a noted error, where there is none."""
        found = values[self._column]
        accepted = found if isinstance(found, list) else [found]
        if not accepted or any(is_missing(text) or isinstance(text, list | dict) for text in accepted):
            self._problems.append(f"{where}: target {found!r} is neither a text nor a list of texts")
            return [""]
        return list(dict.fromkeys(map(as_text, accepted)))

    def raise_errors(self) -> None:
        raise_first(self._problems, "correct or remove the rows")


@dataclass
class _Alike:
    """A target that is no choice and looks like one. first: the place of its first row."""

    meant: str
    first: str
    n_rows: int = 0


class LabelTargets:
    """Reads the target column.

    With choices of their own per example, a target is the text of the right one or its position; which of the two is a
    fact of the whole column, not of a row, or a choice "1" would be misread.
    """

    def __init__(self, task: ChoiceTask, rows: UsableRows) -> None:
        self._task = task
        self._problems: list[str] = []
        self._alike: dict[str, _Alike] = {}
        self._by_position = task.columns.choices is not None and self._positions_fit_better(rows)

    def read(self, values: Mapping[str, Any], where: str) -> list[str]:
        """Return the label of one row; the first one, and a noted error, where the target is none of them."""
        target = values[self._task.columns.target]
        if self._task.columns.choices is None:
            text = as_text(target)
            label = self._task.target_map.get(text, text if text in self._task.labels else None)
            expected: Sequence[str] = self._task.labels
            if label is None and (meant := self._meant(text)) is not None:
                self._alike.setdefault(text, _Alike(meant, where)).n_rows += 1
                return [meant]
        else:
            label = self._position(values) if self._by_position else self._match(values)
            texts = [as_text(values[column]) for column in self._task.columns.choices]
            expected = self._task.labels if self._by_position else texts
        if label is None:
            self._problems.append(f"{where}: target {target!r} is none of the choices {list(expected)}")
        return [label or self._task.labels[0]]

    def raise_errors(self) -> None:
        alike = [self._alike_problem()] if self._alike else []
        raise_first([*alike, *self._problems], "add the choice, or correct or remove the rows")

    def _alike_problem(self) -> str:
        shown = [
            f"{text!r} ({formats.counted(each.n_rows, 'row')}, first {each.first})"
            for text, each in islice(self._alike.items(), _SHOWN_VALUES)
        ]
        more = ", …" if len(self._alike) > len(shown) else ""
        key = {"target_map": {text: each.meant for text, each in self._alike.items()}}
        written = yaml.safe_dump(key, default_flow_style=True, allow_unicode=True, width=math.inf).strip()[1:-1]
        return (
            f"targets differ from the choices {list(self._task.labels)} in case or white space: "
            f"{', '.join(shown)}{more}; correct the file, or write into `task`: {written}"
        )

    def _meant(self, text: str) -> str | None:
        """Return the only choice that looks like a target, give or take case and white space; None: there is none."""
        alike = [label for label in self._task.labels if visible_form(label) == visible_form(text)]
        return alike[0] if len(alike) == 1 else None

    def _position(self, values: Mapping[str, Any]) -> str | None:
        target = as_text(values[self._task.columns.target]).strip()
        return target if target in self._task.labels else None

    def _match(self, values: Mapping[str, Any]) -> str | None:
        texts = [as_text(values[column]) for column in self._task.columns.choices or ()]
        target = as_text(values[self._task.columns.target])
        return str(texts.index(target)) if texts.count(target) == 1 else None

    def _positions_fit_better(self, rows: UsableRows) -> bool:
        misses: Counter[str] = Counter()
        ambiguous: Mapping[str, Any] | None = None
        for _, values in chain(*rows):
            by_position, by_text = self._position(values), self._match(values)
            misses["position"] += by_position is None
            misses["text"] += by_text is None
            if ambiguous is None and by_position != by_text:
                ambiguous = values
        if ambiguous is not None and not misses.total():
            target = ambiguous[self._task.columns.target]
            raise DataError(
                "data: the targets are valid both as positions and as texts of the choices, and the two disagree "
                f"(first: target {target!r} of {[ambiguous[column] for column in self._task.columns.choices or ()]}); "
                "give texts that are no positions, or positions that are no texts"
            )
        return misses["position"] <= misses["text"]
