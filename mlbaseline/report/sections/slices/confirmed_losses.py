"""Slices that a search found and other examples confirm: where the candidate is worse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlbaseline import formats
from mlbaseline.records import SliceReport, Where, is_loss_measure, is_measure

_MAX_NAMED = 3


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

    @property
    def is_nearly_mechanical(self) -> bool:
        return is_nearly_mechanical(self.where)


def confirmed_losses(explored: SliceReport) -> list[ConfirmedLoss]:
    """Collect the slices that other examples confirm as worse, those first that tell the reader most.

    Slices of the suite stand before intersections and measures, and cuts by the loss of another rung last; in each
    group the largest difference is first.
    """
    found = [
        (ConfirmedLoss(search.candidate, search.baseline, one.where), abs(one.delta))
        for search in explored.searches
        for one in search.found
        if one.confirmed
    ]
    found.sort(key=lambda each: (each[0].is_nearly_mechanical, not each[0].can_be_registered, -each[1]))
    return [loss for loss, _ in found]


def most_telling(losses: Sequence[ConfirmedLoss]) -> list[ConfirmedLoss]:
    """Choose the few that are named outside of the table of all. losses: as `confirmed_losses` orders them."""
    return [loss for loss in losses if not loss.is_nearly_mechanical][:_MAX_NAMED]


def is_nearly_mechanical(where: Where) -> bool:
    """Tell whether examples are cut by the loss of another rung, so that a difference says little about them."""
    return any(is_loss_measure(name) for name, _ in where)


def place_text(where: Where) -> str:
    """Name a slice or an intersection: `topic: cars`, or `topic: cars and length: q3`."""
    return " and ".join(f"{formats.clean(name)}: {formats.plain(value)}" for name, value in where)
