"""Intervals within the bounds of their metric: an accuracy above 1 is impossible, whatever an approximation gives."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeVar

from mlbaseline.metrics import metric_of
from mlbaseline.records import (
    Assessment,
    Comparison,
    Estimate,
    SliceDelta,
    SliceGap,
    SliceReport,
    SliceSearch,
    SliceSpread,
    UnpairedContrast,
)

Difference = TypeVar("Difference", Comparison, SliceDelta, SliceGap, UnpairedContrast)


def clip_intervals(assessment: Assessment) -> Assessment:
    """Cut every interval to the values that its metric can have.

    The part that is cut off holds no possible value, so the interval keeps its coverage. Values, p-values and outcomes
    stay as they are. An infinite bound stays too: it says that nothing is known.

    Args:
        assessment: what a comparison found.

    Returns:
        The same with intervals of scores within [lowest, highest] of the metric, and those of differences within
        ±(highest − lowest).
    """
    return replace(
        assessment,
        standings=tuple(
            replace(s, metrics={name: _clip_score(name, estimate) for name, estimate in s.metrics.items()})
            for s in assessment.standings
        ),
        comparisons=tuple(map(_clip_comparison, assessment.comparisons)),
        unpaired=tuple(map(_clip_difference, assessment.unpaired)),
        slices=None if assessment.slices is None else _clip_slices(assessment.slices),
    )


def _clip_score(metric: str, estimate: Estimate) -> Estimate:
    lowest, highest = _bounds(metric)
    low, high = (_clip(bound, lowest, highest) for bound in (estimate.low, estimate.high))
    return replace(estimate, low=low, high=high)


def _clip_comparison(row: Comparison) -> Comparison:
    reach = _reach(row.metric)
    low, high = (_clip(bound, -reach, reach) for bound in (row.simultaneous_low, row.simultaneous_high))
    return replace(_clip_difference(row), simultaneous_low=low, simultaneous_high=high)


def _clip_difference(row: Difference) -> Difference:
    reach = _reach(row.metric)
    return replace(row, low=_clip(row.low, -reach, reach), high=_clip(row.high, -reach, reach))


def _clip_slices(explored: SliceReport) -> SliceReport:
    return replace(
        explored,
        deltas=tuple(map(_clip_difference, explored.deltas)),
        intersections=tuple(map(_clip_difference, explored.intersections)),
        gaps=tuple(map(_clip_gap, explored.gaps)),
        searches=tuple(map(_clip_search, explored.searches)),
    )


def _clip_gap(gap: SliceGap) -> SliceGap:
    reach = _reach(gap.metric)

    def clip_spread(spread: SliceSpread) -> SliceSpread:
        return replace(spread, low=_clip(spread.low, 0.0, reach), high=_clip(spread.high, 0.0, reach))

    return replace(_clip_difference(gap), ours=clip_spread(gap.ours), theirs=clip_spread(gap.theirs))


def _clip_search(search: SliceSearch) -> SliceSearch:
    reach = _reach(search.metric)
    found = (
        replace(one, low=_clip(one.low, -reach, reach), high=_clip(one.high, -reach, reach)) for one in search.found
    )
    return replace(search, found=tuple(found))


def _bounds(metric: str) -> tuple[float, float]:
    """Give lowest and highest value."""
    known = metric_of(metric)
    return float(known.lowest), float(known.highest)


def _reach(metric: str) -> float:
    """Give the largest possible difference of two scores."""
    lowest, highest = _bounds(metric)
    return highest - lowest


def _clip(value: float, lowest: float, highest: float) -> float:
    return min(max(value, lowest), highest) if math.isfinite(value) else value
