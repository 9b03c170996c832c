"""Slices that a search found and other examples confirm: where the candidate is worse."""

from __future__ import annotations

from dataclasses import dataclass

from mlbaseline import formats
from mlbaseline.records import SliceReport, Where, is_measure


@dataclass(frozen=True)
class ConfirmedLoss:
    """A slice on which examples that the search had not seen confirm that the candidate is worse."""

    candidate: str
    baseline: str
    where: Where

    def __str__(self) -> str:
        """Name it: `lora over zero_shot on topic: cars`."""
        return f"{formats.clean(self.candidate)} over {formats.clean(self.baseline)} on {place_text(self.where)}"

    @property
    def can_be_registered(self) -> bool:
        """Whether it is one slice of the suite, no intersection, and no third of a measure such as latency."""
        return len(self.where) == 1 and not is_measure(self.where[0][0])


def confirmed_losses(explored: SliceReport) -> list[ConfirmedLoss]:
    """Collect the slices that other examples confirm as worse."""
    return [
        ConfirmedLoss(search.candidate, search.baseline, one.where)
        for search in explored.searches
        for one in search.found
        if one.confirmed
    ]


def place_text(where: Where) -> str:
    """Name a slice or an intersection: `topic: cars`, or `topic: cars and length: q3`."""
    return " and ".join(f"{formats.clean(name)}: {formats.plain(value)}" for name, value in where)
