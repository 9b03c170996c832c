"""Section `slices`: where the candidate gains and loses, as forest plots and as a heat map of deltas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mlbaseline import formats
from mlbaseline.records import Comparison
from mlbaseline.report.plots.forest_plot import ForestPanel, ForestPlot
from mlbaseline.report.presenter import READINGS, Presenter, contrast, contrast_key, distinct
from mlbaseline.report.sections.contrasts import forest_row
from mlbaseline.report.sections.slices.exploration import exploration_blocks
from mlbaseline.report.view import Block, Cell, Column, Row, Section, Table

_LEGEND = (
    "▲ better, ▼ worse, after the adjustment for the number of comparisons. "
    "Any tint is the size of the difference alone."
)
_MAX_UNFOLDED_ROWS = 8
_MAX_FORESTS = 4
_MAX_FOREST_ROWS = 24


def slice_section(presenter: Presenter) -> Section | None:
    """Build the forest plots, what was explored, the deltas by slice, then the scores of every rung by slice."""
    deltas = [
        _delta_table(presenter, name)
        for name in distinct(row.slice for row in presenter.sliced if row.slice is not None)
    ]
    if deltas:
        deltas[-1] = replace(deltas[-1], notes=(_LEGEND,))
    blocks: tuple[Block, ...] = (
        *_forest_plots(presenter),
        *exploration_blocks(presenter),
        *deltas,
        *_score_tables(presenter),
    )
    return Section("slices", "By slice", blocks) if blocks else None


def _forest_plots(presenter: Presenter) -> list[ForestPlot]:
    """Plot one forest a contrast of the leading metric, registered contrasts first."""
    lead = presenter.metrics[0] if presenter.metrics else None
    rows = [row for row in presenter.sliced if row.metric == lead and formats.finite(row.delta)]
    registered, deciding = ({contrast_key(row) for row in part} for part in (presenter.registered, presenter.deciding))
    # Of a registered contrast only the estimand that decides: the tables have the other one.
    shown = (key for key in dict.fromkeys(map(contrast_key, rows)) if key in deciding or key not in registered)
    keys = sorted(shown, key=lambda key: key not in registered)
    overall = {contrast_key(row): row for row in presenter.overall}
    forests = []
    for number, key in enumerate(keys[:_MAX_FORESTS], start=1):
        own = [row for row in rows if contrast_key(row) == key]
        forest_rows = tuple(
            forest_row(
                presenter,
                row,
                group=str(formats.plain(row.slice)),
                label=f"{formats.plain(row.slice_value)} · {row.n:,}",
            )
            for row in own[:_MAX_FOREST_ROWS]
        )
        reference = overall[key].delta if key in overall and formats.finite(overall[key].delta) else None
        more = f" The first {_MAX_FOREST_ROWS} of {len(own)} slices." if len(own) > _MAX_FOREST_ROWS else ""
        metric = formats.clean(own[0].metric)
        forests.append(
            ForestPlot(
                name=f"slices-{number}",
                title=f"{contrast(own[0])}, by slice",
                caption=f"Δ {metric} with {presenter.level} interval, and number of examples.{more}",
                alt=f"Δ {metric} of {contrast(own[0])} by slice. "
                + "; ".join(f"{row.group} {row.label}: {row.text}" for row in forest_rows),
                panels=(
                    ForestPanel(
                        "", f"Δ {metric}", not presenter.higher_is_better(own[0].metric), forest_rows, reference
                    ),
                ),
                compact=True,
            )
        )
    return forests


def _delta_table(presenter: Presenter, name: str) -> Table:
    """Contrasts down, values of one slice across, tinted by the size of the difference."""
    rows = [row for row in presenter.sliced if row.slice == name]
    small = _too_small(presenter, name)
    values = distinct([*(formats.plain(row.slice_value) for row in rows), *small])
    sizes = small | {formats.plain(row.slice_value): row.n for row in sorted(rows, key=lambda row: row.n)}
    keys = tuple(dict.fromkeys(map(contrast_key, rows)))
    several = len({key[2] for key in keys}) > 1
    cells = {(contrast_key(row), formats.plain(row.slice_value)): row for row in rows}
    overall = {contrast_key(row): row for row in presenter.overall}
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
                *((Cell(presenter.metric(key[2])),) if several else ()),
                Cell(formats.clean(key[3])),
                presenter.delta(overall[key]) if key in overall else Cell(formats.MISSING),
                *(
                    Cell(formats.MISSING, "too small")
                    if value in small
                    else _heat_cell(presenter, cells.get((key, value)), largest[key[2]])
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
        collapsed=len(body) > _MAX_UNFOLDED_ROWS,
    )


def _too_small(presenter: Presenter, name: str) -> dict[str, int]:
    """Values of the slice that have too few examples to be tested, with how many they have."""
    explored = presenter.assessment.slices
    return {formats.plain(s.value): s.n for s in explored.small if s.slice == name} if explored else {}


def _heat_cell(presenter: Presenter, row: Comparison | None, largest: float) -> Cell:
    if row is None:
        return Cell(formats.MISSING)
    cell, reading = presenter.delta(row), presenter.reading(row)
    mark = READINGS[reading][0][0] + " " if reading != "open" else ""
    share = presenter.oriented(row, row.delta) / largest if largest and formats.finite(row.delta) else 0.0
    return Cell(mark + cell.text, cell.detail, cell.tone, heat=round(3 * share))


def _score_tables(presenter: Presenter) -> list[Table]:
    """Show the leading metric of every rung on every value of each slice."""
    if not presenter.metrics:
        return []
    metric, standings = presenter.metrics[0], presenter.assessment.standings
    tables = []
    for name in distinct(name for standing in standings for name in standing.slices):
        values = distinct(value for standing in standings for value in standing.slices.get(name, {}))
        if not values:
            continue
        rows = tuple(
            Row(
                (
                    Cell(formats.clean(s.baseline)),
                    *(Cell(text) for text in _means(presenter, s.slices.get(name, {}), values)),
                )
            )
            for s in standings
        )
        columns = (Column("Rung", code=True), *(Column(formats.plain(value), numeric=True) for value in values))
        caption = f"{presenter.metric(metric)} of every rung by {formats.clean(name)}"
        tables.append(Table(caption, columns, rows, collapsed=True))
    return tables


def _means(presenter: Presenter, means: Mapping[str, Mapping[str, float]], values: Sequence[str]) -> list[str]:
    metric = presenter.metrics[0]
    decimals = presenter.level_decimals(metric)

    return [formats.fixed(means.get(value, {}).get(metric), decimals) for value in values]
