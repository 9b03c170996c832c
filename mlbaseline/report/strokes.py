"""Interval bars drawn with characters, for media without pictures."""

from __future__ import annotations

import math
from collections.abc import Callable

from mlbaseline.report import formats
from mlbaseline.report.figures import Bar, Panel

_CELLS = 33
_LABEL = 44


def strokes(panel: Panel) -> list[str]:
    """One line a bar: label, bar, number; `│` is no difference, `├──●──┤` the interval, right is better."""
    ends = [end for bar in panel.bars for end in (0.0, bar.delta, bar.low, bar.high) if formats.finite(end)]
    low, high = min(ends, default=0.0), max(ends, default=0.0)
    span = high - low or 1.0
    width = min(_LABEL, max((len(bar.label) for bar in panel.bars), default=0))

    def at(value: float) -> int:
        share = (min(max(value, low), high) - low) / span
        return round((1 - share if panel.inverted else share) * (_CELLS - 1))

    lines, group = [f"{panel.axis}, right is better"], None
    for bar in panel.bars:
        if bar.group != group:
            group = bar.group
            lines.append(group)
        label = bar.label if len(bar.label) <= width else bar.label[: width - 1] + "…"
        lines.append(f"  {label:<{width}}  {_stroke(bar, at)}  {bar.text}")
    return lines


def _stroke(bar: Bar, at: Callable[[float], int]) -> str:
    cells = [" "] * _CELLS
    if not (math.isnan(bar.low) or math.isnan(bar.high)):
        (start, first), (end, last) = sorted((at(bound), bound) for bound in (bar.low, bar.high))
        cells[start : end + 1] = "─" * (end - start + 1)
        cells[start] = "├" if math.isfinite(first) else "←"
        cells[end] = "┤" if math.isfinite(last) else "→"
    zero = at(0.0)
    cells[zero] = {" ": "│", "─": "┼"}.get(cells[zero], cells[zero])
    if formats.finite(bar.delta):
        cells[at(bar.delta)] = "◆" if bar.recipe else "●"
    return "".join(cells)
