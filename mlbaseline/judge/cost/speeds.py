"""Seconds of rungs at one speed of the machine, by the reference workload that was timed beside each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mlbaseline.judge.comparability import same_hardware
from mlbaseline.records import Standing

_FIGURES = {
    "usd_per_query": ("compute", "compute_s_per_query"),
    "compute_s_per_query": ("compute", "compute_s_per_query"),
    "latency_p95_s": ("latency_p95", "latency_p95_s"),
}
"""Axis ─▶ the figure in units of the reference, and the same in seconds."""
_COMPUTE_NOTHING = ("trivial", "human")


def speeds_of(standings: Mapping[str, Standing], names: Sequence[str], axis: str) -> dict[str, float]:
    """By what to multiply the seconds of each rung, so that all were measured at one speed of the machine.

    Args:
        standings: Of all rungs.
        names: The rungs that are compared.
        axis: A field of `Cost`.

    Returns:
        Rung ─▶ factor; 1 for what computes nothing, or whose price does not depend on seconds. Empty where the axis
        does not, where some rung lacks the reference, or where two ran on different machines.
    """
    if axis not in _FIGURES:
        return {}
    figure, seconds = _FIGURES[axis]
    reference: dict[str, float] = {}
    for name in names:
        standing = standings[name]
        by_time = axis != "usd_per_query" or standing.cost.priced_by == "hardware"
        if standing.kind in _COMPUTE_NOTHING or not by_time:
            continue
        relative, value = standing.cost.relative.get(figure), getattr(standing.cost, seconds)
        if relative is None or not value or relative.value <= 0.0:
            return {}
        reference[name] = value / relative.value
    first = next(iter(reference), None)
    if first is None or any(same_hardware(standings[first], standings[name]) for name in reference if name != first):
        return {}
    common = math.exp(float(np.mean([math.log(each) for each in reference.values()])))
    return {name: common / reference[name] if name in reference else 1.0 for name in names}


def at_speed(value: float, usd: npt.NDArray[np.float64] | None, speed: float) -> float:
    """Give a cost at another speed. usd: resamples of that part of it that time costs; None: all of it."""
    return value * speed if usd is None else value + (speed - 1.0) * float(usd.mean())
