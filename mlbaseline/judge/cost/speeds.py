"""Seconds of rungs at one speed of one machine, by the reference workload that was timed beside each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlbaseline.judge.cost.machines import (
    COMPUTE_NOTHING,
    LATENCY,
    SECONDS,
    USD,
    is_by_time_alone,
    is_elsewhere,
    normalisation,
)
from mlbaseline.records import Bounds, NormalisedFigure, Standing
from mlbaseline.suite import Suite

_FIGURES = {USD: ("compute", SECONDS), SECONDS: ("compute", SECONDS), LATENCY: ("latency_p95", LATENCY)}
"""Axis ─▶ the figure in units of the reference, and the same in seconds."""


@dataclass(frozen=True)
class Speed:
    """What the seconds of a rung are multiplied by.

    Attributes:
        factor: So that all rungs were measured at one speed of one machine.
        off: By how much it may be off, either way: a factor, 1 on the machine itself.
        relative: The figure in units of the reference.
        elsewhere: It ran on another machine.
    """

    factor: float
    off: float
    relative: NormalisedFigure
    elsewhere: bool

    def drawn(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.float64] | float:
        """Draw n factors: how far the reference is off on another machine is anything in its range."""
        if not self.elsewhere:
            return self.factor
        return self.factor * self.off ** rng.uniform(-1.0, 1.0, size=n)

    def bounds(self, value: float, fixed: float) -> Bounds:
        """Give the interval of a cost at this speed. fixed: that part of it that does not take time to answer."""
        low, high = (
            None if end is None else fixed + (value - fixed) * end / self.relative.value * off
            for end, off in ((self.relative.bounds.low, 1.0 / self.off), (self.relative.bounds.high, self.off))
        )
        return Bounds(low, high)


def speeds_of(suite: Suite, ours: Standing | None, compared: Sequence[Standing], axis: str) -> dict[str, Speed]:
    """By what to multiply the seconds of each rung, so that all were measured at one speed of one machine.

    Args:
        suite: Its prices say whose money depends on seconds alone.
        ours: A rung on the machine that is compared on.
        compared: The rungs that are compared; those of other machines may be (`machines.not_compared`).
        axis: A field of `Cost`.

    Returns:
        Rung ─▶ its speed. Without those that compute nothing, or whose price does not depend on seconds alone; empty
        where the axis does not, or where some rung of our machine lacks the reference.
    """
    if axis not in _FIGURES or ours is None:
        return {}
    figure, seconds = _FIGURES[axis]
    timed = [s for s in compared if s.kind not in COMPUTE_NOTHING and (axis != USD or is_by_time_alone(suite, ours, s))]
    reference = {s.baseline: _reference_s(s, figure, seconds) for s in timed}
    here = [s.baseline for s in timed if not is_elsewhere(ours, s, axis)]
    known = [reference_s for name in here if (reference_s := reference[name]) is not None]
    if len(known) < len(here) or not known:
        return {}
    common = math.exp(float(np.mean([math.log(each) for each in known])))
    found = {}
    for standing in timed:
        relative, reference_s = standing.cost.relative.get(figure), reference[standing.baseline]
        if relative is None or reference_s is None:
            continue
        elsewhere = standing.baseline not in here
        off = normalisation(ours, standing).off if elsewhere else 1.0
        found[standing.baseline] = Speed(common / reference_s, off, relative, elsewhere)
    return found


def is_unbridged(suite: Suite, ours: Standing, theirs: Standing, axis: str) -> bool:
    """Tell whether a rung without a speed may not be compared: it ran elsewhere, and its seconds are what counts."""
    if axis not in _FIGURES or not is_elsewhere(ours, theirs, axis):
        return False
    return axis != USD or is_by_time_alone(suite, ours, theirs)


def _reference_s(standing: Standing, figure: str, seconds: str) -> float | None:
    """Seconds of the reference workload by which a figure was divided."""
    relative, value = standing.cost.relative.get(figure), getattr(standing.cost, seconds)
    return None if relative is None or not value or relative.value <= 0.0 else value / relative.value
