"""Draw a forest plot: intervals of differences on a common axis; right is always better."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mlbaseline import formats
from mlbaseline.report.plots import svg
from mlbaseline.report.plots.canvas import (
    COLOURS,
    MARGIN,
    WIDTH,
    draw_text,
    keep_labels_inside,
    new_figure,
    style_axes,
    text_width,
)
from mlbaseline.report.plots.plot import Plot

FOREST = "forest"
"""Name of the plot of the contrasts that decide."""
_ROW, _COMPACT_ROW, _GROUP, _AXIS, _KEY = 42.0, 23.0, 30.0, 44.0, 34.0
_LABELS = 150.0
_SMALL = 10.5


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One interval of a forest plot: delta with its bounds in the metric's unit, NaN where unknown.

    group: heading over consecutive rows. threshold: the value that the interval must clear. tone: as `view.Tone`.
    """

    group: str
    label: str
    text: str
    delta: float
    low: float
    high: float
    simultaneous_low: float
    simultaneous_high: float
    threshold: float | None
    recipe: bool
    tone: str


@dataclass(frozen=True, slots=True)
class ForestPanel:
    """Rows on one axis. inverted: lower is better, so the axis runs backwards and right still means better.

    reference: the delta over all examples, where the rows are slices of it.
    """

    title: str
    axis: str
    inverted: bool
    rows: tuple[ForestRow, ...]
    reference: float | None = None


@dataclass(frozen=True, slots=True)
class ForestPlot(Plot):
    """Differences with their intervals. compact: labels beside the rows and not above them."""

    panels: tuple[ForestPanel, ...]
    compact: bool

    def draw(self) -> Any:
        """Draw the panels below each other, then the key."""
        return _draw_forest(self)


def _draw_forest(forest: ForestPlot) -> Any:
    """Draw the panels below each other, then the key, as a matplotlib Figure."""
    heights = [_height(panel, forest.compact) for panel in forest.panels]
    total = sum(heights) + _AXIS * len(heights) + _KEY
    figure = new_figure(total)
    left = _LABELS if forest.compact else MARGIN
    top = 0.0
    for panel, height in zip(forest.panels, heights, strict=True):
        box = (left / WIDTH, 1 - (top + height) / total, (WIDTH - left - MARGIN) / WIDTH, height / total)
        _draw_panel(figure.add_axes(box), panel, height, compact=forest.compact)
        top += height + _AXIS
    for line, text in enumerate(_key(forest)):
        y = (_KEY - 12 - 16 * line) / total
        figure.text(MARGIN / WIDTH, y, text, fontsize=_SMALL, color=svg.MUTED, parse_math=False)
    return figure


def _height(panel: ForestPanel, compact: bool) -> float:
    groups = len({row.group for row in panel.rows})
    return _GROUP * groups + (_COMPACT_ROW if compact else _ROW) * len(panel.rows) + 6


def _key(forest: ForestPlot) -> tuple[str, ...]:
    rows = [row for panel in forest.panels for row in panel.rows]
    marks = [
        *(["● checkpoint"] if not all(row.recipe for row in rows) else []),
        *(["◆ recipe"] if any(row.recipe for row in rows) else []),
        *(["hollow: undecided"] if any(row.tone == "open" for row in rows) else []),
    ]
    lines = [
        "thick: interval",
        *(["thin: simultaneous"] if any(formats.finite(row.simultaneous_low) for row in rows) else []),
        *(["short stroke: margin to clear"] if any(row.threshold for row in rows) else []),
        *(["dashed: all examples"] if any(panel.reference is not None for panel in forest.panels) else []),
    ]
    whole = " · ".join(marks + lines)
    return (whole,) if text_width(whole, size=_SMALL) < WIDTH - 2 * MARGIN else (" · ".join(marks), " · ".join(lines))


def _draw_panel(axes: Any, panel: ForestPanel, height: float, *, compact: bool) -> None:
    low, high = _limits(panel)
    axes.set_xlim(high, low) if panel.inverted else axes.set_xlim(low, high)
    axes.set_ylim(height, 0)
    style_axes(axes)
    y, group = 0.0, None
    for row in panel.rows:
        if row.group != group:
            group = row.group
            x = -(_LABELS - MARGIN) if compact else 0
            draw_text(axes, group, x, y + 18, size=11.5, weight="bold", room=WIDTH - 2 * MARGIN)
            y += _GROUP
        y += _COMPACT_ROW if compact else _ROW
        if compact:
            draw_text(axes, row.label, -(_LABELS - MARGIN), y - 6, size=11.5, room=_LABELS - MARGIN - 10)
        else:
            draw_text(axes, row.text, WIDTH - 2 * MARGIN, y - 25, size=11.5, align="right", room=220)
            draw_text(axes, row.label, 0, y - 25, size=11.5, room=WIDTH - 2 * MARGIN - 200)
        # Only beside the intervals, so that no line runs through a label.
        reach = _COMPACT_ROW / 2 if compact else 10
        axes.plot((0, 0), (y - 10 - reach, y - 10 + reach), color=svg.MUTED, linewidth=0.9, zorder=1)
        if panel.reference is not None:
            ends = (y - 10 - reach, y - 10 + reach)
            axes.plot((panel.reference,) * 2, ends, color=svg.MUTED, linewidth=0.9, linestyle=(0, (3, 3)), zorder=1)
        _draw_row(axes, row, y - 10, (low, high))
    axes.set_xlabel(f"{panel.axis}   (right is better)", fontsize=11, parse_math=False)
    axes.xaxis.set_major_formatter(lambda value, _: ("+" if value > 0 else "") + formats.plain(round(value, 12)))
    keep_labels_inside(axes, WIDTH - MARGIN - (_LABELS if compact else MARGIN))


def _draw_row(axes: Any, row: ForestRow, y: float, limits: tuple[float, float]) -> None:
    colour = COLOURS.get(row.tone, svg.INK)
    for low, high, width in ((row.simultaneous_low, row.simultaneous_high, 1.2), (row.low, row.high, 4.0)):
        if low <= high:  # false for an unknown bound
            ends = max(low, limits[0]), min(high, limits[1])
            axes.plot(ends, (y, y), color=colour, linewidth=width, solid_capstyle="butt", zorder=2)
    if row.threshold:
        axes.plot((row.threshold,) * 2, (y - 7, y + 7), color=svg.INK, linewidth=1.4, zorder=3)
    axes.plot(
        row.delta,
        y,
        linestyle="none",
        marker="D" if row.recipe else "o",
        markersize=6.5 if row.recipe else 8,
        markerfacecolor=svg.PAPER if row.tone == "open" else colour,
        markeredgecolor=colour if row.tone == "open" else svg.PAPER,
        markeredgewidth=1.4,
        zorder=4,
    )


def _limits(panel: ForestPanel) -> tuple[float, float]:
    """Give the ends of the axis: all finite bounds and zero, with some space.

    Simultaneous bounds widen it by at most half.
    """
    near = [end for row in panel.rows for end in (0.0, row.delta, row.low, row.high, row.threshold or 0.0)]
    low, high = _range(near)
    far_low, far_high = _range([e for row in panel.rows for e in (row.simultaneous_low, row.simultaneous_high)] + near)
    span = high - low or 1.0
    low, high = max(far_low, low - span / 2), min(far_high, high + span / 2)
    return low - 0.04 * span, high + 0.04 * span


def _range(values: Iterable[float]) -> tuple[float, float]:
    known = [value for value in values if formats.finite(value)]
    return min(known, default=0.0), max(known, default=0.0)
