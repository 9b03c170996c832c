"""Tables of the ledger.

`events` and `labels` are the truth, keyed by request, and by request and assessment. `days` holds the events of each
day once more, packed as arrays in time order: a decision reads a million events in a fraction of a second. A packed day
is derived: where it is stale, it is made again from the rows.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)

from mlbaseline.monitor.event_cells import LONGEST_TEXT

PREFIX = "mlbaseline_"

_KEY = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER numbers its rows by itself there
_LONG = LargeBinary(length=2**32 - 1)

METADATA = MetaData()
LEDGER = Table(
    f"{PREFIX}ledger",
    METADATA,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("suite", Text, nullable=False),
    Column("salt", String(32), nullable=False),  # units are kept as keyed hashes only
    Column("writes", BigInteger, nullable=False),  # counted up first in every transaction that writes: one at a time
)
SLICE_SETS = Table(
    f"{PREFIX}slice_sets",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("content", Text, nullable=False),  # canonical JSON of slice ─▶ value
    Column("sha256", String(64), nullable=False, unique=True),
)
EVENTS = Table(
    f"{PREFIX}events",
    METADATA,
    Column("id", _KEY, primary_key=True),
    Column("request_id", String(LONGEST_TEXT), nullable=False, unique=True),
    Column("day", Integer, nullable=False),  # since 1970, UTC
    Column("time_us", BigInteger, nullable=False),  # microseconds since 1970, UTC
    Column("unit", BigInteger, nullable=False),  # of the request itself, where it names none
    Column("has_unit", Boolean, nullable=False),
    Column("experiment", String(LONGEST_TEXT), nullable=False),
    Column("is_candidate", Boolean, nullable=False),
    Column("share", Float(53)),
    Column("error", Boolean, nullable=False),
    Column("latency_s", Float(53)),
    Column("cost_usd", Float(53)),
    Column("tokens_in", Float(53)),
    Column("tokens_out", Float(53)),
    Column("slice_set", Integer, nullable=False),
    Index(f"{PREFIX}events_day", "day"),
)
LABELS = Table(
    f"{PREFIX}labels",
    METADATA,
    Column("request_id", String(LONGEST_TEXT), primary_key=True),
    Column("assessment", String(2 * LONGEST_TEXT), primary_key=True),
    Column("score_name", String(LONGEST_TEXT), nullable=False),
    Column("score", Float(53), nullable=False),
    Column("label_us", BigInteger, nullable=False),  # −1: not known
)
SOURCES = Table(
    f"{PREFIX}sources",
    METADATA,
    Column("sha256", String(64), primary_key=True),  # of a file's content, or of an experiment's address
    Column("name", Text, nullable=False),
    Column("until_us", BigInteger, nullable=False),  # traces up to here have been read; −1 for a file
)
DAYS = Table(
    f"{PREFIX}days",
    METADATA,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("is_stale", Boolean, nullable=False),
    Column("packed", _LONG),
)
