"""Pareto fronts of quality against cost, as plots and as cells of a table."""

from __future__ import annotations

from dataclasses import dataclass

from mlbaseline import formats
from mlbaseline.records import Bounds, Front, FrontPoint, Standing
from mlbaseline.report.plots.tradeoff_plot import TradeoffPlot, TradeoffPoint
from mlbaseline.report.presenter import Presenter, listed
from mlbaseline.report.view import Cell

USD = "usd_per_query"
_CERTAIN = 0.95


@dataclass(frozen=True)
class _Axis:
    """name: of the plot's file. column: heading in tables. scale: units on the axis per unit of the record."""

    name: str
    column: str
    title: str
    label: str
    scale: float = 1.0
    unknown: str = "not compared"


_AXES = {
    USD: _Axis("pareto", "Cost", "Quality against cost", "USD", unknown="no price"),
    "compute_s_per_query": _Axis(
        "pareto", "Seconds", "Quality against cost", "seconds of computation per query (no prices given)"
    ),
    "latency_p95_s": _Axis(
        "pareto-latency", "Latency", "Quality against latency", "95th percentile of latency, ms", 1e3
    ),
    "peak_memory_bytes": _Axis("pareto-memory", "Memory", "Quality against memory", "peak memory, GB", 1e-9),
    "trainable_params": _Axis(
        "pareto-parameters", "Trained parameters", "Quality against trained parameters", "trained parameters, millions",
        1e-6, unknown="unknown",
    ),
}  # fmt: skip
MONEY = (USD, "compute_s_per_query")


def tradeoff_plots(presenter: Presenter, *, money: bool) -> tuple[TradeoffPlot, ...]:
    """Plot the fronts: that of money, or those of everything else."""
    fronts = (front for front in _shown_fronts(presenter) if (front.axis in MONEY) == money)
    plots = (_tradeoff_plot(presenter, front) for front in fronts)
    return tuple(plot for plot in plots if plot is not None)


def front_columns(presenter: Presenter) -> tuple[tuple[str, Front], ...]:
    """Give the heading and the front of each column, for the tables."""
    return tuple((_AXES[front.axis].column, front) for front in _shown_fronts(presenter))


def _shown_fronts(presenter: Presenter) -> list[Front]:
    """Leave out fronts that answer nothing: without a place for any candidate, or with all rungs at zero."""
    candidates = {row.candidate for row in presenter.registered}
    return [
        front
        for front in presenter.assessment.fronts
        if front.axis in _AXES
        and (front.axis in MONEY or any(point.x for point in front.points))
        and (not candidates or any(p.x is not None for p in front.points if p.baseline in candidates))
    ]


def front_cell(front: Front, baseline: str) -> Cell:
    """Show `✓ 97%`: on the front by the estimates, and in that share of the resamples."""
    point = next((point for point in front.points if point.baseline == baseline), None)
    if point is None or not formats.finite(point.probability):
        return Cell(formats.MISSING, "" if point is None else formats.clean(point.reason))
    return Cell(
        f"{'✓ ' if point.on_front else ''}{_share(point.probability)}",
        "normalised" if point.normalised else "",
        tone="better" if point.on_front else "",
    )


def _tradeoff_plot(presenter: Presenter, front: Front) -> TradeoffPlot | None:
    axis, metric = _AXES[front.axis], front.metric
    standings = {standing.baseline: standing for standing in presenter.assessment.standings}
    shown = [
        (point, standings[point.baseline])
        for point in front.points
        if point.baseline in standings
        and metric in standings[point.baseline].metrics
        and formats.finite(standings[point.baseline].metrics[metric].value)
    ]
    placed = sum(point.x is not None for point, _ in shown)
    if not shown or (placed < 2 and front.axis not in MONEY):
        return None
    batch, unit = presenter.query_batch if front.axis == USD else (1, "")
    points = tuple(_point(front, point, standing, axis.scale * batch) for point, standing in shown)
    caption = _caption(front, points)
    label = f"{axis.label} per {unit}" if front.axis == USD else axis.label
    return TradeoffPlot(
        name=axis.name,
        title=axis.title,
        caption=caption,
        alt=f"{formats.clean(metric)} of {len(points)} rungs against {label}. {caption}",
        x_axis=label,
        y_axis=presenter.metric(metric),
        inverted=not presenter.higher_is_better(metric),
        points=points,
        free="no cost" if front.axis in MONEY else "none",
        unknown=axis.unknown,
    )


def _point(front: Front, point: FrontPoint, standing: Standing, scale: float) -> TradeoffPoint:
    estimate = standing.metrics[front.metric]
    bounds = point.bounds or standing.cost.bounds.get(front.axis, Bounds(None, None))
    known = formats.finite(point.x) and point.x >= 0
    low, high = (bound * scale if formats.finite(bound) and bound >= 0 else None for bound in (bounds.low, bounds.high))
    return TradeoffPoint(
        name=formats.clean(point.baseline),
        kind=formats.clean(standing.kind),
        x=point.x * scale if known and point.x is not None else None,
        y=estimate.value,
        low=estimate.low,
        high=estimate.high,
        front=point.on_front and known,
        x_low=low if known else None,
        x_high=high if known else None,
        probability=point.probability,
    )


def _caption(front: Front, points: tuple[TradeoffPoint, ...]) -> str:
    on = [point for point in points if point.front]
    if not on:
        return "No rung has a known cost." if front.axis in MONEY else "No rung can be placed here."
    normalised = [formats.clean(point.baseline) for point in front.points if point.normalised]
    outside = [point.name for point in points if point.x is None]
    uncertain = [
        f"{point.name} ({_share(point.probability)})"
        for point in points
        if formats.finite(point.probability) and 1 - _CERTAIN < point.probability < _CERTAIN
    ]
    parts = [f"On the front, by the estimates: {listed([point.name for point in on])}."]
    if uncertain:
        parts.append(f"Not certain when the examples are resampled: {listed(uncertain)}.")
    if outside:
        why = "Without a price, so outside the front" if front.axis == USD else "Not measured here, so left out"
        parts.append(f"{why}: {listed(outside)}.")
    if normalised:
        parts.append(f"Measured on another machine; normalised by the reference workload: {listed(normalised)}.")
    elif front.hardware:
        parts.append(f"All on {formats.clean(front.hardware)}.")
    if front.beside:
        parts.append("At one speed of the reference workload, not as measured.")
    return " ".join(parts)


def _share(probability: float | None) -> str:
    if not formats.finite(probability):
        return formats.MISSING
    if 0 < probability < 0.005 or 0.995 < probability < 1:
        return "<1%" if probability < 0.5 else ">99%"
    return f"{probability:.0%}"
