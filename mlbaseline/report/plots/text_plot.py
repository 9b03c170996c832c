"""Draw a forest panel with characters, for media without pictures."""

from __future__ import annotations

import math
from collections.abc import Callable

from mlbaseline import formats
from mlbaseline.report.plots.forest_plot import ForestPanel, ForestRow

_CHARACTERS = 33
_LONGEST_LABEL = 44


def interval_lines(panel: ForestPanel) -> list[str]:
    """Give one line a row: label, interval, number; `│` is no difference, `├──●──┤` the interval, right is better."""
    ends = [end for row in panel.rows for end in (0.0, row.delta, row.low, row.high) if formats.finite(end)]
    low, high = min(ends, default=0.0), max(ends, default=0.0)
    span = high - low or 1.0
    width = min(_LONGEST_LABEL, max((len(row.label) for row in panel.rows), default=0))

    def at(value: float) -> int:
        share = (min(max(value, low), high) - low) / span
        return round((1 - share if panel.inverted else share) * (_CHARACTERS - 1))

    lines, group = [f"{panel.axis}, right is better"], None
    for row in panel.rows:
        if row.group != group:
            group = row.group
            lines.append(group)
        label = row.label if len(row.label) <= width else row.label[: width - 1] + "…"
        lines.append(f"  {label:<{width}}  {_interval(row, at)}  {row.text}")
    return lines


def _interval(row: ForestRow, at: Callable[[float], int]) -> str:
    marks = [" "] * _CHARACTERS
    if not (math.isnan(row.low) or math.isnan(row.high)):
        (start, first), (end, last) = sorted((at(bound), bound) for bound in (row.low, row.high))
        marks[start : end + 1] = "─" * (end - start + 1)
        marks[start] = "├" if math.isfinite(first) else "←"
        marks[end] = "┤" if math.isfinite(last) else "→"
    zero = at(0.0)
    marks[zero] = {" ": "│", "─": "┼"}.get(marks[zero], marks[zero])
    if formats.finite(row.delta):
        marks[at(row.delta)] = "◆" if row.recipe else "●"
    return "".join(marks)
