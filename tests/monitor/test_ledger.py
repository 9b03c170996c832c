"""The ledger: nothing is counted twice or lost, whatever order rows come in, and whatever stops it."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, create_engine, text

from mlbaseline.errors import LedgerError, NewerFormatError
from mlbaseline.monitor import check_rows, open_ledger
from mlbaseline.monitor.ledger import opening
from tests.support.traffic import NOW, START, add, event, label, ledger_of, stream

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def test_what_was_added_before_is_a_duplicate(tmp_path: Path) -> None:
    rows = [event("a"), event("b", at=HOUR), label("a", 1, at=HOUR)]
    ledger = ledger_of(tmp_path / "ledger.db")
    assert add(ledger, rows) == (2, 1, {})
    assert add(ledger, rows) == (0, 0, {"duplicate": 3})
    assert add(ledger, [event("c"), event("c")]) == (1, 0, {"duplicate": 1})
    assert ledger.summary().requests == 3


def test_another_request_with_a_known_id_is_a_conflict_and_the_first_stays(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path / "ledger.db", [event("a")])
    assert add(ledger, [event("a", arm="candidate"), event("a", at=HOUR)]) == (0, 0, {"conflict": 2})
    assert ledger.read().is_candidate.tolist() == [False]


def test_labels_wait_for_their_request(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path / "ledger.db", [label("a", 1, at=2 * HOUR)])
    summary = ledger.summary()
    assert (summary.requests, summary.labels, summary.waiting) == (0, 0, 1)
    add(ledger, [event("a", at=HOUR)])
    assert (ledger.summary().labels, ledger.summary().waiting) == (1, 0)
    assert ledger.read().score("accuracy").score.tolist() == [1.0]


def test_a_later_label_corrects_and_one_of_the_same_time_conflicts(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path / "ledger.db", [event("a"), label("a", 1, at=HOUR)])
    assert add(ledger, [label("a", 0, at=HOUR)]) == (0, 0, {"label_conflict": 1})
    assert ledger.read().score("accuracy").score.tolist() == [1.0]
    assert add(ledger, [label("a", 0, at=2 * HOUR)]) == (0, 1, {})
    assert ledger.read().score("accuracy").score.tolist() == [0.0]


def test_a_label_older_than_its_request_counts_from_the_request_on(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path / "ledger.db", [event("a", at=5 * HOUR)])
    assert add(ledger, [label("a", 1, at=HOUR)])[2] == {"label_before_request": 1}
    events = ledger.read()
    assert events.score("accuracy").known_us.tolist() == events.time_us.tolist()


def test_arrays_are_in_time_order_and_packing_changes_nothing(tmp_path: Path) -> None:
    frame = stream(3_000, units=300)
    shuffled = frame.sample(frac=1, random_state=1)
    ledger = open_ledger(tmp_path / "ledger.db", "tickets")
    for start in range(0, len(frame), 700):
        ledger.add(check_rows(shuffled.iloc[start : start + 700], source="x", now=NOW), source="x")
    fresh = ledger.read()
    assert ledger.pack() == 10
    packed = ledger.read()
    assert ledger.pack() == 0
    assert (np.diff(packed.time_us) >= 0).all()
    for arrays in (fresh, packed):
        np.testing.assert_array_equal(arrays.time_us, frame["time"].astype("int64") // _per_us(frame))
        np.testing.assert_array_equal(arrays.is_candidate, frame["arm"] == "candidate")
        np.testing.assert_array_equal(arrays.error, frame["error"])
        np.testing.assert_array_equal(arrays.latency_s, frame["latency_s"])
        np.testing.assert_array_equal(arrays.score("accuracy").score, frame["score.accuracy"])
        topics, names = arrays.slice_values("topic")
        assert [names[topic] for topic in topics] == frame["slice.topic"].tolist()
        assert len(np.unique(arrays.unit)) == frame["unit"].nunique()


def _per_us(frame) -> int:
    return {"ns": 1000, "us": 1}[frame["time"].dt.unit]


def test_a_label_makes_its_day_new(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path / "ledger.db", [event("a"), event("b", at=DAY)])
    ledger.pack()
    add(ledger, [label("a", 0.25, at=3 * DAY)])
    assert ledger.read().score("accuracy").score.tolist()[0] == 0.25
    assert ledger.pack() == 1


def test_reading_a_span(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path / "ledger.db", [event(f"e{hour}", at=hour * HOUR) for hour in range(0, 72, 6)])
    start = int(START.timestamp() * 1e6)
    some = ledger.read(since_us=start + 24 * 3_600_000_000, until_us=start + 48 * 3_600_000_000)
    assert ((some.time_us - start) // 3_600_000_000).tolist() == [24, 30, 36, 42]
    assert len(open_ledger(tmp_path / "other.db", "x").read()) == 0


def test_what_was_known_at_a_moment(tmp_path: Path) -> None:
    rows = [event("a"), label("a", 1, at=5 * HOUR), event("b", at=2 * HOUR), event("c", at=9 * HOUR)]
    events = ledger_of(tmp_path / "ledger.db", rows).read()
    start = int(START.timestamp() * 1e6)
    before, after = (events.known_at(start + hour * 3_600_000_000) for hour in (4, 5))
    assert len(before) == len(after) == 2
    assert np.isnan(before.score("accuracy").score).all()
    assert after.score("accuracy").score[0] == 1


def test_units_are_not_stored_by_name(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path / "ledger.db", [event("a", unit="somebody@example.org"), event("b", unit="1")])
    ledger.pack()
    assert b"somebody@" not in (tmp_path / "ledger.db").read_bytes()
    assert ledger_of(tmp_path / "second.db", [event("a", unit="1")]).read().unit[0] not in ledger.read().unit


def test_the_summary_says_what_is_missing(tmp_path: Path) -> None:
    rows = [event("a", share=0.01), event("b", at=3 * DAY, share=0.05), label("z", 1)]
    summary = ledger_of(tmp_path / "ledger.db", rows).summary()
    assert summary.arms == {"champion": 2, "candidate": 0}
    assert summary.shares == (0.01, 0.05)
    assert (summary.empty_days, summary.waiting) == (2, 1)


# ---- ledgers that cannot be used -------------------------------------------------------------------------------------


def test_a_ledger_of_another_suite(tmp_path: Path) -> None:
    ledger_of(tmp_path / "ledger.db")
    with pytest.raises(LedgerError, match=r"expected the ledger of the suite 'other', got that of 'tickets'"):
        open_ledger(tmp_path / "ledger.db", "other")


def test_a_ledger_of_another_version(tmp_path: Path) -> None:
    ledger_of(tmp_path / "ledger.db")
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("UPDATE mlbaseline_ledger SET version = 99")
    with pytest.raises(NewerFormatError, match="the ledger has format 99, written by a later mlbaseline"):
        open_ledger(tmp_path / "ledger.db", "tickets")
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("UPDATE mlbaseline_ledger SET version = 0")
    with pytest.raises(LedgerError, match="expected a ledger of version 1, got version 0"):
        open_ledger(tmp_path / "ledger.db", "tickets")


def test_a_file_that_is_no_ledger(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("request_id,time\n" * 20)
    with pytest.raises(LedgerError, match=r"is not a ledger: expected a SQLite file, got one that begins b'request_id"):
        open_ledger(tmp_path / "ledger.db", "tickets")


def test_a_torn_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = ledger_of(path)
    ledger.add(check_rows(stream(2_000), source="x", now=NOW), source="x")
    ledger.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LedgerError, match=r"is damaged: it has [\d,]+ bytes, its header says [\d,]+. Restore a copy"):
        open_ledger(path, "tickets")


def test_a_ledger_with_a_hole(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = ledger_of(path)
    ledger.add(check_rows(stream(2_000), source="x", now=NOW), source="x")
    ledger.close()
    whole = bytearray(path.read_bytes())
    whole[8192 : len(whole) - 4096] = b"\x07" * (len(whole) - 4096 - 8192)
    path.write_bytes(whole)
    with pytest.raises(LedgerError, match="is damaged"):
        open_ledger(path, "tickets").read()


def test_a_ledger_without_a_table(tmp_path: Path) -> None:
    ledger_of(tmp_path / "ledger.db", [event("a")]).close()
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("DROP TABLE mlbaseline_labels")
    with pytest.raises(LedgerError, match="damaged: the tables mlbaseline_labels are missing"):
        open_ledger(tmp_path / "ledger.db", "tickets")


def test_two_that_open_a_new_ledger_at_once_agree_though_one_writes_before_the_other_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, find_owner, looks = tmp_path / "ledger.db", opening._own_row, iter(range(9))

    def find_late(engine: Engine) -> object:
        if next(looks) > 0:
            return find_owner(engine)
        monkeypatch.setattr(opening, "_own_row", find_owner)
        ledger_of(path, [event("a")])
        monkeypatch.setattr(opening, "_own_row", find_late)
        return None  # as it was when it was asked, before the other one came

    monkeypatch.setattr(opening, "_own_row", find_late)
    assert open_ledger(path, "tickets").summary().requests == 1


def test_events_without_an_owner_are_a_damaged_ledger(tmp_path: Path) -> None:
    ledger_of(path := tmp_path / "ledger.db", [event("a")])
    with create_engine(f"sqlite:///{path}").begin() as connection:
        connection.execute(text("DELETE FROM mlbaseline_ledger"))
    with pytest.raises(LedgerError, match="damaged: it has events, but does not say whose they are"):
        open_ledger(path, "tickets")


def test_a_damaged_packed_day_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = ledger_of(path, [event("a"), label("a", 0.5)])
    ledger.pack()
    with create_engine(f"sqlite:///{path}").begin() as connection:
        connection.execute(text("UPDATE mlbaseline_days SET packed = :torn"), {"torn": b"ARROW1 and no more"})
    assert ledger.read().score("accuracy").score.tolist() == [0.5]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nosuch://host/db", "no such kind of database here"),
        ("not a url://", "expected a path or a URL of SQLAlchemy"),
        ("sqlite:////proc/nowhere/ledger.db", "the ledger cannot be used"),
    ],
)
def test_a_ledger_that_cannot_be_reached(url: str, message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        open_ledger(url, "tickets")


def test_a_password_is_not_shown() -> None:
    with pytest.raises(LedgerError) as caught:
        open_ledger("nosuch://me:secret@host/db", "tickets")
    assert "secret" not in str(caught.value)


def test_a_batch_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = ledger_of(tmp_path / "ledger.db")

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mlbaseline.monitor.ledger.writing._Batch.mark_stale", fail)
    with pytest.raises(KeyboardInterrupt):
        add(ledger, [event("a"), label("a", 1)])
    monkeypatch.undo()
    assert ledger.summary().requests == 0
    assert add(ledger, [event("a"), label("a", 1)]) == (1, 1, {})
