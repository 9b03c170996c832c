"""Intervals of differences on a common axis; right is always better."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mlbaseline.report import formats, svg
from mlbaseline.report.drawing import COLOURS, MARGIN, WIDTH, canvas_of, dress, text_width, write
from mlbaseline.report.figures import Bar, Forest, Panel

_ROW, _COMPACT_ROW, _GROUP, _AXIS, _KEY = 42.0, 23.0, 30.0, 44.0, 34.0
_LABELS = 150.0
_SMALL = 10.5


def draw_forest(forest: Forest) -> Any:
    """A matplotlib Figure: panels below each other, then the key."""
    heights = [_height(panel, forest.compact) for panel in forest.panels]
    total = sum(heights) + _AXIS * len(heights) + _KEY
    canvas = canvas_of(total)
    left = _LABELS if forest.compact else MARGIN
    top = 0.0
    for panel, height in zip(forest.panels, heights, strict=True):
        box = (left / WIDTH, 1 - (top + height) / total, (WIDTH - left - MARGIN) / WIDTH, height / total)
        _draw_panel(canvas.add_axes(box), panel, height, compact=forest.compact)
        top += height + _AXIS
    for line, text in enumerate(_key(forest)):
        y = (_KEY - 12 - 16 * line) / total
        canvas.text(MARGIN / WIDTH, y, text, fontsize=_SMALL, color=svg.MUTED, parse_math=False)
    return canvas


def _height(panel: Panel, compact: bool) -> float:
    groups = len({bar.group for bar in panel.bars})
    return _GROUP * groups + (_COMPACT_ROW if compact else _ROW) * len(panel.bars) + 6


def _key(forest: Forest) -> tuple[str, ...]:
    bars = [bar for panel in forest.panels for bar in panel.bars]
    marks = [
        *(["● checkpoint"] if not all(bar.recipe for bar in bars) else []),
        *(["◆ recipe"] if any(bar.recipe for bar in bars) else []),
        *(["hollow: undecided"] if any(bar.tone == "open" for bar in bars) else []),
    ]
    strokes = [
        "thick: interval",
        *(["thin: simultaneous"] if any(formats.finite(bar.simultaneous_low) for bar in bars) else []),
        *(["short stroke: margin to clear"] if any(bar.threshold for bar in bars) else []),
        *(["dashed: all examples"] if any(panel.reference is not None for panel in forest.panels) else []),
    ]
    whole = " · ".join(marks + strokes)
    return (whole,) if text_width(whole, size=_SMALL) < WIDTH - 2 * MARGIN else (" · ".join(marks), " · ".join(strokes))


def _draw_panel(axes: Any, panel: Panel, height: float, *, compact: bool) -> None:
    low, high = _limits(panel)
    axes.set_xlim(high, low) if panel.inverted else axes.set_xlim(low, high)
    axes.set_ylim(height, 0)
    dress(axes)
    y, group = 0.0, None
    for bar in panel.bars:
        if bar.group != group:
            group = bar.group
            x = -(_LABELS - MARGIN) if compact else 0
            write(axes, group, x, y + 18, size=11.5, weight="bold", room=WIDTH - 2 * MARGIN)
            y += _GROUP
        y += _COMPACT_ROW if compact else _ROW
        if compact:
            write(axes, bar.label, -(_LABELS - MARGIN), y - 6, size=11.5, room=_LABELS - MARGIN - 10)
        else:
            write(axes, bar.text, WIDTH - 2 * MARGIN, y - 25, size=11.5, align="right", room=220)
            write(axes, bar.label, 0, y - 25, size=11.5, room=WIDTH - 2 * MARGIN - 200)
        # Only beside the bars, so that no line runs through a label.
        reach = _COMPACT_ROW / 2 if compact else 10
        axes.plot((0, 0), (y - 10 - reach, y - 10 + reach), color=svg.MUTED, linewidth=0.9, zorder=1)
        if panel.reference is not None:
            ends = (y - 10 - reach, y - 10 + reach)
            axes.plot((panel.reference,) * 2, ends, color=svg.MUTED, linewidth=0.9, linestyle=(0, (3, 3)), zorder=1)
        _draw_bar(axes, bar, y - 10, (low, high))
    axes.set_xlabel(f"{panel.axis}   (right is better)", fontsize=11, parse_math=False)
    axes.xaxis.set_major_formatter(lambda value, _: ("+" if value > 0 else "") + formats.plain(round(value, 12)))


def _draw_bar(axes: Any, bar: Bar, y: float, limits: tuple[float, float]) -> None:
    colour = COLOURS.get(bar.tone, svg.INK)
    for low, high, width in ((bar.simultaneous_low, bar.simultaneous_high, 1.2), (bar.low, bar.high, 4.0)):
        if low <= high:  # false for an unknown bound
            ends = max(low, limits[0]), min(high, limits[1])
            axes.plot(ends, (y, y), color=colour, linewidth=width, solid_capstyle="butt", zorder=2)
    if bar.threshold:
        axes.plot((bar.threshold,) * 2, (y - 7, y + 7), color=svg.INK, linewidth=1.4, zorder=3)
    axes.plot(
        bar.delta,
        y,
        linestyle="none",
        marker="D" if bar.recipe else "o",
        markersize=6.5 if bar.recipe else 8,
        markerfacecolor=svg.PAPER if bar.tone == "open" else colour,
        markeredgecolor=colour if bar.tone == "open" else svg.PAPER,
        markeredgewidth=1.4,
        zorder=4,
    )


def _limits(panel: Panel) -> tuple[float, float]:
    """All finite ends and zero, with air; simultaneous bounds may widen the axis by half, no more."""
    near = [end for bar in panel.bars for end in (0.0, bar.delta, bar.low, bar.high, bar.threshold or 0.0)]
    low, high = _range(near)
    far_low, far_high = _range([e for bar in panel.bars for e in (bar.simultaneous_low, bar.simultaneous_high)] + near)
    span = high - low or 1.0
    low, high = max(far_low, low - span / 2), min(far_high, high + span / 2)
    return low - 0.04 * span, high + 0.04 * span


def _range(values: Iterable[float]) -> tuple[float, float]:
    known = [value for value in values if formats.finite(value)]
    return min(known, default=0.0), max(known, default=0.0)
