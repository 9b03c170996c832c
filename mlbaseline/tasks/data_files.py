"""Data files ─▶ rows. Nothing is guessed: the cells of a text file stay text, and every repair is counted."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbaseline.errors import DataError
from mlbaseline.progress import progress_bar
from mlbaseline.records import Fields
from mlbaseline.tasks.text_lines import AS_IT_IS, TextFormat, TextLines

_SHARED_TEXTS, _SHARED_CHARACTERS = 4096, 64
_PARQUET_ROWS = 16_384
_SHOWN_ROWS = 5


@dataclass(frozen=True, slots=True)
class DataTable:
    """The rows of one data file, values as JSON has them.

    replaced_characters: broken bytes, each replaced by U+FFFD. ragged: rows left out because their number of cells is
    not the header's: which cell is missing or too much, nobody can tell. notes: where both are, for a person.
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[tuple[int, Fields]]
    replaced_characters: int = 0
    ragged: int = 0
    notes: tuple[str, ...] = ()


def read_table(path: Path, format: str | None, text: TextFormat = AS_IT_IS) -> DataTable:
    """Read a csv, tsv, json, jsonl or parquet file.

    Args:
        path: The file.
        format: One of these; None: the ending of the file's name.
        text: How a text file is written.

    Raises:
        DataError: The file is not of its format, has no rows, or more ragged rows than it may have.
    """
    name = format or path.suffix.removeprefix(".").lower()
    if name not in _READERS:
        raise DataError(f"{path}: no format of data is called {name!r}; set `format` to one of: {', '.join(_READERS)}")
    if path.is_dir():
        raise DataError(f"{path}: is a folder; expected one {name} file")
    table = _READERS[name](path, text)
    if not table.rows:
        raise DataError(
            f"{path}: holds no usable row of {name} data" + (f" ({table.ragged} ragged)" * bool(table.ragged))
        )
    return table


class _Rows:
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

    def table(self, path: Path, lines: TextLines | None = None, ragged: Sequence[tuple[int, int]] = ()) -> DataTable:
        replaced = lines.replaced if lines else 0
        notes = lines.notes() if lines and replaced else ()
        if ragged:
            shown = ", ".join(f"line {line} ({cells})" for line, cells in ragged[:_SHOWN_ROWS])
            more = ", …" if len(ragged) > _SHOWN_ROWS else ""
            what = f"{len(ragged):,} rows have another number of cells than the header's {len(self.columns)}"
            notes = (*notes, f"{path.name}: {what}: {shown}{more}")
        return DataTable(path, tuple(self.columns), self.rows, replaced + self.broken.total(), len(ragged), notes)


def _read_delimited(delimiter: str) -> Callable[[Path, TextFormat], DataTable]:
    def read(path: Path, text: TextFormat) -> DataTable:
        lines = TextLines(path, newline="", encoding=text.encoding)
        # The limit is there to bound memory; a file that is one cell is still read.
        limit = csv.field_size_limit(max(csv.field_size_limit(), path.stat().st_size))
        # strict: a stray quote is an error, where lenient parsing would swallow all rows up to the next quote.
        reader = csv.reader(lines, delimiter=text.delimiter or delimiter, strict=True)
        try:
            records = (cells for cells in reader if cells)
            header = next(records, [])
            _check_header(path, header)
            rows = _Rows(header)
            ragged: list[tuple[int, int]] = []
            for number, cells in enumerate(records, start=1):
                if len(cells) == len(header):
                    rows.add(number, cells)
                else:
                    ragged.append((reader.line_num, len(cells)))
        except csv.Error as error:
            raise DataError(
                f"{path}: line {reader.line_num}: {error}; a quote inside a field must be doubled and the field quoted"
            ) from error
        finally:
            csv.field_size_limit(limit)
        table = rows.table(path, lines, ragged)
        if table.rows and len(ragged) > text.max_ragged * (len(table.rows) + len(ragged)):
            raise DataError(
                f"{table.notes[-1]}; expected at most {text.max_ragged:.0%} of all rows. Quote cells that hold the "
                "delimiter, name another `delimiter`, or raise `max_ragged` (`task.data`)"
            )
        return table

    return read


def _check_header(path: Path, header: list[str]) -> None:
    repeated = sorted({column for column in header if header.count(column) > 1})
    if repeated:
        raise DataError(
            f"{path}: the header names {', '.join(map(repr, repeated))} more than once: {', '.join(header)}"
        )


def _read_json(path: Path, text: TextFormat) -> DataTable:
    lines = TextLines(path, newline="", encoding=text.encoding)
    try:
        content = json.loads("".join(lines))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not JSON: {error}") from error
    if not isinstance(content, list):
        raise DataError(f"{path}: expected a JSON list of objects, got {type(content).__name__}")
    rows = _Rows()
    for number, item in enumerate(content, start=1):
        rows.add_object(number, item, path)
    return rows.table(path, lines)


def _read_jsonl(path: Path, text: TextFormat) -> DataTable:
    # Not at the Unicode line separators, which JSON strings may hold.
    lines = TextLines(path, newline="\n", encoding=text.encoding)
    rows = _Rows()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                content = json.loads(line.removesuffix("\n"))
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}: line {number} is not JSON: {error}") from error
            rows.add_object(number, content, path)
    return rows.table(path, lines)


def _read_parquet(path: Path, _: TextFormat) -> DataTable:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        _check_header(path, file.schema_arrow.names)
        rows = _Rows(file.schema_arrow.names)
        n_rows = file.metadata.num_rows
        with progress_bar(n_rows, "row", f"Reading {path.name}", is_brief=True) as bar:
            for batch in file.iter_batches(_PARQUET_ROWS):
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    rows.add(len(rows.rows) + 1, [plain(value, rows.broken) for value in values])
                bar.update(batch.num_rows)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # ValueError: a date beyond the calendar
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from error
    return rows.table(path)


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


_READERS: dict[str, Callable[[Path, TextFormat], DataTable]] = {
    "csv": _read_delimited(","),
    "tsv": _read_delimited("\t"),
    "json": _read_json,
    "jsonl": _read_jsonl,
    "parquet": _read_parquet,
}
