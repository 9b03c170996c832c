"""The columns of tables of differences by slice, and how their cells are filled."""

from __future__ import annotations

from mlbaseline import formats
from mlbaseline.records import SliceDelta
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.view import Cell, Column, Tone


def contrast_columns() -> tuple[Column, ...]:
    """Give the columns that say which contrast a row is of."""
    return Column("Candidate", code=True), Column("Baseline", code=True), Column("Metric")


def delta_columns(delta: str) -> tuple[Column, ...]:
    """Give the columns of a tested difference. delta: the title of the difference."""
    return Column("n", numeric=True), Column(delta, numeric=True), Column("p, adjusted", numeric=True)


def contrast_cells(presenter: Presenter, row: SliceDelta) -> tuple[Cell, ...]:
    """Fill `contrast_columns`."""
    return Cell(formats.clean(row.candidate)), Cell(formats.clean(row.baseline)), Cell(presenter.metric(row.metric))


def delta_cells(presenter: Presenter, row: SliceDelta) -> tuple[Cell, ...]:
    """Fill `delta_columns`."""
    decimals = interval_decimals(row.low, row.high)
    gain = gain_of(presenter, row.metric, row.delta)
    shown = row.p_adjusted <= 1 - presenter.assessment.level
    tone: Tone = "" if not shown or not gain else "better" if gain > 0 else "worse"
    mark = {"better": "▲ ", "worse": "▼ "}.get(tone, "")
    return (
        Cell(formats.count(row.n)),
        Cell(
            mark + formats.fixed(row.delta, decimals, sign=True),
            formats.interval(row.low, row.high, decimals, sign=True),
            tone,
        ),
        Cell(formats.probability(row.p_adjusted)),
    )


def gain_of(presenter: Presenter, metric: str, delta: float) -> float:
    """Turn a difference so that more is better."""
    return delta if presenter.higher_is_better(metric) else -delta


def interval_decimals(low: float, high: float) -> int:
    """Choose the decimals that an interval deserves."""
    return formats.decimals_for([(high - low) / 2])
