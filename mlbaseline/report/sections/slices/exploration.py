"""Exploratory results by slice: the worst slice, gaps, intersections, and the slices that a search picked."""

from __future__ import annotations

from collections.abc import Iterable

from mlbaseline import formats
from mlbaseline.records import (
    FoundSlice,
    PooledSlice,
    SliceDelta,
    SliceGap,
    SlicePooling,
    SliceReport,
    SliceSearch,
    Spread,
)
from mlbaseline.report.presenter import Presenter, listed
from mlbaseline.report.sections.slices.confirmed_losses import confirmed_losses, place_text
from mlbaseline.report.view import Block, Cell, Column, Fact, Row, Table, Tone

_MAX_ROWS = 10


def exploration_blocks(presenter: Presenter) -> list[Block]:
    """Build the tables in reading order; none where no slices were explored."""
    explored = presenter.assessment.slices
    if explored is None:
        return []
    blocks = [
        _worst(presenter, explored),
        _searches(presenter, explored),
        *_poolings(presenter, explored),
        _gaps(presenter, explored),
        _intersections(presenter, explored),
    ]
    return [block for block in blocks if block is not None]


def search_fact(presenter: Presenter) -> Fact | None:
    """Name the slices that the search confirmed as worse: `lora over zero_shot on topic: cars`."""
    explored = presenter.assessment.slices
    if explored is None or not any(search.tried or search.found for search in explored.searches):
        return None
    worse = [str(loss) for loss in confirmed_losses(explored)]
    if worse:
        return Fact("Slices found worse", listed(worse), "worse")
    return Fact("Slices found worse", f"none, of up to {max(s.tried for s in explored.searches):,} looked at")


def _by_contrast(rows: Iterable[SliceDelta]) -> list[tuple[tuple[str, str, str], list[SliceDelta]]]:
    grouped: dict[tuple[str, str, str], list[SliceDelta]] = {}
    for row in rows:
        grouped.setdefault((row.candidate, row.baseline, row.metric), []).append(row)
    return list(grouped.items())


def _worst(presenter: Presenter, explored: SliceReport) -> Table | None:
    picked = [
        (min(rows, key=lambda row: _gain(presenter, row.metric, row.delta)), len(rows))
        for _, rows in _by_contrast(explored.deltas)
    ]
    if not picked:
        return None
    columns = (*_contrast_columns(), Column("Worst on"), *_delta_columns("Δ"), Column("Of slices", numeric=True))
    rows = tuple(
        Row(
            (
                *_contrast_cells(presenter, row),
                Cell(place_text(row.where)),
                *_delta_cells(presenter, row),
                Cell(formats.count(count)),
            )
        )
        for row, count in picked
    )
    note = (
        f"The {formats.percent(explored.level)} intervals are simultaneous: each holds for all slices of its contrast "
        "at once (max-t), so also for the one that was picked because it looks worst. Besides the suite's slices these "
        "are thirds of the input length in tokens, of latency where it was timed, of the baseline's uncertainty and of "
        "the loss of a third rung. Checkpoints; exploratory."
    )
    if presenter.assessment.weighted is not None:
        note += " Every example counts the same here."
    return Table("Worst slice of every primary contrast", columns, rows, notes=(note, *_small_slices_note(explored)))


def _small_slices_note(explored: SliceReport) -> tuple[str, ...]:
    if not explored.small:
        return ()
    named = ", ".join(f"{formats.clean(s.slice)}: {formats.plain(s.value)} ({s.n})" for s in explored.small)
    return (f"Too small to be tested, with fewer than {explored.min_examples} examples: {named}.",)


def _searches(presenter: Presenter, explored: SliceReport) -> Block | None:
    """Show the slices that a search found; one sentence where it found none, nothing where there were none."""
    searches = [search for search in explored.searches if search.tried or search.found]
    if not searches:
        return None
    sources = " and ".join(sorted({formats.clean(search.source) for search in searches}))
    tried = max(search.tried for search in searches)
    if not any(search.found for search in searches):
        return (
            f"A search on {sources}, over up to {tried:,} slices a contrast, found none where a candidate looks worse."
        )
    columns = (
        *_contrast_columns(),
        Column("Found"),
        Column("Δ where found", numeric=True),
        *_delta_columns("Δ on other examples"),
        Column("Confirmed"),
    )
    rows = tuple(_search_row(presenter, search, one) for search in searches for one in search.found)
    without = [f"{formats.clean(s.candidate)} over {formats.clean(s.baseline)}" for s in searches if not s.found]
    nothing = (f"Nothing that looks worse: {listed(without)}.",) if without else ()
    note = (
        f"Searched on {sources}, up to {tried:,} slices and intersections a contrast; the worst few are then tested on "
        "examples that the search has not seen. The p-value is one-sided (the candidate is no worse) and adjusted for "
        "the tested ones (Holm); intervals hold for those at once."
    )
    return Table("Search for slices where the candidate is worse", columns, rows, notes=(note, *nothing))


def _search_row(presenter: Presenter, search: SliceSearch, one: FoundSlice) -> Row:
    head = (Cell(formats.clean(search.candidate)), Cell(formats.clean(search.baseline)))
    metric = Cell(presenter.metric(search.metric))
    decimals = _decimals(one.low, one.high)
    return Row(
        (
            *head,
            metric,
            Cell(place_text(one.where)),
            Cell(formats.fixed(one.searched_delta, decimals, sign=True), f"(n {one.searched_n:,})"),
            Cell(formats.count(one.n)),
            Cell(
                formats.fixed(one.delta, decimals, sign=True),
                formats.interval(one.low, one.high, decimals, sign=True),
                "worse" if one.confirmed else "",
            ),
            Cell(formats.probability(one.p_adjusted)),
            Cell("▼ worse", tone="worse") if one.confirmed else Cell("no"),
        )
    )


def _poolings(presenter: Presenter, explored: SliceReport) -> list[Table]:
    columns = (
        *_contrast_columns(),
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
    decimals = _decimals(one.low, one.high)
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
        *_contrast_columns(),
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
    decimals = _decimals(gap.low, gap.high)
    reading: tuple[str, Tone] = ("no less even", "")
    if gap.low > 0:
        reading = ("▼ more uneven", "worse")
    elif gap.high < 0:
        reading = ("▲ more even", "better")

    def spread(side: Spread) -> Cell:
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
        rows += sorted(own, key=lambda row: _gain(presenter, row.metric, row.delta))[:_MAX_ROWS]
    if not rows:
        return None
    note = (
        f"Of each contrast the {_MAX_ROWS} worst of those with at least {explored.min_examples} examples. Intervals "
        "and p-values hold for all intersections of a contrast at once (max-t). Exploratory."
    )
    columns = (*_contrast_columns(), Column("Where"), *_delta_columns("Δ"))
    body = tuple(
        Row((*_contrast_cells(presenter, row), Cell(place_text(row.where)), *_delta_cells(presenter, row)))
        for row in rows
    )
    return Table("Where two slices meet", columns, body, collapsed=True, notes=(note,))


def _contrast_columns() -> tuple[Column, ...]:
    return Column("Candidate", code=True), Column("Baseline", code=True), Column("Metric")


def _delta_columns(delta: str) -> tuple[Column, ...]:
    return Column("n", numeric=True), Column(delta, numeric=True), Column("p, adjusted", numeric=True)


def _contrast_cells(presenter: Presenter, row: SliceDelta) -> tuple[Cell, ...]:
    return Cell(formats.clean(row.candidate)), Cell(formats.clean(row.baseline)), Cell(presenter.metric(row.metric))


def _delta_cells(presenter: Presenter, row: SliceDelta) -> tuple[Cell, ...]:
    decimals = _decimals(row.low, row.high)
    gain = _gain(presenter, row.metric, row.delta)
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


def _gain(presenter: Presenter, metric: str, delta: float) -> float:
    return delta if presenter.higher_is_better(metric) else -delta


def _decimals(low: float, high: float) -> int:
    return formats.decimals_for([(high - low) / 2])
