"""Checked rows ─▶ the ledger. One transaction for each batch: whatever stops it, nothing is counted twice or lost."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
from sqlalchemy import Connection, insert, select, update

from mlbaseline.monitor.event_rows import MEASUREMENTS, Arm, CheckedRows
from mlbaseline.monitor.ledger.opening import OpenLedger
from mlbaseline.monitor.ledger.schema import DAYS, EVENTS, LABELS, SLICE_SETS
from mlbaseline.monitor.problems import EventProblem, ProblemCounts

DAY_US = 86_400_000_000
_AT_ONCE = 900
"""Values that one query names; some databases take no more than 999."""


@dataclass(frozen=True)
class AddedEvents:
    """What a batch added: new requests, new labels, and what was wrong with the rest."""

    requests: int
    labels: int
    problems: ProblemCounts


class _Request(NamedTuple):
    """What tells two requests with one id apart."""

    time_us: int
    is_candidate: bool
    error: bool


class _Label(NamedTuple):
    request_id: str
    assessment: str


def add_rows(ledger: OpenLedger, rows: CheckedRows, source: str) -> AddedEvents:
    """Add requests and labels that the ledger does not have yet.

    Args:
        ledger: An open ledger.
        rows: Checked rows.
        source: Name of the file or experiment, for messages.

    Raises:
        LedgerError: The database failed; nothing of the batch is kept.
    """
    with ledger.writing() as connection:
        return _Batch(connection, ledger.salt, source).add(rows)


class _Batch:
    def __init__(self, connection: Connection, salt: bytes, source: str) -> None:
        self.connection, self.salt, self.source = connection, salt, source
        self.problems = ProblemCounts()

    def add(self, rows: CheckedRows) -> AddedEvents:
        ids = pd.unique(pd.concat([rows.requests["request_id"], rows.labels["request_id"]])).tolist()
        requests = self.known_requests(ids)
        n_known = len(requests)
        new = rows.requests[self.are_new(rows.requests, requests)]
        labels = rows.labels[self.labels_are_new(rows.labels, self.known_labels(rows.labels))]
        if len(new):
            self.connection.execute(insert(EVENTS), self.event_rows(new))
        if len(labels):
            self.connection.execute(insert(LABELS), records(labels))
        if n_known:
            self.note_early(labels, requests, set(new["request_id"]))
        touched = {requests[name].time_us for name in labels["request_id"] if name in requests}
        self.mark_stale({time_us // DAY_US for time_us in (*touched, *new["time_us"].tolist())})
        return AddedEvents(len(new), len(labels), self.problems)

    # ---- requests ---------------------------------------------------------------------------------------------------

    def known_requests(self, ids: Sequence[str]) -> dict[str, _Request]:
        columns = (EVENTS.c.request_id, EVENTS.c.time_us, EVENTS.c.is_candidate, EVENTS.c.error)
        return {
            name: _Request(*said)
            for some in _pieces(ids)
            for name, *said in self.connection.execute(select(*columns).where(EVENTS.c.request_id.in_(some)))
        }

    def are_new(self, rows: pd.DataFrame, known: dict[str, _Request]) -> np.ndarray:
        """Which requests stand neither in the ledger nor in a row before; they become known."""
        is_new = np.zeros(len(rows), dtype=bool)
        said = zip(
            rows["time_us"].tolist(), (rows["arm"] == Arm.CANDIDATE.value).tolist(), rows["error"].tolist(), strict=True
        )
        for position, (name, request) in enumerate(zip(rows["request_id"], map(_Request._make, said), strict=True)):
            before = known.setdefault(name, request)
            if before is request:
                is_new[position] = True
            else:
                problem = EventProblem.DUPLICATE if before == request else EventProblem.CONFLICT
                self.problems.add(problem, 1, f"{self.source}: request {name!r}")
        return is_new

    def event_rows(self, new: pd.DataFrame) -> list[dict[str, object]]:
        own = new["unit"].notna()
        named = new["unit"].where(own, new["request_id"])
        rows = pd.DataFrame(
            {
                "request_id": new["request_id"],
                "day": new["time_us"] // DAY_US,
                "time_us": new["time_us"],
                # A unit and a request may share a name.
                "unit": [self.number_of(name, is_own) for name, is_own in zip(named, own, strict=True)],
                "has_unit": own,
                "experiment": new["experiment"],
                "is_candidate": new["arm"] == Arm.CANDIDATE.value,
                "share": new["share"],
                "error": new["error"],
                **{name: new[name] for name in MEASUREMENTS},
                "slice_set": new["slices"].map(self.slice_sets(new["slices"].unique().tolist())),
            }
        )
        numbers = ["share", *MEASUREMENTS]
        rows[numbers] = rows[numbers].astype(object).where(rows[numbers].notna(), None)
        return records(rows)

    def number_of(self, name: str, is_unit: bool) -> int:
        """Turn a unit into a number that only this ledger can make, so that no ids of users lie in it."""
        person = b"unit" if is_unit else b"request"
        digest = hashlib.blake2b(name.encode(), digest_size=8, key=self.salt, person=person).digest()
        return int.from_bytes(digest, "big", signed=True)

    def slice_sets(self, contents: Sequence[str]) -> dict[str, int]:
        """Look up the number of each combination of slice values; new ones are added."""
        sha256 = {hashlib.sha256(content.encode()).hexdigest(): content for content in contents}
        numbers = {}
        for some in _pieces(list(sha256)):
            found = select(SLICE_SETS.c.sha256, SLICE_SETS.c.id).where(SLICE_SETS.c.sha256.in_(some))
            numbers.update({sha256[digest]: number for digest, number in self.connection.execute(found)})
        for digest, content in sha256.items():
            if content not in numbers:
                self.connection.execute(insert(SLICE_SETS).values(content=content, sha256=digest))
                added = select(SLICE_SETS.c.id).where(SLICE_SETS.c.sha256 == digest)
                numbers[content] = self.connection.execute(added).scalar_one()
        return numbers

    # ---- labels -----------------------------------------------------------------------------------------------------

    def known_labels(self, rows: pd.DataFrame) -> dict[_Label, float]:
        columns = (LABELS.c.request_id, LABELS.c.assessment, LABELS.c.score)
        return {
            _Label(name, assessment): score
            for some in _pieces(pd.unique(rows["request_id"]).tolist())
            for name, assessment, score in self.connection.execute(
                select(*columns).where(LABELS.c.request_id.in_(some))
            )
        }

    def labels_are_new(self, rows: pd.DataFrame, known: dict[_Label, float]) -> np.ndarray:
        """Which labels stand neither in the ledger nor in a row before."""
        is_new = np.zeros(len(rows), dtype=bool)
        labels = map(_Label, rows["request_id"], rows["assessment"])
        for position, (label, score) in enumerate(zip(labels, rows["score"].tolist(), strict=True)):
            if label not in known:
                known[label] = score
                is_new[position] = True
            elif known[label] != score:
                shown = f"{self.source}: request {label.request_id!r} has {known[label]:g} already, got {score:g}"
                self.problems.add(EventProblem.LABEL_CONFLICT, 1, shown)
            else:
                self.problems.add(EventProblem.DUPLICATE, 1, f"{self.source}: a label of {label.request_id!r}")
        return is_new

    def note_early(self, labels: pd.DataFrame, requests: dict[str, _Request], new: set[str]) -> None:
        """Count labels that are older than their request, which an earlier row or source gave."""
        early = [
            name
            for name, label_us in zip(labels["request_id"], labels["label_us"].tolist(), strict=True)
            if name in requests and name not in new and 0 <= label_us < requests[name].time_us
        ]
        if early:
            example = f"{self.source}: the label of {early[0]!r} is older than its request"
            self.problems.add(EventProblem.LABEL_BEFORE_REQUEST, len(early), example)

    # ---- days -------------------------------------------------------------------------------------------------------

    def mark_stale(self, days: set[int]) -> None:
        if not days:
            return
        known = {
            day
            for some in _pieces(sorted(days))
            for (day,) in self.connection.execute(select(DAYS.c.day).where(DAYS.c.day.in_(some)))
        }
        if known:
            for some in _pieces(sorted(known)):
                self.connection.execute(update(DAYS).where(DAYS.c.day.in_(some)).values(is_stale=True))
        if fresh := days - known:
            self.connection.execute(insert(DAYS), [{"day": day, "is_stale": True} for day in sorted(fresh)])


def records(rows: pd.DataFrame) -> list[dict[str, object]]:
    """List the rows as the database takes them: column ─▶ value."""
    columns = [str(name) for name in rows.columns]
    return [dict(zip(columns, values, strict=True)) for values in rows.itertuples(index=False, name=None)]


_Value = TypeVar("_Value", str, int)


def _pieces(values: Sequence[_Value]) -> Iterator[Sequence[_Value]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]
