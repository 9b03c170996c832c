"""The ladder: where every rung stands, at what cost."""

from __future__ import annotations

import math
from dataclasses import replace

from mlbaseline.judge.pareto import pareto_front
from mlbaseline.records import Cost, PublishedScore, Standing
from mlbaseline.report import formats
from mlbaseline.report.figures import Point, Tradeoff
from mlbaseline.report.view import Cell, Column, Row, Section, Table
from mlbaseline.report.wording import Wording, listed


def ladder(wording: Wording) -> Section | None:
    """One row a rung, in the suite's order, and after them one a published score."""
    standings, published = wording.assessment.standings, wording.assessment.published
    if not standings:
        return None
    batch, unit = formats.query_batch(standing.cost.usd_per_query for standing in standings)
    lead = wording.metrics[:1]
    shown = {name for standing in standings for name in standing.metrics} | {score.metric for score in published}
    others = [name for name in wording.metrics[1:] if name in shown]
    sizes = {size for standing in standings if (size := _size(standing)) is not None}
    errors = any(standing.error_rate != 0 for standing in standings)
    columns = (
        Column("Rung", code=True, rank=0),
        Column("Kind", rank=3),
        *(Column(wording.metric(name), numeric=True, rank=0) for name in lead),
        Column("Seeds", numeric=True, rank=4),
        *((Column("n", numeric=True, rank=4),) if len(sizes) > 1 else ()),
        *(Column(wording.metric(name), numeric=True, rank=9) for name in others),
        Column(f"USD per {unit}", numeric=True, rank=1),
        Column("Latency p50", numeric=True, rank=7),
        Column("Latency p95", numeric=True, rank=2),
        Column("Memory", numeric=True, rank=5),
        Column("Training", numeric=True, rank=8),
        *((Column("Errors", numeric=True, rank=3),) if errors else ()),
    )
    rows = tuple(
        Row(
            (
                Cell(formats.clean(standing.baseline)),
                Cell(formats.clean(standing.kind)),
                *(wording.estimate(name, standing.metrics.get(name)) for name in lead),
                _seeds(wording, standing),
                *((Cell(formats.count(_size(standing))),) if len(sizes) > 1 else ()),
                *(wording.estimate(name, standing.metrics.get(name)) for name in others),
                Cell(formats.price(standing.cost.usd_per_query, batch)),
                Cell(formats.duration(standing.cost.latency_p50_s)),
                Cell(formats.duration(standing.cost.latency_p95_s)),
                Cell(formats.memory(standing.cost.peak_memory_bytes)),
                _training(standing.cost),
                *((_errors(standing),) if errors else ()),
            ),
            emphasis=standing.baseline == wording.assessment.verdict.winner,
        )
        for standing in standings
    ) + tuple(_published(wording, columns, score) for score in published)
    notes = (
        f"Means over seeds with their {wording.level} intervals; the arrow points to better. "
        "std is the spread between training or sampling seeds: a description, not an interval.",
        "Cost per query includes training, spread over the number of queries that the suite declares; "
        f"{formats.MISSING} stands for what was not measured, has no price, or does not apply."
        + ("" if errors else " No rung has error rows."),
    )
    on = f" on {formats.count(sizes.pop())} examples" if len(sizes) == 1 else ""
    return Section("ladder", "The ladder", (Table(f"Every rung{on}", columns, rows, notes=notes),))


def _published(wording: Wording, columns: tuple[Column, ...], score: PublishedScore) -> Row:
    """A score without rows has its value and nothing else."""
    value = formats.fixed(score.value, wording.level_decimals(score.metric))
    known = {
        "Rung": Cell(formats.clean(score.baseline)),
        "Kind": Cell("external"),
        wording.metric(score.metric): Cell(value, "published"),
    }
    return Row(tuple(known.get(column.title, Cell(formats.MISSING)) for column in columns))


def tradeoff(wording: Wording) -> Tradeoff | None:
    """The leading metric against cost per query: USD, or seconds of computation where no rung has a price."""
    if not wording.metrics:
        return None
    metric = wording.metrics[0]
    known = [s for s in wording.assessment.standings if metric in s.metrics and formats.finite(s.metrics[metric].value)]
    if not known:
        return None
    priced = any(formats.finite(s.cost.usd_per_query) for s in known)
    batch, unit = formats.query_batch(s.cost.usd_per_query for s in known) if priced else (1, "query")
    costs = {s.baseline: s.cost.usd_per_query if priced else s.cost.compute_s_per_query for s in known}
    points = tuple(
        Point(
            name=formats.clean(s.baseline),
            kind=formats.clean(s.kind),
            x=cost * batch if formats.finite(cost := costs[s.baseline]) and cost >= 0 else None,
            y=s.metrics[metric].value,
            low=s.metrics[metric].low,
            high=s.metrics[metric].high,
            front=False,
        )
        for s in known
    )
    points = _mark_front(points, higher=wording.higher_is_better(metric))
    front = [point.name for point in points if point.front]
    outside = [point.name for point in points if point.x is None]
    caption = f"On the front, by point estimates: {listed(front)}." if front else "No rung has a known cost."
    caption += f" Without a price, so outside the front: {listed(outside)}." if outside and front else ""
    x_axis = f"USD per {unit}" if priced else "seconds of computation per query (no prices given)"
    return Tradeoff(
        name="pareto",
        title="Quality against cost",
        caption=caption,
        alt=f"{formats.clean(metric)} of {len(points)} rungs against {x_axis}. {caption}",
        x_axis=x_axis,
        y_axis=wording.metric(metric),
        inverted=not wording.higher_is_better(metric),
        points=points,
    )


def _mark_front(points: tuple[Point, ...], *, higher: bool) -> tuple[Point, ...]:
    quality = [point.y if higher else -point.y for point in points]
    front = pareto_front(quality, [math.nan if point.x is None else point.x for point in points])
    return tuple(replace(point, front=bool(on)) for point, on in zip(points, front, strict=True))


def _size(standing: Standing) -> int | None:
    return max((estimate.n for estimate in standing.metrics.values()), default=None)


def _seeds(wording: Wording, standing: Standing) -> Cell:
    estimate = next((standing.metrics[name] for name in wording.metrics if name in standing.metrics), None)
    if estimate is None:
        return Cell(formats.MISSING)
    std = standing.seed_std.get(wording.metrics[0])
    spread = formats.fixed(std, max(wording.level_decimals(wording.metrics[0]), 3))
    return Cell(formats.count(estimate.n_seeds), "" if std is None else f"(std {spread})")


def _errors(standing: Standing) -> Cell:
    return Cell(formats.percent(standing.error_rate), tone="" if standing.error_rate == 0 else "worse")


def _training(cost: Cost) -> Cell:
    if cost.train_s is None and cost.train_usd is None:
        return Cell(formats.MISSING)
    usd = f"(USD {formats.significant(cost.train_usd)})" if cost.train_usd is not None else ""
    return Cell(formats.duration(cost.train_s), usd)
