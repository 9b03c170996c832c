"""Replay ─▶ View."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from mlbaseline import formats
from mlbaseline.monitor.delays import Delay
from mlbaseline.monitor.replaying import Replay
from mlbaseline.report.monitoring.canary_view import canary_view, moment_text
from mlbaseline.report.monitoring.drift_view import drift_view
from mlbaseline.report.plots.plot import Plot
from mlbaseline.report.view import Block, Cell, Column, Fact, Row, Section, Table, View


def replay_view(found: Replay, delays: Sequence[Delay], suite: str) -> View:
    """Build the page of a replayed stream: what was decided and when, then the evidence of each."""
    sections = [Section("replay", "What was decided", _decisions(found))]
    plots = _plots(found, suite)
    if plots:
        sections.append(Section("evidence", "Evidence over time", plots))
    if delays:
        sections.append(Section("power", "How soon effects are found", (_power(delays),)))
    return View(
        suite=formats.clean(suite),
        title=f"{_several(len(found.canaries), 'canary', 'canaries')}, {_several(len(found.alarms), 'alarm')}",
        sentence="Each decision is that of the first moment at which it could be taken, whatever the looks.",
        reason="these are the rules of the suite, applied to a stream of the past",
        tone="open",
        facts=(
            Fact("Requests", formats.count(sum(report.requests for report in found.canaries))),
            Fact("Closed days", formats.count(sum(len(report.days) for report in found.drifts))),
        ),
        sections=tuple(sections),
        subject="Replay of",
    )


def _decisions(found: Replay) -> tuple[Block, ...]:
    blocks: list[Block] = []
    if found.canaries:
        columns = (Column("Experiment", code=True), Column("Decision"), Column("At"), Column("Units", numeric=True))
        rows = tuple(
            Row(
                (
                    Cell(formats.clean(report.experiment) or formats.MISSING),
                    Cell(str(report.decision).replace("_", " ")),
                    Cell(moment_text(report.decided_us)),
                    Cell(formats.count(report.units)),
                )
            )
            for report in found.canaries
        )
        blocks.append(Table("Canaries", columns, rows))
    if found.alarms:
        rows = tuple(
            Row((Cell(_name(alarm.watched.slice, alarm.watched.value)), Cell(moment_text(alarm.time_us))))
            for alarm in found.alarms
        )
        blocks.append(Table("Alarms of the drift", (Column("Slice", code=True), Column("At")), rows))
    return tuple(blocks) or ("Nothing was decided.",)


def _plots(found: Replay, suite: str) -> tuple[Plot, ...]:
    views = [canary_view(report, suite, report.experiment or "the candidate") for report in found.canaries]
    titles = [f"Canary {formats.clean(report.experiment)}" for report in found.canaries]
    views += [drift_view(report, suite) for report in found.drifts if report.days]
    titles += [f"Drift from {report.days[0]:%Y-%m-%d} on" for report in found.drifts if report.days]
    return tuple(
        replace(plot, name=f"evidence-{position}", title=title)
        for position, (view, title) in enumerate(zip(views, titles, strict=True))
        for plot in view.plots
    )


def _power(delays: Sequence[Delay]) -> Table:
    columns = (Column("Effect"), Column("Traffic"), Column("Found", numeric=True), Column("Median days", numeric=True))
    rows = tuple(
        Row(
            (
                Cell(delay.effect),
                Cell(delay.volume),
                Cell(formats.percent(delay.found)),
                Cell(formats.significant(delay.median, 2) if math.isfinite(delay.median) else "rarely found"),
            )
        )
        for delay in delays
    )
    return Table("Simulated", columns, rows, notes=("Canaries: until the horizon. Drift: within 180 days.",))


def _name(slicing: str | None, value: str | None) -> str:
    return "all" if slicing is None else formats.clean(f"{slicing}/{value}")


def _several(n: int, one: str, more: str = "") -> str:
    return f"{n} {one if n == 1 else more or one + 's'}"
