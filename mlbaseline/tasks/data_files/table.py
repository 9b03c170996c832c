"""The rows of a data file, in the form that JSON has, whatever format they come from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbaseline.errors import DataError
from mlbaseline.records import (
    BLOCK_ROWS,
    Fields,
    PackedSequence,
    Positions,
    TableWriter,
    list_json,
    list_values,
    pack_block,
    take_rows,
    to_json,
)
from mlbaseline.tasks.data_errors import quoted

if TYPE_CHECKING:
    import pyarrow as pa


class RowTable(PackedSequence[tuple[int, Fields]]):
    """Numbered rows, each of which is made when it is read.

    The table has the columns `number` and `values` (JSON: of the row, in the order of the columns).
    """

    def __init__(self, table: pa.Table, columns: Mapping[str, int]) -> None:
        """Take a table as it is. columns: name of each ─▶ its position in `values`."""
        super().__init__(table)
        self._columns = columns

    def take(self, positions: Positions) -> RowTable:
        """Return some of the rows."""
        return RowTable(take_rows(self.table, positions), self._columns)

    def _items(self, block: pa.Table) -> Iterator[tuple[int, Fields]]:
        for number, values in zip(list_values(block["number"]), list_json(block["values"]), strict=True):
            yield number, Fields(self._columns, tuple(values))


@dataclass(frozen=True, slots=True)
class DataTable:
    """The rows of one data file, values as JSON has them.

    replaced_characters: broken bytes, each replaced by U+FFFD. ragged: rows left out because their number of cells is
    not the header's: which cell is missing or too much, nobody can tell. notes: where both are, for a person.
    format: as the suite names it.
    """

    path: Path
    columns: tuple[str, ...]
    rows: RowTable
    replaced_characters: int = 0
    ragged: int = 0
    notes: tuple[str, ...] = ()
    format: str = ""


class RowCollector:
    """Collects the rows of a table as they are read. n_rows: number of rows so far."""

    def __init__(self, columns: Iterable[str] = ()) -> None:
        self.columns = {column: place for place, column in enumerate(columns)}
        self.n_rows = 0
        self.broken: Counter[str] = Counter()
        self._waiting: list[tuple[int, bytes]] = []
        self._writer = TableWriter(_row_schema())

    def add(self, number: int, values: Iterable[Any]) -> None:
        self._waiting.append((number, to_json(list(values))))
        self.n_rows += 1
        if len(self._waiting) == BLOCK_ROWS:
            self._pack_waiting()

    def add_object(self, number: int, content: Any, path: Path) -> None:
        """Add a row that may have columns that earlier rows lack; these have None there."""
        if not isinstance(content, dict):
            raise DataError(f"{path}: row {number}: expected an object with the columns, got {type(content).__name__}")
        for column in content:
            self.columns.setdefault(column, len(self.columns))
        self.add(number, [plain(content.get(column), self.broken) for column in self.columns])

    def _pack_waiting(self) -> None:
        if self._waiting:
            self._writer.add(pack_block(self._waiting, _row_schema()))
        self._waiting.clear()

    def table(self, path: Path, *, replaced: int = 0, ragged: int = 0, notes: tuple[str, ...] = ()) -> DataTable:
        """Return the table of the rows so far. Beside what `DataTable` says, replaced: characters of the file."""
        self._pack_waiting()
        rows = RowTable(self._writer.table(), self.columns)
        return DataTable(path, tuple(self.columns), rows, replaced + self.broken.total(), ragged, notes)


def _row_schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([("number", pa.int64()), ("values", pa.large_binary())])


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
