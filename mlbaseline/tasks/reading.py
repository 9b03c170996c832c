"""Data files ─▶ rows. Nothing is guessed: the cells of a text file stay text, and every repair is counted."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbaseline.errors import DataError

Row = tuple[int, dict[str, Any]]
"""Number of a row in its file (the first is 1, a header does not count), and column ─▶ value."""


@dataclass(frozen=True, slots=True)
class DataTable:
    """The rows of one data file, values as JSON has them.

    replaced_characters: broken bytes, each replaced by U+FFFD. ragged: rows left out because their number of cells is
    not the header's: which cell is missing or too much, nobody can tell.
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[Row]
    replaced_characters: int = 0
    ragged: int = 0


def read_table(path: Path, format: str | None) -> DataTable:
    """Read a csv, tsv, json, jsonl or parquet file; without `format`, by the ending of its name.

    Raises DataError if the file is not of its format, or has no rows.
    """
    name = format or path.suffix.removeprefix(".").lower()
    if name not in _READERS:
        raise DataError(f"{path}: no format of data is called {name!r}; set `format` to one of: {', '.join(_READERS)}")
    if path.is_dir():
        raise DataError(f"{path}: is a folder; expected one {name} file")
    table = _READERS[name](path)
    if not table.rows:
        raise DataError(
            f"{path}: holds no usable row of {name} data" + (f" ({table.ragged} ragged)" * bool(table.ragged))
        )
    return table


def _decode(path: Path) -> tuple[str, int]:
    """The text of a file, and how many characters had to be replaced."""
    content = path.read_bytes()
    text = content.decode("utf-8-sig", "replace")
    return text, text.count("\ufffd") - content.count("\ufffd".encode())


def _read_delimited(delimiter: str) -> Callable[[Path], DataTable]:
    def read(path: Path) -> DataTable:
        text, replaced = _decode(path)
        # The limit is there to bound memory, and the whole text is in memory already.
        limit = csv.field_size_limit(max(csv.field_size_limit(), len(text)))
        # strict: a stray quote is an error, where lenient parsing would swallow all rows up to the next quote.
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            records = [cells for cells in reader if cells]
        except csv.Error as error:
            raise DataError(
                f"{path}: line {reader.line_num}: {error}; a quote inside a field must be doubled and the field quoted"
            ) from error
        finally:
            csv.field_size_limit(limit)
        header, *body = records or [[]]
        _check_header(path, header)
        numbered = list(enumerate(body, start=1))
        rows = [
            (number, dict(zip(header, cells, strict=True))) for number, cells in numbered if len(cells) == len(header)
        ]
        return DataTable(path, tuple(header), rows, replaced, len(body) - len(rows))

    return read


def _check_header(path: Path, header: list[str]) -> None:
    repeated = sorted({column for column in header if header.count(column) > 1})
    if repeated:
        raise DataError(
            f"{path}: the header names {', '.join(map(repr, repeated))} more than once: {', '.join(header)}"
        )


def _read_json(path: Path) -> DataTable:
    text, replaced = _decode(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not JSON: {error}") from error
    if not isinstance(content, list):
        raise DataError(f"{path}: expected a JSON list of objects, got {type(content).__name__}")
    return _from_objects(path, list(enumerate(content, start=1)), replaced)


def _read_jsonl(path: Path) -> DataTable:
    text, replaced = _decode(path)
    objects = []
    # Not splitlines(): JSON strings may hold the Unicode line separators that it also cuts at.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                objects.append((number, json.loads(line)))
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}: line {number} is not JSON: {error}") from error
    return _from_objects(path, objects, replaced)


def _from_objects(path: Path, objects: list[tuple[int, Any]], replaced: int) -> DataTable:
    for number, content in objects:
        if not isinstance(content, dict):
            raise DataError(f"{path}: row {number}: expected an object with the columns, got {type(content).__name__}")
    columns = tuple(dict.fromkeys(column for _, content in objects for column in content))
    broken: Counter[str] = Counter()
    rows = [(number, {column: plain(content.get(column), broken) for column in columns}) for number, content in objects]
    return DataTable(path, columns, rows, replaced + broken.total())


def _read_parquet(path: Path) -> DataTable:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        content = parquet.ParquetFile(path).read()
    except pa.ArrowException as error:
        raise DataError(f"{path}: is not Parquet: {error}") from error
    _check_header(path, content.column_names)
    return _from_objects(path, list(enumerate(content.to_pylist(), start=1)), 0)


def plain(value: Any, broken: Counter[str]) -> Any:
    """The value as JSON has it, so that a row has one canonical form to hash. Counts the characters it replaces."""
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
    """JSON can escape half of a character (`"\\ud83d"`), which no tokenizer takes and no Parquet file holds."""
    if text.isascii():
        return text
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    broken["surrogates"] += whole.count("\ufffd") - text.count("\ufffd")
    return whole


_READERS: dict[str, Callable[[Path], DataTable]] = {
    "csv": _read_delimited(","),
    "tsv": _read_delimited("\t"),
    "json": _read_json,
    "jsonl": _read_jsonl,
    "parquet": _read_parquet,
}
