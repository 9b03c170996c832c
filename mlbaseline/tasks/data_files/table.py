"""The rows of a data file, in the form that JSON has, whatever format they come from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbaseline.errors import DataError
from mlbaseline.records import Fields
from mlbaseline.tasks.data_errors import quoted

_SHARED_TEXTS, _SHARED_CHARACTERS = 4096, 64


@dataclass(frozen=True, slots=True)
class DataTable:
    """The rows of one data file, values as JSON has them.

    replaced_characters: broken bytes, each replaced by U+FFFD. ragged: rows left out because their number of cells is
    not the header's: which cell is missing or too much, nobody can tell. notes: where both are, for a person.
    format: as the suite names it.
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[tuple[int, Fields]]
    replaced_characters: int = 0
    ragged: int = 0
    notes: tuple[str, ...] = ()
    format: str = ""


class RowCollector:
    """Collects the rows of a table as they are read, in little memory."""

    def __init__(self, columns: Iterable[str] = ()) -> None:
        self.columns = {column: place for place, column in enumerate(columns)}
        self.rows: list[tuple[int, Fields]] = []
        self.broken: Counter[str] = Counter()
        self._shared: dict[str, str] = {}

    def add(self, number: int, values: Iterable[Any]) -> None:
        self.rows.append((number, Fields(self.columns, tuple(map(self._share, values)))))

    def add_object(self, number: int, content: Any, path: Path) -> None:
        """Add a row that may have columns that earlier rows lack; these have None there."""
        if not isinstance(content, dict):
            raise DataError(f"{path}: row {number}: expected an object with the columns, got {type(content).__name__}")
        for column in content:
            self.columns.setdefault(column, len(self.columns))
        self.add(number, [plain(content.get(column), self.broken) for column in self.columns])

    def _share(self, value: Any) -> Any:
        """Return one object for equal short texts, such as labels, as long as there are few of them."""
        if not isinstance(value, str) or len(value) > _SHARED_CHARACTERS:
            return value
        if len(self._shared) < _SHARED_TEXTS:
            return self._shared.setdefault(value, value)
        return self._shared.get(value, value)

    def table(self, path: Path, *, replaced: int = 0, ragged: int = 0, notes: tuple[str, ...] = ()) -> DataTable:
        """Return the table of the rows so far. Beside what `DataTable` says, replaced: characters of the file."""
        return DataTable(path, tuple(self.columns), self.rows, replaced + self.broken.total(), ragged, notes)


def check_header(path: Path, header: Sequence[str]) -> None:
    """Raise DataError where the header names a column twice."""
    repeated = sorted({column for column in header if header.count(column) > 1})
    if repeated:
        raise DataError(f"{path}: the header names {quoted(repeated)} more than once: {quoted(header)}")


def plain(value: Any, broken: Counter[str]) -> Any:
    """Return a value as JSON has it, so that a row has one canonical form to hash.

    Args:
        value: A cell of a table.
        broken: Counts the characters that are replaced.
    """
    match value:
        case float() if not math.isfinite(value):
            return None if math.isnan(value) else str(value)
        case None | bool() | int() | float():
            return value
        case dict():
            return {str(key): plain(item, broken) for key, item in value.items()}
        case list():
            return [plain(item, broken) for item in value]
        case bytes():
            text = value.decode("utf-8", "replace")
            broken["bytes"] += text.count("\ufffd") - value.count("\ufffd".encode())
            return text
        case _:  # dates, times and decimals become text
            return _without_surrogates(str(value), broken)


def _without_surrogates(text: str, broken: Counter[str]) -> str:
    """Replace halves of characters, which JSON can escape (`"\\ud83d"`) and neither tokenizers nor Parquet take."""
    if text.isascii():
        return text
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    broken["surrogates"] += whole.count("\ufffd") - text.count("\ufffd")
    return whole
