"""Cohorts: the events of a day, which count once their labels have had time to come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np

from mlbaseline.monitor.event_arrays import EventArrays, Flags, Floats, Integers
from mlbaseline.monitor.event_rows import EPOCH
from mlbaseline.monitor.ledger import DAY_US


class WatchedSlice(NamedTuple):
    """A value of a slice; both None for all events together."""

    slice: str | None
    value: str | None


OVERALL = WatchedSlice(None, None)


@dataclass(frozen=True)
class ClosedDay:
    """A day whose labels have had time to come.

    Attributes:
        day: The day, UTC.
        losses: Slice value ─▶ losses (n,) in time order, of labels that came in time. `OVERALL` has all of them; a
            slice value that had no event that day has none.
        events: Number of events.
        late: Number of labels that came after the day was closed. They count in snapshots only.
    """

    day: date
    losses: Mapping[WatchedSlice, Floats]
    events: int
    late: int


def closes_at_us(day: Integers | int, label_delay: timedelta) -> Integers | int:
    """When days (since 1970) are closed: at their end, and the label delay later. In microseconds since 1970."""
    return (day + 1) * DAY_US + label_delay // timedelta(microseconds=1)


def latest_us(events: EventArrays) -> int:
    """Time of the latest event or label: what has been seen of the clock. −1 without events.

    Decisions ask this clock and no other one: the same ledger says the same, whenever it is looked at.
    """
    if not len(events):
        return -1
    return max(int(events.time_us[-1]), *(int(labels.known_us.max()) for labels in events.scores.values()), -1)


def in_time(events: EventArrays, known_us: Integers, label_delay: timedelta) -> Flags:
    """Whether each event has a label (n,) that came before its day was closed."""
    closes = closes_at_us(events.time_us // DAY_US, label_delay)
    return np.asarray((known_us >= 0) & (known_us <= closes))


def closed_days(
    events: EventArrays,
    losses: Floats,
    known_us: Integers,
    *,
    slices: Sequence[str],
    label_delay: timedelta,
    until_us: int | None = None,
) -> tuple[ClosedDay, ...]:
    """Gather the losses of each closed day and slice value.

    Args:
        events: Events of one arm, in time order.
        losses: Loss of each event (n,), such as 1 − score; NaN where it has none.
        known_us: When each loss became known (n,), microseconds since 1970; −1 where it has none.
        slices: Names of the slices to tell apart.
        label_delay: Time after the end of a day until it is closed.
        until_us: The present; default: the latest time in `events`.

    Returns:
        All days from the first to the last closed one; a day without events has no losses.
    """
    present = latest_us(events) if until_us is None else until_us
    day_of = events.time_us // DAY_US
    last = (present - label_delay // timedelta(microseconds=1)) // DAY_US - 1
    if not len(events) or last < day_of[0]:
        return ()
    counted = in_time(events, known_us, label_delay) & ~np.isnan(losses)
    late = (known_us >= 0) & ~np.isnan(losses) & ~counted
    first, n_days = int(day_of[0]), int(last - day_of[0]) + 1
    inside = day_of <= last
    n_events = np.bincount(day_of[inside] - first, minlength=n_days)
    n_late = np.bincount(day_of[inside & late] - first, minlength=n_days)
    by_day: list[dict[WatchedSlice, Floats]] = [{} for _ in range(n_days)]
    rows = np.flatnonzero(inside & counted)
    for name in (None, *slices):
        codes, values = (np.zeros(len(events), dtype=np.int64), ("",)) if name is None else events.slice_values(name)
        some = rows[codes[rows] >= 0]
        for group, found in _split((day_of[some] - first) * len(values) + codes[some], losses[some]):
            position, code = divmod(group, len(values))
            by_day[position][OVERALL if name is None else WatchedSlice(name, values[code])] = found
    start = EPOCH.date()
    return tuple(
        ClosedDay(start + timedelta(days=first + position), found, int(n_events[position]), int(n_late[position]))
        for position, found in enumerate(by_day)
    )


def _split(groups: Integers, losses: Floats) -> Iterator[tuple[int, Floats]]:
    """Yield each group (n,) with its losses, in their order."""
    if len(groups):
        order = np.argsort(groups, kind="stable")
        found, starts = np.unique(groups[order], return_index=True)
        yield from zip(found.tolist(), np.split(losses[order], starts[1:]), strict=True)
