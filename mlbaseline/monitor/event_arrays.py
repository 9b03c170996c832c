"""Events as arrays in time order: what every decision reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ScoreArrays:
    """The labels of one score, each array of shape (n,).

    Attributes:
        score: From 0 to 1; NaN where the event has no label.
        known_us: Microseconds since 1970 from which the label is known, never before its request; −1 without one. Of
            several labels of an event, the latest counts.
    """

    score: Floats
    known_us: Integers


@dataclass(frozen=True, eq=False)
class EventArrays:
    """Events in time order. Every array has shape (n,).

    Attributes:
        time_us: Microseconds since 1970, UTC.
        is_candidate: Whether the candidate answered, else the champion.
        share: The candidate's configured share at that time; NaN where the event does not say.
        unit: A number for each user or session; for each request where the event names none.
        has_unit: Whether the event names its unit.
        experiment: Position in `experiments`.
        error: Whether the request failed.
        latency_s: Seconds; NaN where unknown.
        cost_usd: USD; NaN where unknown.
        tokens_in: Tokens read; NaN where unknown.
        tokens_out: Tokens written; NaN where unknown.
        slice_set: Position in `slice_sets`.
        experiments: Names of the experiments; "" where an event names none.
        slice_sets: Combinations of slice ─▶ value.
        scores: Name of a score ─▶ its labels.
    """

    time_us: Integers
    is_candidate: Flags
    share: Floats
    unit: Integers
    has_unit: Flags
    experiment: Integers
    error: Flags
    latency_s: Floats
    cost_usd: Floats
    tokens_in: Floats
    tokens_out: Floats
    slice_set: Integers
    experiments: tuple[str, ...]
    slice_sets: tuple[Mapping[str, str], ...]
    scores: Mapping[str, ScoreArrays]

    def __len__(self) -> int:
        return len(self.time_us)

    def take(self, rows: Flags | Integers | slice) -> EventArrays:
        """Take the events at these rows: a mask (n,), positions in ascending order, or a slice."""
        arrays = {
            field.name: getattr(self, field.name)[rows]
            for field in fields(self)
            if field.name not in ("experiments", "slice_sets", "scores")
        }
        scores = {name: ScoreArrays(labels.score[rows], labels.known_us[rows]) for name, labels in self.scores.items()}
        return replace(self, **arrays, scores=scores)

    def score(self, name: str) -> ScoreArrays:
        """Labels of a score; none of them where no event has one."""
        found = self.scores.get(name)
        return found or ScoreArrays(np.full(len(self), np.nan), np.full(len(self), -1, dtype=np.int64))

    def known_at(self, moment_us: int) -> EventArrays:
        """Take what was known at a moment: the events until then, and the labels until then."""
        before = self.take(slice(0, int(np.searchsorted(self.time_us, moment_us, side="right"))))
        scores = {}
        for name, labels in before.scores.items():
            known = labels.known_us <= moment_us
            scores[name] = ScoreArrays(np.where(known, labels.score, np.nan), np.where(known, labels.known_us, -1))
        return replace(before, scores=scores)

    def slice_values(self, name: str) -> tuple[Integers, tuple[str, ...]]:
        """Values of one slice.

        Returns:
            Position of each event's value (n,), −1 where it has none, and the values in alphabetic order.
        """
        values = tuple(sorted({content[name] for content in self.slice_sets if name in content}))
        place = {value: position for position, value in enumerate(values)}
        of_set = np.array([place.get(content.get(name, ""), -1) for content in self.slice_sets], dtype=np.int64)
        return of_set[self.slice_set] if len(self) else np.empty(0, dtype=np.int64), values
