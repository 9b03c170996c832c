"""Batches of raw rows ─▶ the ledger, with a report of what was new and what was wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mlbaseline.errors import DataError
from mlbaseline.monitor.event_files import RawBatch, read_events
from mlbaseline.monitor.event_rows import CheckedRows, check_rows
from mlbaseline.monitor.ledger import Ledger
from mlbaseline.monitor.problems import EventProblem, ProblemCounts


@dataclass(frozen=True)
class SourceReport:
    """What a source gave.

    Attributes:
        source: Name of the file or experiment.
        read: Number of rows.
        requests: New requests.
        labels: New labels.
        problems: What was wrong.
        is_unchanged: Whether it was left unread, as its content has been ingested before.
    """

    source: str
    read: int
    requests: int
    labels: int
    problems: ProblemCounts
    is_unchanged: bool = False


def ingest_file(ledger: Ledger, path: Path, *, slices: Sequence[str], now: datetime | None = None) -> SourceReport:
    """Add the events of a file. One with content that has been ingested to its end is not read again.

    Args:
        ledger: The ledger.
        path: Parquet, JSON Lines or CSV.
        slices: Names of the watched slices; events without one of them are counted.
        now: The present, for clocks that are ahead.

    Raises:
        DataError: The file cannot be read, or no row of it can be used.
        LedgerError: The database failed. What was added before is kept.
    """
    digest = _content_sha256(path)
    if ledger.read_until_us(digest) is not None:
        return SourceReport(path.name, 0, 0, 0, ProblemCounts(), is_unchanged=True)
    report = ingest_batches(ledger, read_events(path), source=path.name, slices=slices, now=now)
    usable = report.requests + report.labels + report.problems[EventProblem.DUPLICATE]
    usable += report.problems[EventProblem.CONFLICT] + report.problems[EventProblem.LABEL_CONFLICT]
    if not usable and report.problems.counts:
        first = next(iter(report.problems.examples.values()))
        raise DataError(f"{path}: none of its {report.read:,} rows can be used; the first problem: {first}")
    if not report.problems[EventProblem.IN_THE_FUTURE]:  # those rows may count later
        ledger.mark_read(digest, path.name)
    return report


def ingest_batches(
    ledger: Ledger, batches: Iterable[RawBatch], *, source: str, slices: Sequence[str], now: datetime | None = None
) -> SourceReport:
    """Add batches of raw rows, each in a transaction of its own, and pack the days that changed.

    Args:
        ledger: The ledger.
        batches: Rows of one source, in any order.
        source: Its name, for messages.
        slices: Names of the watched slices.
        now: The present, for clocks that are ahead.
    """
    problems = ProblemCounts()
    read = requests = labels = 0
    seen = ledger.slice_values()
    for batch in batches:
        rows = check_rows(batch.frame, source=source, first_row=batch.first_row, now=now)
        _note_slices(rows, seen, slices, source)
        added = ledger.add(rows, source=source)
        for found in (batch.problems, rows.problems, added.problems):
            problems.update(found)
        read += rows.read + batch.problems[EventProblem.UNREADABLE] + batch.problems[EventProblem.UNTAGGED]
        requests, labels = requests + added.requests, labels + added.labels
    ledger.pack()
    return SourceReport(source, read, requests, labels, problems)


def _note_slices(rows: CheckedRows, seen: dict[str, frozenset[str]], slices: Sequence[str], source: str) -> None:
    """Count events without a watched slice, and slice values that have not been seen before."""
    is_first = not seen
    for text, count in rows.requests["slices"].value_counts().items():
        content: dict[str, str] = json.loads(str(text))
        for name in slices:
            if name not in content:
                rows.problems.add(EventProblem.NO_SLICE, int(count), f"{source}: an event without slice.{name}")
        for name, value in content.items():
            if value not in seen.get(name, ()):
                seen[name] = seen.get(name, frozenset()) | {value}
                # At the beginning every value is new.
                rows.problems.add(EventProblem.NEW_SLICE_VALUE, not is_first, f"{source}: slice.{name} is {value!r}")


def _content_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()
