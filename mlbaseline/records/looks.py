"""Registered looks at a test: in which order its examples are answered, and what each look came to."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from mlbaseline.records.answers import TaskData
from mlbaseline.records.decisions import StoredText


@dataclass(frozen=True)
class LookSchedule:
    """The order in which a test is answered, and where it is looked at.

    The order follows from the data alone, so that nobody can choose it. A cluster is answered as a whole.

    Attributes:
        ids: Every example of the test, in that order; without registered looks in any order.
        sizes: Number of examples at each registered look, increasing, the last all; empty without registered looks.
        slice_values: Slice ─▶ its values in the whole test, sorted.
    """

    ids: tuple[str, ...]
    sizes: tuple[int, ...]
    slice_values: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, data: TaskData, looks: Sequence[float]) -> LookSchedule:
        """Order the examples of a test.

        Args:
            data: The test.
            looks: Registered shares of it, increasing, the last 1; () for none.

        Example:
            >>> from mlbaseline.records import Example
            >>> examples = tuple(Example(name, {}, "yes", ("yes", "no")) for name in "abcd")
            >>> schedule = LookSchedule.of(TaskData("test", examples, ("yes", "no"), "d" * 64), [0.5, 1.0])
            >>> schedule.sizes, sorted(schedule.ids)
            ((2, 4), ['a', 'b', 'c', 'd'])
        """

        if not looks:
            return cls(tuple(example.id for example in data.examples), (), {})

        def place(unit: str) -> bytes:
            return hashlib.sha256(f"{data.digest}\n{unit}".encode("utf-8", "surrogatepass")).digest()

        units = {example.id: example.cluster or example.id for example in data.examples}
        ids = tuple(sorted(units, key=lambda name: (place(units[name]), units[name], place(name))))
        ends = [n for n, name in enumerate(ids, start=1) if n == len(ids) or units[ids[n]] != units[name]]
        wanted = [math.ceil(share * len(ids) - 1e-9) for share in looks]
        sizes = tuple(dict.fromkeys(next(end for end in ends if end >= n) for n in wanted))
        names = data.examples[0].slices if data.examples else ()
        values = {name: tuple(sorted({example.slices[name] for example in data.examples})) for name in names}
        return cls(ids, sizes, values)

    @property
    def n(self) -> int:
        """Number of examples of the whole test."""
        return len(self.ids)

    @property
    def fractions(self) -> tuple[float, ...]:
        """Share of the test at each look."""
        return tuple(size / self.n for size in self.sizes)

    def first(self, n: int) -> frozenset[str]:
        """Give the examples that are answered first."""
        return frozenset(self.ids[:n])

    def follows(self, ids: Collection[str]) -> bool:
        """Whether these are the first examples of the order, and no others."""
        return len(ids) <= self.n and all(self._positions.get(name, self.n) < len(ids) for name in ids)

    def look_of(self, n: int) -> int | None:
        """Find the look (0 the first) that is taken after n examples; None where none is registered there."""
        return self.sizes.index(n) if n in self.sizes else None

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.ids)}


class LookOutcome(StoredText):
    """What a look says of a contrast.

    `efficacy`: it is beyond its margin. `harm`: it is below it. `futility`: it is unlikely to get there.
    """

    EFFICACY = "efficacy"
    HARM = "harm"
    FUTILITY = "futility"
    CONTINUE = "continue"


class StopStatus(StoredText):
    """Where the answers to a test end.

    `settled`: at a registered look that settles every candidate. `whole`: nowhere, all were answered. `unsettled`: at
    a registered look that does not. `unplanned`: where no look is registered, or not in the registered order.
    """

    SETTLED = "settled"
    WHOLE = "whole"
    UNSETTLED = "unsettled"
    UNPLANNED = "unplanned"


@dataclass(frozen=True, slots=True)
class ContrastLook:
    """A contrast at a look.

    z: its statistic, oriented so that more is better than the margin. efficacy, futility: the boundaries of z that an
    uncorrected share of the error rate would give; a step-down correction may settle a contrast a little before.
    """

    candidate: str
    baseline: str
    metric: str
    where: str
    z: float
    efficacy: float
    futility: float
    outcome: LookOutcome


@dataclass(frozen=True, slots=True)
class Look:
    """A look at the first `n` examples. settled: candidate ─▶ what settles it, for those that are settled."""

    n: int
    contrasts: tuple[ContrastLook, ...]
    settled: dict[str, LookOutcome]


@dataclass(frozen=True, slots=True)
class LookReport:
    """Where the answers to a test end, derived from the rows, and all registered looks up to there.

    n: examples that every registered rung answered. total: of the whole test. sizes: of the registered looks. first:
    of the first look that settled every candidate; None where none did. guardrails_whole: whether guardrails are judged
    on the whole test all the same.
    """

    status: StopStatus
    n: int
    total: int
    sizes: tuple[int, ...]
    looks: tuple[Look, ...]
    first: int | None
    guardrails_whole: bool

    @property
    def stopped_early(self) -> bool:
        """Whether a boundary spared the rest of the test."""
        return self.status is StopStatus.SETTLED and self.n < self.total

    @property
    def by(self) -> dict[str, LookOutcome]:
        """Candidate ─▶ the boundary that settled it at the last look; only those that are settled."""
        return self.looks[-1].settled if self.looks else {}

    @property
    def summary(self) -> str:
        """Say in a few words where it ends and by which boundary: `120 of 300 (40%), look 2 of 5: lora efficacy`."""
        share = f"{self.n:,} of {self.total:,} ({self.n / self.total:.0%})"
        if self.status is StopStatus.UNPLANNED:
            return f"{share}, no registered look"
        position = f"look {self.sizes.index(self.n) + 1} of {len(self.sizes)}"
        by = ", ".join(f"{candidate} {outcome}" for candidate, outcome in self.by.items()) or "nothing settled"
        return f"{share}, {position}: {by}"
