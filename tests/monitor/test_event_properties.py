"""Files of events that nobody meant: each row is ingested or counted, and the file is read to its end or refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbaseline.errors import MlbaselineError
from mlbaseline.monitor import open_ledger
from mlbaseline.monitor.ingesting import ingest_file
from tests.support.comparisons.hostile import mutated, searched
from tests.support.traffic import NOW, event, label

ROWS = [
    event(
        "a", arm="candidate", share=0.05, unit="u1", error=True, latency_s=0.25, tokens_in=12, **{"slice.topic": "x"}
    ),
    event("b", cost_usd=1e-6, tokens_out=3, **{"score.accuracy": 1.0}),
    label("a", 0.5),
]

pytestmark = pytest.mark.slow


def check(path: Path) -> None:
    """Ingest a file twice: nothing is new the second time, and the arrays of what was taken can be read."""
    path.with_name("ledger.db").unlink(missing_ok=True)
    ledger = open_ledger(path.with_name("ledger.db"), "tickets")
    try:
        first = ingest_file(ledger, path, slices=["topic"], now=NOW)
        again = ingest_file(ledger, path, slices=["topic"], now=NOW)
        assert (again.requests, again.labels) == (0, 0)
        assert len(ledger.read()) == first.requests == ledger.summary().requests
    except MlbaselineError as error:
        assert str(path.parent) in str(error)
    finally:
        ledger.close()


@searched(40)
@given(rows=st.lists(mutated(*ROWS), min_size=1, max_size=4), junk=st.binary(max_size=30))
def test_lines_of_json(rows: list[Any], junk: bytes, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = [json.dumps(row, default=str).encode() for row in (*ROWS, *rows)]
    path.write_bytes(b"\n".join([*lines, junk]))
    check(path)


@searched(40)
@given(rows=st.lists(mutated(*ROWS), min_size=1, max_size=4), junk=st.binary(max_size=30))
def test_tables(rows: list[Any], junk: bytes, tmp_path: Path) -> None:
    whole = [*ROWS, *(row for row in rows if isinstance(row, dict))]
    header = list(dict.fromkeys(name for row in whole for name in row))
    path = tmp_path / "events.csv"
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        csv.writer(file).writerows([header, *([row.get(name) for name in header] for row in whole)])
    path.write_bytes(path.read_bytes() + junk)
    check(path)
