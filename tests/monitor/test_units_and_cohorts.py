"""What decisions read: units that count once, phases of the share, and closed days."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np

from mlbaseline.monitor import OVERALL, WatchedSlice, closed_days, crossed_units, first_events, latest_us, share_phases
from tests.support.traffic import START, arrays_of, event, label, ledger_of, stream

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def test_a_unit_counts_at_its_first_request_and_at_its_first_failure(tmp_path: Path) -> None:
    rows = [
        event("a", unit="u", share=0.1),
        event("b", at=HOUR, unit="u", share=0.1, error=True),
        event("c", at=2 * HOUR, unit="u", share=0.1, error=True),
        event("d", at=3 * HOUR, unit="v", share=0.1, error=True, arm="candidate"),
        event("e", at=4 * HOUR, share=0.1),
    ]
    events = ledger_of(tmp_path / "ledger.db", rows).read()
    assert first_events(events).row.tolist() == [0, 3, 4]
    failures = first_events(events, events.error)
    assert failures.row.tolist() == [1, 3]
    assert failures.is_candidate.tolist() == [False, True]


def test_phases_count_each_unit_where_it_came_first(tmp_path: Path) -> None:
    rows = [
        event("a", unit="u", share=0.1),
        event("b", at=HOUR, unit="v", share=0.1, arm="candidate"),
        event("c", at=2 * HOUR, unit="u", share=0.5, arm="candidate", error=True),
        event("d", at=3 * HOUR, unit="w", share=0.5),
        event("e", at=4 * HOUR, unit="w", share=0.5, error=True),
        label("d", 1),
    ]
    first, second = share_phases(ledger_of(tmp_path / "ledger.db", rows).read(), "accuracy")
    assert (first.share, first.requests, first.units, first.first_failures) == (0.1, (1, 1), (1, 1), (0, 0))
    assert (second.share, second.requests, second.units) == (0.5, (2, 1), (1, 0))
    assert (second.first_failures, second.labels) == ((1, 1), (1, 0))
    assert first.until_us < second.since_us


def test_units_that_both_arms_answer_are_found(tmp_path: Path) -> None:
    rows = [
        event("a", unit="u", share=0.1),
        event("b", unit="u", share=0.1, arm="candidate"),
        event("c", unit="v", share=0.1),
        event("d", unit="v", share=0.5, arm="candidate"),  # the share has risen: as it should be
        event("e", share=0.1),
    ]
    assert crossed_units(ledger_of(tmp_path / "ledger.db", rows).read()) == 1


def test_phases_agree_with_the_stream(tmp_path: Path) -> None:
    frame = stream(5_000, units=400, share=0.3)
    (phase,) = share_phases(arrays_of(tmp_path / "ledger.db", frame), "accuracy")
    by_arm = frame.groupby("arm")
    assert phase.requests == tuple(by_arm.size()[["champion", "candidate"]])
    assert phase.units == tuple(by_arm["unit"].nunique()[["champion", "candidate"]])
    failed = frame[frame["error"]].groupby("arm")["unit"].nunique()
    assert phase.first_failures == tuple(failed[["champion", "candidate"]])
    assert phase.labels == tuple(by_arm["score.accuracy"].count()[["champion", "candidate"]])


def test_a_day_is_closed_once_its_labels_have_had_time(tmp_path: Path) -> None:
    rows = [
        event("a", **{"slice.topic": "x"}),
        label("a", 1, at=HOUR),
        event("b", at=HOUR, **{"slice.topic": "y"}),
        label("b", 0.25, at=2 * DAY),
        event("late", at=2 * HOUR, **{"slice.topic": "y"}),
        label("late", 0, at=2 * DAY + HOUR),  # one day after the end of its day is too late
        event("c", at=2 * DAY),
        label("c", 0, at=2 * DAY),
        event("open", at=3 * DAY + 23 * HOUR),
    ]
    events = ledger_of(tmp_path / "ledger.db", rows).read()
    labels = events.score("accuracy")
    days = closed_days(events, 1 - labels.score, labels.known_us, slices=["topic"], label_delay=DAY)
    assert [day.day for day in days] == [date(2026, 3, 1), date(2026, 3, 2)]
    first, empty = days
    assert {key: losses.tolist() for key, losses in first.losses.items()} == {
        OVERALL: [0.0, 0.75],
        WatchedSlice("topic", "x"): [0.0],
        WatchedSlice("topic", "y"): [0.75],
    }
    assert (first.events, first.late) == (3, 1)
    assert (empty.losses, empty.events) == ({}, 0)


def test_closed_days_agree_with_the_stream_and_do_not_change_later(tmp_path: Path) -> None:
    frame = stream(8_000, label_delay=timedelta(hours=20))
    events = arrays_of(tmp_path / "ledger.db", frame)
    labels = events.score("accuracy")
    delay = timedelta(hours=12)
    days = closed_days(events, 1 - labels.score, labels.known_us, slices=["topic"], label_delay=delay)
    assert len(days) >= 9
    closing = frame["time"].dt.floor("D") + DAY + delay
    counted = frame[frame["score.accuracy"].notna() & (frame["label_time"] <= closing)]
    for day in days:
        of_day = counted[counted["time"].dt.date == day.day]
        np.testing.assert_array_equal(day.losses[OVERALL], 1 - of_day["score.accuracy"])
        for topic, some in of_day.groupby("slice.topic"):
            np.testing.assert_array_equal(day.losses[WatchedSlice("topic", str(topic))], 1 - some["score.accuracy"])
    # As it was known when the fifth day was closed.
    moment = int((START + 5 * DAY + delay).timestamp() * 1e6)
    then = events.known_at(moment)
    known = then.score("accuracy")
    before = closed_days(then, 1 - known.score, known.known_us, slices=["topic"], label_delay=delay, until_us=moment)
    assert len(before) == 5
    for early, day in zip(before, days, strict=False):
        np.testing.assert_array_equal(early.losses[OVERALL], day.losses[OVERALL])


def test_no_event_no_day(tmp_path: Path) -> None:
    events = ledger_of(tmp_path / "ledger.db").read()
    assert latest_us(events) == -1
    labels = events.score("accuracy")
    assert closed_days(events, labels.score, labels.known_us, slices=[], label_delay=DAY) == ()
    assert share_phases(events, "accuracy") == ()
