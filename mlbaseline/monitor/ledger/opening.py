"""Open a ledger: create its tables, or check that it is whole, of this version and of this suite."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, func, insert, inspect, select, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)

from mlbaseline.errors import LedgerError
from mlbaseline.format_versions import LEDGER as LEDGER_FORMAT
from mlbaseline.monitor.ledger.schema import EVENTS, LEDGER, METADATA

_LOCK_PATIENCE_S = 180
_ATTEMPTS = 5


@dataclass(frozen=True)
class OpenLedger:
    """An open ledger. salt: key of the hashes of units."""

    engine: Engine
    url: str
    suite: str
    salt: bytes

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that reads. Raises LedgerError."""
        with reporting(self.url), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that writes, one at a time over all processes; nothing is kept if it raises.

        Raises LedgerError.
        """
        with reporting(self.url), self.engine.begin() as connection:
            # Its first statement waits for the others: SQLite locks the file, other databases the row.
            connection.execute(update(LEDGER).values(writes=LEDGER.c.writes + 1))
            yield connection


def open_tables(url: str | Path, suite: str) -> OpenLedger:
    """Open the ledger of a suite, or create it.

    Args:
        url: Path of a SQLite file, or any URL of SQLAlchemy.
        suite: Name of the suite that it belongs to.

    Raises:
        LedgerError: It belongs to another suite, has an earlier version, is damaged, or cannot be reached.
        NewerFormatError: It was written by a later version of the package.
    """
    target = _target(url)
    shown = target.render_as_string(hide_password=True)
    try:
        engine = create_engine(target)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise LedgerError(
            f"--ledger {shown}: no such kind of database here: {error}. Expected a path, sqlite:///FILE, or "
            "postgresql+psycopg://USER@HOST/DATABASE with its driver installed."
        ) from error
    with reporting(shown):
        if target.get_backend_name() == "sqlite":
            _prepare_sqlite(engine, target, shown)
        salt = _bind(engine, shown, suite)
    return OpenLedger(engine, shown, suite, salt)


def _target(url: str | Path) -> URL:
    text = str(url)
    if "://" in text:
        try:
            return make_url(text)
        except ArgumentError as error:
            raise LedgerError(f"--ledger: expected a path or a URL of SQLAlchemy, got {text!r}") from error
    return URL.create("sqlite", database=str(Path(text).resolve()))


def _prepare_sqlite(engine: Engine, target: URL, shown: str) -> None:
    @event.listens_for(engine, "connect")
    def set_pragmas(connection: object, _: object) -> None:
        assert isinstance(connection, sqlite3.Connection)
        # Readers do not wait for a writer; what a killed process has committed is kept.
        for pragma in (f"busy_timeout = {_LOCK_PATIENCE_S * 1000}", "journal_mode = WAL", "synchronous = NORMAL"):
            connection.execute(f"PRAGMA {pragma}").close()

    if target.database and target.database != ":memory:":
        path = Path(target.database)
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_size(path, shown)


def _check_size(path: Path, shown: str) -> None:
    """Check that the file has the pages that its header promises: one that was cut off opens without complaint."""
    log = path.with_name(path.name + "-wal")
    if not path.is_file() or not path.stat().st_size or (log.is_file() and log.stat().st_size):
        return  # with a write-ahead log, the rest may stand there
    with path.open("rb") as file:
        header = file.read(100)
    if not header.startswith(b"SQLite format 3\x00") or len(header) < 100:
        raise LedgerError(f"{shown}: is not a ledger: expected a SQLite file, got one that begins {header[:16]!r}.")
    page = int.from_bytes(header[16:18], "big")
    size = int.from_bytes(header[28:32], "big") * (65536 if page == 1 else page)
    is_sure = header[24:28] == header[92:96]  # the size in the header is that of the newest change
    if is_sure and path.stat().st_size < size:
        raise LedgerError(_damaged(shown, f"it has {path.stat().st_size:,} bytes, its header says {size:,}"))


def _damaged(shown: str, why: str) -> str:
    return (
        f"{shown}: the ledger is damaged: {why}. Restore a copy, or move it away and ingest the events again: requests "
        "that were ingested before are recognised by their ids."
    )


def _bind(engine: Engine, shown: str, suite: str) -> bytes:
    row = _own_row(engine)
    if row is None:
        _create(engine, shown, suite)
        row = _own_row(engine)
        assert row is not None
    with engine.connect() as connection:
        present = inspect(connection).get_table_names()
    if missing := sorted(METADATA.tables.keys() - set(present)):
        raise LedgerError(_damaged(shown, f"the tables {', '.join(missing)} are missing"))
    version, owner, salt = row
    LEDGER_FORMAT.require_readable(shown, version)
    if version != LEDGER_FORMAT.newest:
        raise LedgerError(
            f"{shown}: expected a ledger of version {LEDGER_FORMAT.newest}, got version {version}. Use the version of "
            "mlbaseline that wrote it, or ingest the events into a new ledger."
        )
    if owner != suite:
        raise LedgerError(
            f"{shown}: expected the ledger of the suite {suite!r}, got that of {owner!r}. Name another one with "
            "--ledger."
        )
    return bytes.fromhex(salt)


def _own_row(engine: Engine) -> tuple[int, str, str] | None:
    """Version, suite and salt; None where the ledger has not been created, or not to its end."""
    with engine.connect() as connection:
        if not inspect(connection).has_table(LEDGER.name):
            return None
        row = connection.execute(select(LEDGER.c.version, LEDGER.c.suite, LEDGER.c.salt)).one_or_none()
    return None if row is None else (row.version, row.suite, row.salt)


def _create(engine: Engine, shown: str, suite: str) -> None:
    """Create the tables, then the row that says whose they are. Several processes may do so at once."""
    for attempt in range(_ATTEMPTS):
        try:
            METADATA.create_all(engine)
            with engine.begin() as connection:
                if connection.execute(select(func.count()).select_from(EVENTS)).scalar_one():
                    if _own_row(engine) is not None:  # another process was faster, and has written since
                        return
                    raise LedgerError(_damaged(shown, "it has events, but does not say whose they are"))
                salt = secrets.token_bytes(16).hex()
                row = {"id": 1, "version": LEDGER_FORMAT.newest, "suite": suite, "salt": salt, "writes": 0}
                connection.execute(insert(LEDGER).values(row))
            return
        except (IntegrityError, OperationalError, ProgrammingError):  # another process was faster
            if _own_row(engine) is not None:
                return
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.2)


@contextmanager
def reporting(shown: str) -> Iterator[None]:
    """Turn what the database raises into a LedgerError that says where and what to do."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        said = " ".join(str(getattr(error, "orig", None) or error).split())[:400]
        if any(sign in said for sign in ("malformed", "not a database", "disk I/O error", "invalid page")):
            raise LedgerError(_damaged(shown, said)) from error
        raise LedgerError(
            f"{shown}: the ledger cannot be used: {said}\nIs the database up, the address right, and its disk not full?"
        ) from error
