"""Exploratory results by slice: the worst slice, gaps, intersections, and the slices that a search picked."""

from __future__ import annotations

from collections.abc import Iterable

from mlbaseline import formats
from mlbaseline.records import (
    PooledSlice,
    SliceDelta,
    SliceGap,
    SlicePooling,
    SliceReport,
    SliceSpread,
)
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.sections.slices.confirmed_losses import place_text
from mlbaseline.report.sections.slices.contrast_cells import (
    contrast_cells,
    contrast_columns,
    delta_cells,
    delta_columns,
    gain_of,
    interval_decimals,
)
from mlbaseline.report.sections.slices.searches import search_blocks
from mlbaseline.report.view import Block, Cell, Column, Row, Table, Tone

_MAX_ROWS = 10


def exploration_blocks(presenter: Presenter) -> list[Block]:
    """Build the tables in reading order; none where no slices were explored."""
    explored = presenter.assessment.slices
    if explored is None:
        return []
    blocks = [
        _worst(presenter, explored),
        *search_blocks(presenter, explored),
        *_poolings(presenter, explored),
        _gaps(presenter, explored),
        _intersections(presenter, explored),
    ]
    return [block for block in blocks if block is not None]


def _by_contrast(rows: Iterable[SliceDelta]) -> list[tuple[tuple[str, str, str], list[SliceDelta]]]:
    grouped: dict[tuple[str, str, str], list[SliceDelta]] = {}
    for row in rows:
        grouped.setdefault((row.candidate, row.baseline, row.metric), []).append(row)
    return list(grouped.items())


def _worst(presenter: Presenter, explored: SliceReport) -> Table | None:
    picked = [
        (min(rows, key=lambda row: gain_of(presenter, row.metric, row.delta)), len(rows))
        for _, rows in _by_contrast(explored.deltas)
    ]
    if not picked:
        return None
    columns = (*contrast_columns(), Column("Worst on"), *delta_columns("Δ"), Column("Of slices", numeric=True))
    rows = tuple(
        Row(
            (
                *contrast_cells(presenter, row),
                Cell(place_text(row.where)),
                *delta_cells(presenter, row),
                Cell(formats.count(count)),
            )
        )
        for row, count in picked
    )
    note = (
        f"The {formats.percent(explored.level)} intervals are simultaneous: each holds for all slices of its contrast "
        "at once (max-t), so also for the one that was picked because it looks worst. Besides the suite's slices these "
        "are thirds of the input length in tokens, of latency where it was timed, of the baseline's uncertainty and of "
        "the loss of a rung that is neither of the two. Checkpoints; exploratory."
    )
    if presenter.assessment.weighted is not None:
        note += " Every example counts the same here."
    return Table("Worst slice of every primary contrast", columns, rows, notes=(note, *_small_slices_note(explored)))


def _small_slices_note(explored: SliceReport) -> tuple[str, ...]:
    if not explored.small:
        return ()
    named = ", ".join(f"{formats.clean(s.slice)}: {formats.plain(s.value)} ({s.n})" for s in explored.small)
    return (f"Too small to be tested, with fewer than {explored.min_examples} examples: {named}.",)


def _poolings(presenter: Presenter, explored: SliceReport) -> list[Table]:
    columns = (
        *contrast_columns(),
        Column("Slice", wide=True),
        Column("n", numeric=True),
        Column("Δ of its own", numeric=True),
        Column("Δ, pooled", numeric=True),
        Column("Its own share", numeric=True),
    )
    rows = tuple(_pooled_row(presenter, each, one) for each in explored.poolings for one in each.values)
    note = (
        "A description, no test: values of a slice with few examples are drawn towards the common mean of all its "
        "values, so that the highest and the lowest are not exaggerated; its own share is what is not drawn in. These "
        "intervals decide nothing, and a value that truly is an exception is drawn in, too."
    )
    return [Table("Slices, partially pooled", columns, rows, collapsed=True, notes=(note,))] if rows else []


def _pooled_row(presenter: Presenter, pooling: SlicePooling, one: PooledSlice) -> Row:
    decimals = interval_decimals(one.low, one.high)
    limits = formats.interval(one.low, one.high, decimals, sign=True)
    return Row(
        (
            Cell(formats.clean(pooling.candidate)),
            Cell(formats.clean(pooling.baseline)),
            Cell(presenter.metric(pooling.metric)),
            Cell(place_text(((pooling.slice, one.value),))),
            Cell(formats.count(one.n)),
            Cell(formats.fixed(one.delta, decimals, sign=True)),
            Cell(formats.fixed(one.pooled, decimals, sign=True), limits),
            Cell(formats.percent(round(one.own, 2))),
        )
    )


def _gaps(presenter: Presenter, explored: SliceReport) -> Table | None:
    if not explored.gaps:
        return None
    columns = (
        *contrast_columns(),
        Column("Slice", wide=True),
        Column("Candidate's gap", numeric=True),
        Column("Baseline's gap", numeric=True),
        Column("Difference", numeric=True),
        Column("Candidate is"),
    )
    rows = tuple(_gap_row(presenter, gap) for gap in explored.gaps)
    note = (
        "A gap is the highest mean over the values of a slice less the lowest. Its interval covers the true distance "
        "whichever values those are; the difference of the two gaps is paired by example; both err to the safe side."
    )
    return Table("Gaps between slices", columns, rows, collapsed=len(rows) > _MAX_ROWS, notes=(note,))


def _gap_row(presenter: Presenter, gap: SliceGap) -> Row:
    decimals = interval_decimals(gap.low, gap.high)
    reading: tuple[str, Tone] = ("no less even", "")
    if gap.low > 0:
        reading = ("▼ more uneven", "worse")
    elif gap.high < 0:
        reading = ("▲ more even", "better")

    def spread(side: SliceSpread) -> Cell:
        names = f"{formats.plain(side.highest)} − {formats.plain(side.lowest)}"
        bounds = formats.interval(side.low, side.high, decimals)
        return Cell(formats.fixed(side.value, decimals), f"{bounds} {names}")

    return Row(
        (
            Cell(formats.clean(gap.candidate)),
            Cell(formats.clean(gap.baseline)),
            Cell(presenter.metric(gap.metric)),
            Cell(formats.clean(gap.slice)),
            spread(gap.ours),
            spread(gap.theirs),
            Cell(
                formats.fixed(gap.difference, decimals, sign=True),
                formats.interval(gap.low, gap.high, decimals, sign=True),
                reading[1],
            ),
            Cell(reading[0], tone=reading[1]),
        )
    )


def _intersections(presenter: Presenter, explored: SliceReport) -> Table | None:
    rows = []
    for _, own in _by_contrast(explored.intersections):
        rows += sorted(own, key=lambda row: gain_of(presenter, row.metric, row.delta))[:_MAX_ROWS]
    if not rows:
        return None
    note = (
        f"Of each contrast the {_MAX_ROWS} worst of those with at least {explored.min_examples} examples. Intervals "
        "and p-values hold for all intersections of a contrast at once (max-t). Exploratory."
    )
    columns = (*contrast_columns(), Column("Where"), *delta_columns("Δ"))
    body = tuple(
        Row((*contrast_cells(presenter, row), Cell(place_text(row.where)), *delta_cells(presenter, row)))
        for row in rows
    )
    return Table("Where two slices meet", columns, body, collapsed=True, notes=(note,))
