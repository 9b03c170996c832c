"""Draw quality against cost, with the front of rungs that no other beats in both; in px from the lower left."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlbaseline import formats
from mlbaseline.report.plots import svg
from mlbaseline.report.plots.canvas import MARGIN, WIDTH, new_figure, shorten, text_width
from mlbaseline.report.plots.plot import Plot

_HEIGHT, _LEFT, _BOTTOM, _TOP = 372.0, 44.0, 52.0, 342.0
_STRIP, _INSET = 92.0, 14.0
_CROWD = 16
_SIZE = 11.5
_LONGEST = 120.0
_Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class TradeoffPoint:
    """One rung by cost (x, None where it is unknown) and quality (y), each with its interval where it has one.

    probability: of being on the front, when the examples are resampled.
    """

    name: str
    kind: str
    x: float | None
    y: float
    low: float
    high: float
    front: bool
    x_low: float | None = None
    x_high: float | None = None
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class TradeoffPlot(Plot):
    """Quality against cost. inverted: lower quality values are better, so the axis runs downwards.

    free, unknown: what the points at zero, and those without an x, have in common.
    """

    x_axis: str
    y_axis: str
    inverted: bool
    points: tuple[TradeoffPoint, ...]
    free: str = "no cost"
    unknown: str = "no price"

    def draw(self) -> Any:
        """Draw the rungs and the front of those that no other beats in both."""
        return _draw_tradeoff(self)


@dataclass(frozen=True)
class _Scale:
    """value ─▶ px, linear or logarithmic, from `low` at `start` to `high` at `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = map(math.log10, (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        from matplotlib.ticker import LogLocator, MaxNLocator

        decades = math.log10(self.high / self.low) if self.log else 0
        locator = LogLocator(subs=(1,) if decades > 2 else (1, 2, 5), numticks=7) if self.log else MaxNLocator(5)
        low, high = sorted((self.low, self.high))
        return [float(tick) for tick in locator.tick_values(low, high) if low <= tick <= high * (1 + 1e-9)]


@dataclass(frozen=True)
class _Placed:
    point: TradeoffPoint
    x: float
    y: float
    low: float
    high: float
    region: tuple[float, float]
    across: tuple[float, float] | None = None


def _draw_tradeoff(plot: TradeoffPlot) -> Any:
    """Draw quality against cost as a matplotlib Figure.

    Rungs without cost stand at zero or, on a logarithmic axis, which has no zero, in a strip at its left; rungs whose
    cost is unknown stand in a strip at the right, outside the front.
    """
    costs = [point.x for point in plot.points if point.x]
    log = bool(costs) and max(costs) > 10 * min(costs)
    free = [point for point in plot.points if point.x == 0 and log]
    unknown = [point for point in plot.points if point.x is None]
    start = _LEFT + (_STRIP if free else 0.0)
    end = WIDTH - MARGIN - (_STRIP if unknown else 0.0)
    x = _cost_scale(costs, start, end, log=log)
    y = _quality_scale(plot)

    figure = new_figure(_HEIGHT)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(0, _HEIGHT)
    _draw_scales(axes, plot, x, y, left=bool(free), right=bool(unknown))
    main = [point for point in plot.points if point.x is not None and point not in free]
    placed = [_place(point, x(point.x or 0.0), y, (_LEFT if not free else start, end)) for point in main]
    placed = [replace(item, across=_across(item.point, x)) for item in placed]
    placed += [_place(point, _LEFT + _INSET, y, (_LEFT, start)) for point in free]
    placed += [_place(point, end + _INSET, y, (end, WIDTH)) for point in unknown]
    stairs = _stairs([item for item in placed if item.point.front], end)
    axes.plot(*zip(*stairs, strict=True), color=svg.BETTER, linewidth=1.2, solid_joinstyle="miter", zorder=1)
    for item in placed:
        _draw_point(axes, item)
    _draw_labels(axes, placed, stairs)
    return figure


def _cost_scale(costs: Sequence[float], start: float, end: float, *, log: bool) -> _Scale:
    if log:
        return _Scale(min(costs) / 1.5, max(costs) * 1.5, start, end, log=True)
    return _Scale(0.0, max(costs, default=1.0) * 1.08, start + _INSET, end)


def _quality_scale(plot: TradeoffPlot) -> _Scale:
    known = [v for point in plot.points for v in (point.y, point.low, point.high) if formats.finite(v)]
    low, high = min(known), max(known)
    air = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
    bottom, top = (high + air, low - air) if plot.inverted else (low - air, high + air)
    return _Scale(bottom, top, _BOTTOM, _TOP)


def _place(point: TradeoffPoint, x: float, y: _Scale, region: tuple[float, float]) -> _Placed:
    low, high = (y(bound) if formats.finite(bound) else y(point.y) for bound in (point.low, point.high))
    return _Placed(point, x, y(point.y), min(low, high), max(low, high), region)


def _across(point: TradeoffPoint, x: _Scale) -> tuple[float, float] | None:
    """Cut the interval of the cost to what the plot shows."""
    if point.x_low is None or point.x_high is None or (x.log and point.x_low <= 0):
        return None
    return max(x(point.x_low), x.start), min(x(point.x_high), x.end)


def _draw_scales(axes: Any, plot: TradeoffPlot, x: _Scale, y: _Scale, *, left: bool, right: bool) -> None:
    far = WIDTH - MARGIN
    for tick in y.ticks():
        axes.plot((_LEFT, far), (y(tick),) * 2, color=svg.LINE, linewidth=0.6, zorder=0)
        _write(axes, formats.plain(round(tick, 12)), _LEFT - 6, y(tick) - 3.5, align="right")
    axes.plot((_LEFT, far), (_BOTTOM,) * 2, color=svg.MUTED, linewidth=0.9, zorder=0)
    for tick in x.ticks():
        axes.plot((x(tick),) * 2, (_BOTTOM - 4, _BOTTOM), color=svg.MUTED, linewidth=0.9, zorder=0)
        _write(axes, formats.plain(float(f"{tick:.6g}")), x(tick), _BOTTOM - 16)
    for shown, start, edge, text in ((left, _LEFT, x.start, plot.free), (right, x.end, x.end, plot.unknown)):
        if shown:
            axes.plot((edge, edge), (_BOTTOM, _TOP), color=svg.MUTED, linewidth=0.8, linestyle=(0, (2, 3)), zorder=0)
            _write(axes, text, start + _STRIP / 2, _BOTTOM - 16)
    _write(axes, f"{plot.x_axis}  (left is better)", (x.start + x.end) / 2, 12)
    _write(axes, f"{plot.y_axis}  (up is better)", _LEFT, _HEIGHT - 14, align="left")


def _write(axes: Any, text: str, x: float, y: float, *, align: str = "center") -> None:
    axes.text(x, y, text, fontsize=11, color=svg.MUTED, ha=align, parse_math=False)


def _stairs(front: Sequence[_Placed], end: float) -> list[tuple[float, float]]:
    """Corners of the line of the best quality at each cost, from the cheapest rung on."""
    corners: list[tuple[float, float]] = []
    for item in sorted(front, key=lambda item: (item.x, item.y)):
        corners += [(item.x, corners[-1][1])] if corners else []
        corners += [(item.x, item.y)]
    return [*corners, (end, corners[-1][1])] if corners else []


def _draw_point(axes: Any, item: _Placed) -> None:
    colour = svg.BETTER if item.point.front else svg.MUTED
    axes.plot((item.x, item.x), (item.low, item.high), color=colour, linewidth=1.1, zorder=2)
    if item.across is not None:
        axes.plot(item.across, (item.y, item.y), color=colour, linewidth=1.1, zorder=2)
    axes.plot(
        item.x,
        item.y,
        linestyle="none",
        marker="s" if item.point.x is None else "o",
        markersize=8,
        markerfacecolor=colour if item.point.front else svg.PAPER,
        markeredgecolor=svg.PAPER if item.point.front else colour,
        markeredgewidth=1.4,
        zorder=3,
    )


def _draw_labels(axes: Any, placed: Sequence[_Placed], stairs: Sequence[tuple[float, float]]) -> None:
    """Names beside their points, the front's first. A name that would cover something is left to the table."""
    taken: list[_Box] = [(item.x - 5, item.y - 5, item.x + 5, item.y + 5) for item in placed]
    lines: list[_Box] = [(item.x - 1, item.low, item.x + 1, item.high) for item in placed]
    lines += [(item.across[0], item.y - 1, item.across[1], item.y + 1) for item in placed if item.across is not None]
    lines += [
        (min(a[0], b[0]) - 1, min(a[1], b[1]) - 1, max(a[0], b[0]) + 1, max(a[1], b[1]) + 1)
        for a, b in itertools.pairwise(stairs)
    ]
    for item in sorted(placed, key=lambda item: (not item.point.front, -item.y)):
        text = shorten(item.point.name, size=_SIZE, room=_LONGEST)
        spots = _spots(item, text_width(text, size=_SIZE))
        # With few rungs a name may rather lie over a line than be left out, but never over a point or a name.
        obstacles = ([*taken, *lines], taken) if len(placed) <= _CROWD else ([*taken, *lines],)
        free = (box for boxes in obstacles for box in spots if not any(_overlap(box, other) for other in boxes))
        spot = next(free, None)
        if spot is None:
            continue
        taken.append(spot)
        colour = svg.INK if item.point.front else svg.MUTED
        axes.text(spot[0], spot[1] + 3, text, fontsize=_SIZE, color=colour, parse_math=False)


def _spots(item: _Placed, width: float) -> list[_Box]:
    """Boxes around the point, nearest first, that lie within the plot."""
    corners = []
    for rise in (0.0, 11.0, -11.0, 20.0, -20.0, 32.0, -32.0):
        corners += [(item.x + 8, item.y + rise - 7), (item.x - 8 - width, item.y + rise - 7)]
    for rise in (item.high + 3, item.low - 17):
        corners += [(item.x - width / 2, rise)]
    boxes = [(x, y, x + width, y + 14) for x, y in corners]
    left, right = item.region
    return [box for box in boxes if box[0] >= left and box[2] <= right and box[1] >= _BOTTOM and box[3] <= _HEIGHT]


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
