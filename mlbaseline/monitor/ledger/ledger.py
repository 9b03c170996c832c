"""The ledger as the rest of the package sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, func, insert, select, update

from mlbaseline.monitor.event_arrays import EventArrays
from mlbaseline.monitor.event_rows import CheckedRows
from mlbaseline.monitor.ledger.opening import OpenLedger, open_tables
from mlbaseline.monitor.ledger.packing import as_arrays, gather_day, pack, read_slice_sets, unpack
from mlbaseline.monitor.ledger.schema import DAYS, EVENTS, LABELS, LEDGER, SOURCES
from mlbaseline.monitor.ledger.writing import DAY_US, AddedEvents, add_rows


@dataclass(frozen=True)
class LedgerSummary:
    """What a ledger holds.

    Attributes:
        requests: Number of requests.
        labels: Number of labels of these requests.
        waiting: Number of labels whose request has not come yet.
        arms: Arm ─▶ requests; an arm that was never seen has 0.
        shares: Shares of the candidate that were seen, rising.
        first_us: Time of the earliest request, microseconds since 1970; None without any.
        last_us: Time of the latest one.
        empty_days: Number of days between them without a request.
    """

    requests: int
    labels: int
    waiting: int
    arms: Mapping[str, int]
    shares: tuple[float, ...]
    first_us: int | None
    last_us: int | None
    empty_days: int


def open_ledger(url: str | Path, suite: str) -> Ledger:
    """Open the ledger of a suite, or create it.

    Args:
        url: Path of a SQLite file, or any URL of SQLAlchemy.
        suite: Name of the suite that it belongs to.

    Raises:
        LedgerError: It belongs to another suite, has another version, is damaged, or cannot be reached.

    Example:
        >>> ledger = open_ledger("traffic.db", "tickets")
        >>> ledger.summary().requests
        0
    """
    return Ledger(open_tables(url, suite))


class Ledger:
    """The requests and labels of one suite's live traffic. Every method raises LedgerError where the database fails."""

    def __init__(self, tables: OpenLedger) -> None:
        self._tables = tables

    @property
    def url(self) -> str:
        """Where it is, without a password."""
        return self._tables.url

    def close(self) -> None:
        """Give back its connections. It can still be used: they are opened again."""
        self._tables.engine.dispose()

    def add(self, rows: CheckedRows, *, source: str) -> AddedEvents:
        """Add requests and labels that are not there yet, in one transaction. source: their name, for messages."""
        return add_rows(self._tables, rows, source)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the ledger for the length of the block: no other command changes it or holds it at the same time."""
        with self._tables.writing():
            yield

    def pack(self) -> int:
        """Pack the days that have changed, so that decisions read them fast. Returns their number."""
        with self._tables.reading() as connection:
            stale = connection.execute(select(DAYS.c.day).where(DAYS.c.is_stale).order_by(DAYS.c.day)).scalars().all()
        for day in stale:
            with self._tables.writing() as connection:
                packed = pack(gather_day(connection, day))
                connection.execute(update(DAYS).where(DAYS.c.day == day).values(packed=packed, is_stale=False))
        return len(stale)

    def read(self, *, since_us: int | None = None, until_us: int | None = None) -> EventArrays:
        """Read events as arrays.

        Args:
            since_us: From this time on, microseconds since 1970. Default: the beginning.
            until_us: Before this time. Default: the end.
        """
        query = select(DAYS.c.day, DAYS.c.is_stale, DAYS.c.packed).order_by(DAYS.c.day)
        if since_us is not None:
            query = query.where(DAYS.c.day >= since_us // DAY_US)
        if until_us is not None:
            query = query.where(DAYS.c.day <= (until_us - 1) // DAY_US)
        tables = []
        with self._tables.reading() as connection:
            for day, is_stale, packed in connection.execute(query).all():
                table = None if is_stale or packed is None else unpack(packed)
                tables.append(gather_day(connection, day) if table is None else table)
            arrays = as_arrays([table for table in tables if table.num_rows], read_slice_sets(connection))
        first = 0 if since_us is None else int(arrays.time_us.searchsorted(since_us))
        last = len(arrays) if until_us is None else int(arrays.time_us.searchsorted(until_us))
        return arrays if (first, last) == (0, len(arrays)) else arrays.take(slice(first, last))

    def revision(self) -> int:
        """Give a number that rises with every change: a reader that has seen it need not read again."""
        with self._tables.reading() as connection:
            return int(connection.execute(select(LEDGER.c.writes)).scalar_one())

    def summary(self) -> LedgerSummary:
        """Count what the ledger holds."""
        with self._tables.reading() as connection:
            by_arm = select(EVENTS.c.is_candidate, func.count()).group_by(EVENTS.c.is_candidate)
            arms = {bool(is_candidate): count for is_candidate, count in connection.execute(by_arm)}
            first, last, days = connection.execute(
                select(func.min(EVENTS.c.time_us), func.max(EVENTS.c.time_us), func.count(EVENTS.c.day.distinct()))
            ).one()
            shares = connection.execute(select(EVENTS.c.share).distinct().order_by(EVENTS.c.share)).scalars()
            labels = connection.execute(select(func.count()).select_from(LABELS)).scalar_one()
            joined = LABELS.outerjoin(EVENTS, EVENTS.c.request_id == LABELS.c.request_id)
            waiting = connection.execute(
                select(func.count()).select_from(joined).where(EVENTS.c.id.is_(None))
            ).scalar_one()
            span = 0 if first is None else last // DAY_US - first // DAY_US + 1
            return LedgerSummary(
                requests=sum(arms.values()),
                labels=labels - waiting,
                waiting=waiting,
                arms={"champion": arms.get(False, 0), "candidate": arms.get(True, 0)},
                shares=tuple(share for share in shares if share is not None),
                first_us=first,
                last_us=last,
                empty_days=span - days,
            )

    def slice_values(self) -> dict[str, frozenset[str]]:
        """Values of each slice that were seen."""
        with self._tables.reading() as connection:
            contents = read_slice_sets(connection).values()
        names = {name for content in contents for name in content}
        return {name: frozenset(content[name] for content in contents if name in content) for name in sorted(names)}

    # ---- sources ----------------------------------------------------------------------------------------------------

    def read_until_us(self, source_sha256: str) -> int | None:
        """How far a source has been read: −1 for a file that was read to its end, None for an unknown one."""
        with self._tables.reading() as connection:
            found = select(SOURCES.c.until_us).where(SOURCES.c.sha256 == source_sha256)
            return connection.execute(found).scalar_one_or_none()

    def mark_read(self, source_sha256: str, name: str, until_us: int = -1) -> None:
        """Remember how far a source has been read."""
        with self._tables.writing() as connection:
            connection.execute(delete(SOURCES).where(SOURCES.c.sha256 == source_sha256))
            connection.execute(insert(SOURCES).values(sha256=source_sha256, name=name, until_us=until_us))
