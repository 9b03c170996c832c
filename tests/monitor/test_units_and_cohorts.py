"""What decisions read: units that count once, at each share, and closed days."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np

from mlbaseline.monitor import OVERALL, WatchedSlice, closed_days, latest_us
from mlbaseline.monitor.canary.traffic import SplitTraffic
from mlbaseline.monitor.event_arrays import Integers
from tests.support.traffic import START, arrays_of, event, label, ledger_of, stream

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def by_arm(traffic: SplitTraffic, positions: Integers, *, share: float) -> tuple[int, int]:
    """How many of these events came to the champion and to the candidate at a share."""
    candidate = traffic.events.is_candidate[positions][traffic.events.share[positions] == share]
    return int((~candidate).sum()), int(candidate.sum())


def test_a_unit_counts_at_its_first_request_and_at_its_first_failure(tmp_path: Path) -> None:
    rows = [
        event("a", unit="u", share=0.1),
        event("b", at=HOUR, unit="u", share=0.1, error=True),
        event("c", at=2 * HOUR, unit="u", share=0.1, error=True),
        event("d", at=3 * HOUR, unit="v", share=0.1, error=True, arm="candidate"),
        event("e", at=4 * HOUR, share=0.1),
    ]
    traffic = SplitTraffic.of(ledger_of(tmp_path / "ledger.db", rows).read())
    assert traffic.first().tolist() == [0, 3, 4]
    assert traffic.failing().tolist() == [1, 3]
    assert traffic.events.is_candidate[traffic.failing()].tolist() == [False, True]


def test_each_unit_counts_at_the_share_at_which_it_came_first(tmp_path: Path) -> None:
    rows = [
        event("a", unit="u", share=0.1),
        event("b", at=HOUR, unit="v", share=0.1, arm="candidate"),
        event("c", at=2 * HOUR, unit="u", share=0.5, arm="candidate", error=True),
        event("d", at=3 * HOUR, unit="w", share=0.5),
        event("e", at=4 * HOUR, unit="w", share=0.5, error=True),
        label("d", 1),
    ]
    traffic = SplitTraffic.of(ledger_of(tmp_path / "ledger.db", rows).read())
    counted = {"requests": np.arange(5), "units": traffic.first(), "failures": traffic.failing()}
    first, second = (
        {what: by_arm(traffic, positions, share=share) for what, positions in counted.items()} for share in (0.1, 0.5)
    )
    assert first == {"requests": (1, 1), "units": (1, 1), "failures": (0, 0)}
    assert second == {"requests": (2, 1), "units": (1, 0), "failures": (1, 1)}
    assert by_arm(traffic, traffic.labelled("accuracy"), share=0.5) == (1, 0)


def test_units_that_both_arms_answer_are_found(tmp_path: Path) -> None:
    rows = [
        event("a", unit="u", share=0.1),
        event("b", unit="u", share=0.1, arm="candidate"),
        event("c", unit="v", share=0.1),
        event("d", unit="v", share=0.5, arm="candidate"),  # the share has risen: as it should be
        event("e", share=0.1),
    ]
    assert SplitTraffic.of(ledger_of(tmp_path / "ledger.db", rows).read()).crossing_units() == 1


def test_counts_agree_with_the_stream(tmp_path: Path) -> None:
    frame = stream(5_000, units=400, share=0.3)
    traffic = SplitTraffic.of(arrays_of(tmp_path / "ledger.db", frame))
    arms, of_arm = ["champion", "candidate"], frame.groupby("arm")
    assert by_arm(traffic, np.arange(len(traffic)), share=0.3) == tuple(of_arm.size()[arms])
    assert by_arm(traffic, traffic.first(), share=0.3) == tuple(of_arm["unit"].nunique()[arms])
    failed = frame[frame["error"]].groupby("arm")["unit"].nunique()
    assert by_arm(traffic, traffic.failing(), share=0.3) == tuple(failed[arms])
    labelled = np.flatnonzero(~np.isnan(traffic.events.score("accuracy").score))
    assert by_arm(traffic, labelled, share=0.3) == tuple(of_arm["score.accuracy"].count()[arms])


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
    assert len(SplitTraffic.of(events)) == 0
