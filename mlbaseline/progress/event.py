"""All that a display is told: how far a piece of work is, and what became of a rung. Both can cross processes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias


@dataclass(frozen=True)
class Stage:
    """A part of the work on one rung with one seed, such as its training.

    Attributes:
        rung: Name of the baseline.
        seed: None where it has none.
        name: Of the part, such as "training".
    """

    rung: str
    seed: int | None
    name: str

    def __str__(self) -> str:
        return f"{self.rung}{'' if self.seed is None else f' · seed {self.seed}'}, {self.name}"


Title: TypeAlias = Stage | str
"""Tells a piece of work apart from other work of the same moment: a part of a rung's, or anything else in words."""


def part_of(title: Title | None, name: str) -> Title | None:
    """Name a part of a piece of work that is shown beside it; None where nothing is shown.

    Example:
        >>> str(part_of(Stage("lora", 1, "training"), "scoring dev"))
        'lora · seed 1, scoring dev'
    """
    if isinstance(title, Stage):
        return replace(title, name=name)
    return None if title is None else f"{title}, {name}"


class RungState(Enum):
    """What became of a rung with one seed."""

    RUNNING = "running"
    DONE = "done"
    REUSED = "reused"
    FAILED = "failed"
    LEFT_OUT = "left out"


@dataclass(frozen=True)
class RungEvent:
    """A rung with one seed has got into another state.

    Attributes:
        rung: Name of the baseline.
        seed: None where it has none.
        state: From now on.
        score: Its value of the suite's first metric, where there is one by now.
    """

    rung: str
    seed: int | None
    state: RungState
    score: float | None = None


@dataclass(frozen=True)
class Progress:
    """How far a piece of work is.

    Attributes:
        title: Of the work.
        unit: Of what is counted, in the singular, such as "step"; "B" for bytes.
        total: Number of units; None where it is not known.
        done: Units that are done.
        start: Units that were done before it began, which say nothing about its speed.
        elapsed_s: Since it began.
        note: What else is known, such as the loss.
        is_brief: Whether it is a preparation that nobody needs to see once it is over.
    """

    title: Title
    unit: str
    total: int | None
    done: int = 0
    start: int = 0
    elapsed_s: float = 0.0
    note: str = ""
    is_brief: bool = False

    @property
    def per_s(self) -> float | None:
        """Units done in a second; None before the first."""
        return (self.done - self.start) / self.elapsed_s if self.done > self.start and self.elapsed_s > 0 else None

    @property
    def left_s(self) -> float | None:
        """Time left at this speed; None where it cannot be told."""
        return None if self.total is None or self.per_s is None else max(0, self.total - self.done) / self.per_s

    def text(self) -> str:
        """Describe it in one line.

        Example:
            >>> Progress("lora · seed 1", "step", 260, done=120, elapsed_s=30.0, note="loss 0.412").text()
            'lora · seed 1: 120 of 260 steps, 4.0 steps/s, 00:35 left, loss 0.412'
        """
        if self.total is None:
            parts = [f"running for {time_text(self.elapsed_s)}"]
        elif self.unit == "B":
            parts = [f"{self.done / 1e6:,.1f} of {self.total / 1e6:,.1f} MB"]
        else:
            parts = [f"{self.done:,} of {self.total:,} {self.unit}s"]
        if self.total is not None and self.per_s is not None:
            parts.append(self.speed_text())
        if self.left_s is not None:
            parts.append(f"{time_text(self.left_s)} left")
        return f"{self.title}: {', '.join([*parts, *([self.note] if self.note else [])])}"

    def speed_text(self) -> str:
        """Give the units of a second, or the seconds of a unit where it takes longer than one; empty before the first.

        Example:
            >>> Progress("lora", "step", 260, done=2, elapsed_s=30.0).speed_text()
            '15.0 s/step'
        """
        if self.per_s is None:
            return ""
        if self.unit == "B":
            return f"{self.per_s / 1e6:,.1f} MB/s"
        return f"{self.per_s:,.1f} {self.unit}s/s" if self.per_s >= 1 else f"{1 / self.per_s:,.1f} s/{self.unit}"


def time_text(seconds: float) -> str:
    """Write a time as minutes and seconds, with hours where there are any.

    Example:
        >>> time_text(75), time_text(3675)
        ('01:15', '1:01:15')
    """
    from tqdm import tqdm

    return tqdm.format_interval(seconds)
