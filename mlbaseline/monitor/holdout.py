"""The holdout: a bounded sample of labelled items of live traffic, in proportion to its slices."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Generic, TypeVar

from mlbaseline.monitor.event_files import is_event_column, read_events
from mlbaseline.monitor.event_rows import check_rows
from mlbaseline.monitor.ledger import DAY_US
from mlbaseline.records import Scalar, digest_of
from mlbaseline.results import SLICE
from mlbaseline.values import is_missing

INPUT, TARGET = "input.", "target"
"""Columns of an event with what was asked, and with the right answer: such an event can become an item."""
_PERIOD_DAYS = {"daily": 1, "weekly": 7, "monthly": 30}
_MONDAY = 3
"""The first of January 1970 was a Thursday."""
Content = TypeVar("Content")


@dataclass(frozen=True)
class HoldoutItem:
    """An item that models can be asked again.

    Attributes:
        request_id: The request that it was.
        inputs: Column of the task's data ─▶ value.
        target: The right answer.
        slices: Slice ─▶ value.
    """

    request_id: str
    inputs: Mapping[str, Scalar]
    target: str
    slices: Mapping[str, str]


@dataclass(frozen=True)
class Period:
    """Days whose items make one version of the holdout. first_day, last_day: since 1970."""

    number: int
    first_day: int
    last_day: int

    def __contains__(self, time_us: int) -> bool:
        return self.first_day <= time_us // DAY_US <= self.last_day


def latest_closed_period(latest_us: int, refresh: str, label_delay: timedelta) -> Period:
    """Return the latest period all of whose days are closed.

    Args:
        latest_us: The latest time of the traffic, microseconds since 1970.
        refresh: `daily`, `weekly` (from Monday on) or `monthly` (30 days).
        label_delay: Time after the end of a day until it is closed.

    Example:
        >>> period = latest_closed_period(20_500 * DAY_US, "weekly", timedelta(days=3))
        >>> period.first_day, period.last_day
        (20486, 20492)
    """
    closed_until = (latest_us - label_delay // timedelta(microseconds=1)) // DAY_US  # the first day that is open
    return period_of((closed_until + _MONDAY) // _PERIOD_DAYS[refresh] - 1, refresh)


def period_of(number: int, refresh: str) -> Period:
    """Return a period by its number, counted from that of 1970."""
    first = number * _PERIOD_DAYS[refresh] - _MONDAY
    return Period(number, first, first + _PERIOD_DAYS[refresh] - 1)


class Reservoir(Generic[Content]):
    """The items with the smallest hashes of each stratum: a random sample that does not depend on their order.

    Adding an item twice, or in another run, changes nothing. Memory is bounded by `size` for each stratum.

    Args:
        size: Number of items in the whole sample.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._offered: Counter[str] = Counter()
        self._names: set[str] = set()
        self._kept: dict[str, list[tuple[int, str, Content]]] = {}

    def add(self, stratum: str, name: str, content: Content) -> None:
        """Offer an item. name: its id."""
        if name in self._names:
            return
        self._offered[stratum] += 1
        kept = self._kept.setdefault(stratum, [])
        entry = (-_priority(name), name, content)  # the first of the heap has the largest hash
        if len(kept) < self._size:
            heapq.heappush(kept, entry)
        elif entry[:2] > kept[0][:2]:
            self._names.discard(heapq.heapreplace(kept, entry)[1])
        else:
            return
        self._names.add(name)

    def sample(self) -> list[Content]:
        """Draw the sample, smallest hash first; each stratum has its share of what was offered (largest remainder)."""
        total = self._offered.total()
        size = min(self._size, total)
        quotas = {stratum: size * offered / total for stratum, offered in self._offered.items()}
        counts = {stratum: int(quota) for stratum, quota in quotas.items()}
        by_remainder = sorted(quotas, key=lambda stratum: (counts[stratum] - quotas[stratum], stratum))
        for stratum in by_remainder[: size - sum(counts.values())]:
            counts[stratum] += 1
        entries = [
            entry
            for stratum, kept in self._kept.items()
            for entry in heapq.nlargest(counts[stratum], kept, key=lambda entry: entry[0])
        ]
        return [content for _, _, content in sorted(entries, key=lambda entry: -entry[0])]


def _priority(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8, person=b"holdout").digest(), "big")


def file_items(path: Path, period: Period) -> Iterator[HoldoutItem]:
    """Read the items of a period from a file of events: those with `target` and `input.<column>`."""
    for batch in read_events(path, is_item_column):
        rows = check_rows(batch.frame, source=path.name, first_row=batch.first_row).requests
        names = [str(name) for name in batch.frame if str(name).startswith((INPUT, SLICE))]
        if TARGET not in batch.frame or rows.empty:
            continue
        times = dict(zip(rows["request_id"], rows["time_us"].tolist(), strict=True))
        columns = [batch.frame["request_id"], batch.frame[TARGET], *(batch.frame[name] for name in names)]
        for request_id, target, *values in zip(*(column.tolist() for column in columns), strict=True):
            if is_missing(target) or times.get(str(request_id), -1) not in period:
                continue
            cells = {name: value for name, value in zip(names, values, strict=True) if not is_missing(value)}
            inputs = {name.removeprefix(INPUT): value for name, value in cells.items() if name.startswith(INPUT)}
            slices = {name.removeprefix(SLICE): str(value) for name, value in cells.items() if name.startswith(SLICE)}
            if inputs:
                yield HoldoutItem(str(request_id), inputs, str(target), slices)


def is_item_column(name: str) -> bool:
    """Whether a column of a file of events says something of an item."""
    return name == TARGET or name.startswith(INPUT) or is_event_column(name)


def stratum_of(slices: Mapping[str, str], watched: tuple[str, ...]) -> str:
    """Name the combination of watched slice values that an item belongs to."""
    return "\x1f".join(slices.get(name, "") for name in watched)


def items_digest(items: list[HoldoutItem]) -> str:
    """SHA-256 over the content of items, whatever their order."""
    return digest_of(sorted([item.request_id, digest_of([item.inputs, item.target])] for item in items))
