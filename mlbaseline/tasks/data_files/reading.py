"""Data files ─▶ rows. Nothing is guessed, and every repair is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlbaseline.errors import DataError
from mlbaseline.progress import progress_bar
from mlbaseline.tasks.data_files.excel import read_excel
from mlbaseline.tasks.data_files.options import AS_IT_IS, FileOptions
from mlbaseline.tasks.data_files.table import DataTable, RowCollector, check_header, plain
from mlbaseline.tasks.data_files.text_files import delimited_reader, read_json, read_jsonl

_PARQUET_ROWS = 16_384


def read_table(path: Path, format: str | None, options: FileOptions = AS_IT_IS) -> DataTable:
    """Read a csv, tsv, json, jsonl, parquet or Excel file.

    Args:
        path: The file.
        format: One of these; None: by the ending of the file's name.
        options: How the file is written.

    Raises:
        DataError: The file is not of its format, has no rows, or more ragged rows than it may have.
    """
    ending = path.suffix.removeprefix(".").lower()
    name = format or _ENDINGS.get(ending, ending)
    if name not in _READERS:
        raise DataError(f"{path}: no format of data is called {name!r}; set `format` to one of: {', '.join(_READERS)}")
    if path.is_dir():
        raise DataError(f"{path}: is a folder; expected one {name} file")
    table = _READERS[name](path, options)
    if not table.rows:
        raise DataError(
            f"{path}: holds no usable row of {name} data" + (f" ({table.ragged} ragged)" * bool(table.ragged))
        )
    return replace(table, format=name)


def _read_parquet(path: Path, options: FileOptions) -> DataTable:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        check_header(path, file.schema_arrow.names)
        rows = RowCollector(file.schema_arrow.names)
        n_rows = file.metadata.num_rows
        with progress_bar(n_rows, "row", f"Reading {path.name}", is_brief=True) as bar:
            for batch in file.iter_batches(_PARQUET_ROWS):
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    rows.add(rows.n_rows + 1, [plain(value, rows.broken) for value in values])
                    if rows.broken["bytes"] and options.encoding_errors == "strict":
                        raise DataError(_binary_problem(path, rows.n_rows, file.schema_arrow.names, values))
                bar.update(batch.num_rows)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # ValueError: a date beyond the calendar
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from error
    return rows.table(path)


def _binary_problem(path: Path, row: int, columns: Sequence[str], values: Sequence[Any]) -> str:
    """Say which column of a row has bytes that are not UTF-8."""
    broken: Counter[str] = Counter()
    column = next(name for name, value in zip(columns, values, strict=True) if plain(value, broken) and broken["bytes"])
    return (
        f"{path}: row {row:,}: the column {column!r} is binary, and holds bytes that are not UTF-8; write it as "
        "strings. In `task.data`, `encoding_errors: replace` reads each such place as U+FFFD and counts it"
    )


_READERS: dict[str, Callable[[Path, FileOptions], DataTable]] = {
    "csv": delimited_reader(","),
    "tsv": delimited_reader("\t"),
    "json": read_json,
    "jsonl": read_jsonl,
    "parquet": _read_parquet,
    "excel": read_excel,
}
TEXT_FORMATS = ("csv", "tsv", "json", "jsonl")
"""Formats whose files have a character encoding."""
_ENDINGS = {"xlsx": "excel", "xlsm": "excel"}
"""Endings of names that are not called as their format."""
