"""Text files ─▶ rows: csv, tsv, json and jsonl. Cells of a table stay text."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from mlbaseline import formats
from mlbaseline.errors import DataError
from mlbaseline.tasks.data_files.options import FileOptions
from mlbaseline.tasks.data_files.table import DataTable, RowCollector, check_header
from mlbaseline.tasks.data_files.text_lines import TextLines

_SHOWN_ROWS = 5


def delimited_reader(delimiter: str) -> Callable[[Path, FileOptions], DataTable]:
    """Return the reader of a text table. delimiter: between its cells, unless the options name another."""

    def read(path: Path, options: FileOptions) -> DataTable:
        lines = TextLines(path, newline="", options=options)
        # The limit is there to bound memory; a file that is one cell is still read.
        limit = csv.field_size_limit(max(csv.field_size_limit(), path.stat().st_size))
        # strict: a stray quote is an error, where lenient parsing would swallow all rows up to the next quote.
        reader = csv.reader(lines, delimiter=options.delimiter or delimiter, strict=True)
        try:
            records = (cells for cells in reader if cells)
            header = next(records, [])
            check_header(path, header)
            rows = RowCollector(header)
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
        replaced, notes = lines.replaced()
        if ragged:
            notes = (*notes, f"{path.name}: {_ragged_text(len(header), ragged)}")
        table = rows.table(path, replaced=replaced, ragged=len(ragged), notes=notes)
        if table.rows and len(ragged) > options.max_ragged * (len(table.rows) + len(ragged)):
            raise DataError(
                f"{path}: {_ragged_text(len(header), ragged)}; expected {_most_ragged(options.max_ragged)}. Quote "
                "cells that hold the delimiter, or, in `task.data`, name another `delimiter` or raise `max_ragged`"
            )
        return table

    return read


def _most_ragged(share: float) -> str:
    return f"at most {share:.0%} of all rows" if share else "none"


def _ragged_text(n_columns: int, ragged: Sequence[tuple[int, int]]) -> str:
    shown = ", ".join(f"line {line} ({cells})" for line, cells in ragged[:_SHOWN_ROWS])
    more = ", …" if len(ragged) > _SHOWN_ROWS else ""
    rows = formats.counted(len(ragged), "row")
    return f"{rows} with another number of cells than the header's {n_columns}: {shown}{more}"


def read_json(path: Path, options: FileOptions) -> DataTable:
    """Read a JSON list of objects. Raises DataError."""
    lines = TextLines(path, newline="", options=options)
    try:
        content = json.loads("".join(lines))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not JSON: {error}") from error
    if not isinstance(content, list):
        raise DataError(f"{path}: expected a JSON list of objects, got {type(content).__name__}")
    rows = RowCollector()
    for number, item in enumerate(content, start=1):
        rows.add_object(number, item, path)
    replaced, notes = lines.replaced()
    return rows.table(path, replaced=replaced, notes=notes)


def read_jsonl(path: Path, options: FileOptions) -> DataTable:
    """Read JSON Lines. Raises DataError."""
    # Not at the Unicode line separators, which JSON strings may hold.
    lines = TextLines(path, newline="\n", options=options)
    rows = RowCollector()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                content = json.loads(line.removesuffix("\n"))
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}: line {number} is not JSON: {error}") from error
            rows.add_object(number, content, path)
    replaced, notes = lines.replaced()
    return rows.table(path, replaced=replaced, notes=notes)
