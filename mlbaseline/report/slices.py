"""Where the candidate gains and where it loses: deltas by slice, as a heat map of numbers and as forests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mlbaseline.records import Comparison
from mlbaseline.report import formats
from mlbaseline.report.contrasts import bar
from mlbaseline.report.figures import Forest, Panel
from mlbaseline.report.slice_findings import slice_findings
from mlbaseline.report.view import Block, Cell, Column, Row, Section, Table
from mlbaseline.report.wording import READINGS, Wording, contrast, contrast_key, distinct

_LEGEND = (
    "▲ better, ▼ worse, after the adjustment for the number of comparisons. "
    "Any tint is the size of the difference alone."
)
_UNFOLDED = 8
_FORESTS = 4
_BARS = 24


def slices(wording: Wording) -> Section | None:
    """Forests, what was explored, deltas by slice, then every rung's level by slice."""
    deltas = [_deltas(wording, name) for name in distinct(row.slice for row in wording.sliced if row.slice is not None)]
    if deltas:
        deltas[-1] = replace(deltas[-1], notes=(_LEGEND,))
    blocks: tuple[Block, ...] = (*_forests(wording), *slice_findings(wording), *deltas, *_levels(wording))
    return Section("slices", "By slice", blocks) if blocks else None


def _forests(wording: Wording) -> list[Forest]:
    """One forest a contrast of the leading metric, registered contrasts first."""
    lead = wording.metrics[0] if wording.metrics else None
    rows = [row for row in wording.sliced if row.metric == lead and formats.finite(row.delta)]
    registered = {contrast_key(row) for row in wording.registered}
    keys = sorted(dict.fromkeys(map(contrast_key, rows)), key=lambda key: key not in registered)
    overall = {contrast_key(row): row for row in wording.overall}
    forests = []
    for number, key in enumerate(keys[:_FORESTS], start=1):
        own = [row for row in rows if contrast_key(row) == key]
        bars = tuple(
            bar(
                wording, row, group=str(formats.plain(row.slice)), label=f"{formats.plain(row.slice_value)} · {row.n:,}"
            )
            for row in own[:_BARS]
        )
        reference = overall[key].delta if key in overall and formats.finite(overall[key].delta) else None
        more = f" The first {_BARS} of {len(own)} slices." if len(own) > _BARS else ""
        metric = formats.clean(own[0].metric)
        forests.append(
            Forest(
                name=f"slices-{number}",
                title=f"{contrast(own[0])}, by slice",
                caption=f"Δ {metric} with {wording.level} interval, and number of examples.{more}",
                alt=f"Δ {metric} of {contrast(own[0])} by slice. "
                + "; ".join(f"{b.group} {b.label}: {b.text}" for b in bars),
                panels=(Panel("", f"Δ {metric}", not wording.higher_is_better(own[0].metric), bars, reference),),
                compact=True,
            )
        )
    return forests


def _deltas(wording: Wording, name: str) -> Table:
    """Contrasts down, values of one slice across, tinted by the size of the difference."""
    rows = [row for row in wording.sliced if row.slice == name]
    small = _too_small(wording, name)
    values = distinct([*(formats.plain(row.slice_value) for row in rows), *small])
    sizes = small | {formats.plain(row.slice_value): row.n for row in sorted(rows, key=lambda row: row.n)}
    keys = tuple(dict.fromkeys(map(contrast_key, rows)))
    several = len({key[2] for key in keys}) > 1
    cells = {(contrast_key(row), formats.plain(row.slice_value)): row for row in rows}
    overall = {contrast_key(row): row for row in wording.overall}
    largest = {
        metric: max((abs(row.delta) for row in rows if row.metric == metric and formats.finite(row.delta)), default=0.0)
        for metric in {row.metric for row in rows}
    }
    columns = (
        Column("Candidate", code=True),
        Column("Baseline", code=True),
        *((Column("Metric"),) if several else ()),
        Column("Estimand"),
        Column("Overall", numeric=True),
        *(Column(f"{value} (n {sizes[value]:,})", numeric=True) for value in values),
    )
    body = tuple(
        Row(
            (
                Cell(formats.clean(key[0])),
                Cell(formats.clean(key[1])),
                *((Cell(wording.metric(key[2])),) if several else ()),
                Cell(formats.clean(key[3])),
                wording.delta(overall[key]) if key in overall else Cell(formats.MISSING),
                *(
                    Cell(formats.MISSING, "too small")
                    if value in small
                    else _heat(wording, cells.get((key, value)), largest[key[2]])
                    for value in values
                ),
            )
        )
        for key in keys
    )
    metrics = "" if several else f" {formats.clean(rows[0].metric)}"
    return Table(
        f"Δ{metrics} by {formats.clean(name)}",
        columns,
        body,
        collapsed=len(body) > _UNFOLDED,
    )


def _too_small(wording: Wording, name: str) -> dict[str, int]:
    """Values of the slice that have too few examples to be tested, with how many they have."""
    found = wording.assessment.slices
    return {formats.plain(s.value): s.n for s in found.small if s.slice == name} if found else {}


def _heat(wording: Wording, row: Comparison | None, largest: float) -> Cell:
    if row is None:
        return Cell(formats.MISSING)
    cell, reading = wording.delta(row), wording.reading(row)
    mark = READINGS[reading][0][0] + " " if reading != "open" else ""
    share = wording.oriented(row, row.delta) / largest if largest and formats.finite(row.delta) else 0.0
    return Cell(mark + cell.text, cell.detail, cell.tone, heat=round(3 * share))


def _levels(wording: Wording) -> list[Table]:
    """The leading metric of every rung on every value of each slice."""
    if not wording.metrics:
        return []
    metric, standings = wording.metrics[0], wording.assessment.standings
    tables = []
    for name in distinct(name for standing in standings for name in standing.slices):
        values = distinct(value for standing in standings for value in standing.slices.get(name, {}))
        if not values:
            continue
        rows = tuple(
            Row(
                (
                    Cell(formats.clean(s.baseline)),
                    *(Cell(text) for text in _means(wording, s.slices.get(name, {}), values)),
                )
            )
            for s in standings
        )
        columns = (Column("Rung", code=True), *(Column(formats.plain(value), numeric=True) for value in values))
        caption = f"{wording.metric(metric)} of every rung by {formats.clean(name)}"
        tables.append(Table(caption, columns, rows, collapsed=True))
    return tables


def _means(wording: Wording, means: Mapping[str, Mapping[str, float]], values: Sequence[str]) -> list[str]:
    metric = wording.metrics[0]
    decimals = wording.level_decimals(metric)

    return [formats.fixed(means.get(value, {}).get(metric), decimals) for value in values]
