"""Files of events ─▶ batches of raw rows. They are written by others: lines are bounded, bad ones are counted."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from mlbaseline.errors import DataError
from mlbaseline.monitor.problems import EventProblem, ProblemCounts
from mlbaseline.progress import progress_bar
from mlbaseline.results import SCORE, SLICE
from mlbaseline.untrusted import excerpt, parse_json

BATCH_ROWS = 50_000
LONGEST_LINE_BYTES = 1 << 20
ASSESSMENT = "assessment."
_COLUMNS = frozenset(
    {
        *("time", "request_id", "unit", "experiment", "arm", "share", "error", "label_time"),
        *("latency_s", "cost_usd", "tokens_in", "tokens_out"),
    }
)
_PREFIXES = (SLICE, SCORE, ASSESSMENT)
Wanted = Callable[[str], bool]
"""Whether a column is read."""


@dataclass(frozen=True, eq=False)
class RawBatch:
    """Rows as they were read. first_row: number of the first one in its source, from 1."""

    frame: pd.DataFrame
    first_row: int
    problems: ProblemCounts


@lru_cache(maxsize=1024)
def is_event_column(name: str) -> bool:
    """Whether a column belongs to the event format; others are ignored."""
    return name in _COLUMNS or name.startswith(_PREFIXES)


def read_events(path: Path, wanted: Wanted = is_event_column) -> Iterator[RawBatch]:
    """Read a file of events, batch by batch.

    Args:
        path: `.parquet`, `.jsonl`, `.ndjson` or `.csv`.
        wanted: Which columns are read.

    Yields:
        At most BATCH_ROWS rows at once.

    Raises:
        DataError: The file is not there, not of its format, or has no column of events.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: expected a name that ends in {', '.join(_READERS)}, got {path.name!r}")
    try:
        yield from reader(path, wanted)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _check_columns(path: Path, columns: list[str], wanted: Wanted) -> list[str]:
    known = [name for name in columns if wanted(name)]
    if "request_id" not in known:
        raise DataError(
            f"{path}: expected events with the columns request_id, time and arm, or labels with request_id and "
            f"{SCORE}<metric>; got: {excerpt(', '.join(columns), 300) or 'none'}"
        )
    if repeated := sorted({name for name in known if columns.count(name) > 1}):
        raise DataError(f"{path}: the header names {', '.join(repeated)} more than once")
    return known


def _read_parquet(path: Path, wanted: Wanted) -> Iterator[RawBatch]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            known = _check_columns(path, file.schema_arrow.names, wanted)
            row, n_rows = 1, file.metadata.num_rows
            with progress_bar(n_rows, "row", f"Reading {path.name}", is_brief=True) as bar:
                for batch in file.iter_batches(BATCH_ROWS, columns=known):
                    yield RawBatch(batch.to_pandas(), row, ProblemCounts())
                    row += batch.num_rows
                    bar.update(batch.num_rows)
    except pa.ArrowException as error:
        raise DataError(f"{path}: is not Parquet, or damaged: {excerpt(str(error), 200)}") from error


def _read_jsonl(path: Path, wanted: Wanted) -> Iterator[RawBatch]:
    for row, lines in _batches(path, _bounded_lines):
        problems = ProblemCounts()
        objects: list[dict[str, Any]] = []
        for number, line in enumerate(lines, start=row):
            if not line.strip():
                objects.append({})
                continue
            found = _json_object(line, wanted)
            if isinstance(found, str):
                problems.add(EventProblem.UNREADABLE, 1, f"{path.name}: line {number}: {found}")
                found = {}
            objects.append(found)
        yield _without_empty(_frame(objects), row, problems)


def _json_object(line: bytes, wanted: Wanted) -> dict[str, Any] | str:
    """Return the columns of a line, or why there are none."""
    if len(line) > LONGEST_LINE_BYTES:
        return f"expected at most {LONGEST_LINE_BYTES:,} bytes"
    try:
        content = parse_json(line)
    except ValueError as error:
        return f"expected a JSON object, got {excerpt(line.decode('utf-8', 'replace'), 60)!r} ({error})"
    if not isinstance(content, dict):
        return f"expected a JSON object, got {excerpt(str(content), 60)}"
    return {name: value for name, value in content.items() if wanted(name)}


def _read_csv(path: Path, wanted: Wanted) -> Iterator[RawBatch]:
    header: list[str] | None = None
    known: list[str] = []
    for row, records in _batches(path, _records):
        problems = ProblemCounts()
        objects: list[dict[str, Any]] = []
        for number, cells in enumerate(records, start=row):
            if header is None:
                header = list(cells)
                known = _check_columns(path, header, wanted)
                objects.append({})
            elif len(cells) != len(header):
                shown = f"{path.name}: row {number - 1}: expected {len(header)} cells, got {len(cells)}"
                problems.add(EventProblem.UNREADABLE, bool(cells), shown)
                objects.append({})
            else:
                objects.append(dict(zip(header, cells, strict=True)))
        frame = _frame(objects)
        yield _without_empty(frame[[name for name in known if name in frame]], row - 1, problems)
    if header is None:
        raise DataError(f"{path}: is empty; expected a header with request_id, time and arm")


def _records(file: BinaryIO) -> Iterator[list[str]]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
    reader = csv.reader(text, strict=True)
    try:
        yield from reader
    except csv.Error as error:
        raise DataError(
            f"{file.name}: line {reader.line_num}: {error}; a quote inside a field must be doubled and the field quoted"
        ) from error
    finally:
        text.detach()  # whoever opened the file closes it


def _bounded_lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines; of one that is too long its beginning, which is longer than allowed as well."""
    while line := file.readline(LONGEST_LINE_BYTES + 1):
        yield line
        while len(line) > LONGEST_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(LONGEST_LINE_BYTES + 1)


def _batches(path: Path, read: Callable[[BinaryIO], Iterator[Any]]) -> Iterator[tuple[int, list[Any]]]:
    """Yield the number of the first line or record, from 1, and BATCH_ROWS of them."""
    size_bytes = path.stat().st_size
    title = f"Reading {path.name}"
    with path.open("rb") as file, progress_bar(size_bytes, "B", title, is_brief=True) as bar:
        items, row = read(file), 1
        while batch := list(islice(items, BATCH_ROWS)):
            yield row, batch
            row += len(batch)
            bar.reach(file.tell())


def _frame(objects: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as columns of objects: pandas takes no halves of characters as texts."""
    names = dict.fromkeys(name for content in objects for name in content)
    return pd.DataFrame(
        {name: pd.Series([content.get(name) for content in objects], dtype=object) for name in names},
        index=range(len(objects)),
    )


def _without_empty(frame: pd.DataFrame, row: int, problems: ProblemCounts) -> RawBatch:
    """Leave out rows without anything; the others keep the number of their line as index."""
    filled = frame.notna().any(axis=1)
    return RawBatch(frame[filled], row, problems)


_READERS: dict[str, Callable[[Path, Wanted], Iterator[RawBatch]]] = {
    ".parquet": _read_parquet,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".csv": _read_csv,
}
