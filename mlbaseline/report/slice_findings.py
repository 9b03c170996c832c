"""What was explored of slices: the worst, gaps between them, where two meet, and what a search found."""

from __future__ import annotations

from collections.abc import Iterable

from mlbaseline.records import FoundSlice, SliceDelta, SliceGap, SliceReport, SliceSearch, Spread, Where
from mlbaseline.report import formats
from mlbaseline.report.view import Block, Cell, Column, Fact, Row, Table, Tone
from mlbaseline.report.wording import Wording, listed

_SHOWN = 10


def slice_findings(wording: Wording) -> list[Block]:
    """In reading order; nothing where no slices were explored."""
    found = wording.assessment.slices
    if found is None:
        return []
    blocks = [_worst(wording, found), _searches(wording, found), _gaps(wording, found), _intersections(wording, found)]
    return [block for block in blocks if block is not None]


def search_fact(wording: Wording) -> Fact | None:
    """`Slices found worse: lora over zero_shot on topic: cars`, or that none was."""
    found = wording.assessment.slices
    if found is None or not found.searches:
        return None
    worse = confirmed(found)
    if worse:
        return Fact("Slices found worse", listed(worse), "worse")
    return Fact("Slices found worse", f"none, of up to {max(s.tried for s in found.searches):,} looked at")


def confirmed(found: SliceReport) -> list[str]:
    """`lora over zero_shot on topic: cars`, each that other examples bear out."""
    return [
        f"{formats.clean(search.candidate)} over {formats.clean(search.baseline)} on {place(one.where)}"
        for search in found.searches
        for one in search.found
        if one.confirmed
    ]


def place(where: Where) -> str:
    """`topic: cars`, or `topic: cars and length: q3`."""
    return " and ".join(f"{formats.clean(name)}: {formats.plain(value)}" for name, value in where)


def _contrasts(rows: Iterable[SliceDelta]) -> list[tuple[tuple[str, str, str], list[SliceDelta]]]:
    grouped: dict[tuple[str, str, str], list[SliceDelta]] = {}
    for row in rows:
        grouped.setdefault((row.candidate, row.baseline, row.metric), []).append(row)
    return list(grouped.items())


def _worst(wording: Wording, found: SliceReport) -> Table | None:
    picked = [
        (min(rows, key=lambda row: _gain(wording, row.metric, row.delta)), len(rows))
        for _, rows in _contrasts(found.deltas)
    ]
    if not picked:
        return None
    columns = (*_names(), Column("Worst on"), *_numbers("Δ"), Column("Of slices", numeric=True))
    rows = tuple(
        Row((*_who(wording, row), Cell(place(row.where)), *_measured(wording, row), Cell(formats.count(count))))
        for row, count in picked
    )
    note = (
        f"The {formats.percent(found.level)} intervals are simultaneous: each holds for all slices of its contrast at "
        "once (max-t), so also for the one that was picked because it looks worst. Beside the suite's slices stand "
        "thirds of tokens read, of latency where it was timed, of the baseline's uncertainty and of the loss of a rung "
        "that is neither side; checkpoints, exploratory."
    )
    return Table("Worst slice of every primary contrast", columns, rows, notes=(note, *_small(found)))


def _small(found: SliceReport) -> tuple[str, ...]:
    if not found.small:
        return ()
    named = ", ".join(f"{formats.clean(s.slice)}: {formats.plain(s.value)} ({s.n})" for s in found.small)
    return (f"Too small to be tested, with fewer than {found.min_examples} examples: {named}.",)


def _searches(wording: Wording, found: SliceReport) -> Table | None:
    if not found.searches:
        return None
    columns = (
        *_names(),
        Column("Found"),
        Column("Δ where found", numeric=True),
        *_numbers("Δ on other examples"),
        Column("Confirmed"),
    )
    rows = tuple(_search_row(wording, search, one) for search in found.searches for one in (search.found or (None,)))
    sources = " and ".join(sorted({formats.clean(search.source) for search in found.searches}))
    tried = max(search.tried for search in found.searches)
    note = (
        f"Searched on {sources}, up to {tried:,} slices and intersections a contrast; the worst few are then tested on "
        "examples that the search has not seen. The p-value is one-sided (the candidate is no worse) and adjusted for "
        "the tested ones (Holm); intervals hold for those at once."
    )
    return Table("Search for slices where the candidate is worse", columns, rows, notes=(note,))


def _search_row(wording: Wording, search: SliceSearch, one: FoundSlice | None) -> Row:
    head = (Cell(formats.clean(search.candidate)), Cell(formats.clean(search.baseline)))
    metric = Cell(wording.metric(search.metric))
    if one is None:
        missing = Cell(formats.MISSING)
        return Row((*head, metric, Cell(f"nothing worse among {search.tried:,}"), *[missing] * 4, Cell("no")))
    decimals = _decimals(one.low, one.high)
    return Row(
        (
            *head,
            metric,
            Cell(place(one.where)),
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


def _gaps(wording: Wording, found: SliceReport) -> Table | None:
    if not found.gaps:
        return None
    columns = (
        *_names(),
        Column("Slice", code=True),
        Column("Candidate's gap", numeric=True),
        Column("Baseline's gap", numeric=True),
        Column("Difference", numeric=True),
        Column("Candidate is"),
    )
    rows = tuple(_gap_row(wording, gap) for gap in found.gaps)
    note = (
        "A gap is the highest mean over the values of a slice less the lowest. Its interval covers the true distance "
        "whichever values those are; the difference of the two gaps is paired by example; both err to the safe side."
    )
    return Table("Gaps between slices", columns, rows, collapsed=len(rows) > _SHOWN, notes=(note,))


def _gap_row(wording: Wording, gap: SliceGap) -> Row:
    decimals = _decimals(gap.low, gap.high)
    reading: tuple[str, Tone] = ("as even, as far as this shows", "")
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
            Cell(wording.metric(gap.metric)),
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


def _intersections(wording: Wording, found: SliceReport) -> Table | None:
    rows = []
    for _, own in _contrasts(found.intersections):
        rows += sorted(own, key=lambda row: _gain(wording, row.metric, row.delta))[:_SHOWN]
    if not rows:
        return None
    note = (
        f"Of each contrast the {_SHOWN} worst of those with at least {found.min_examples} examples. Intervals and "
        "p-values hold for all intersections of a contrast at once (max-t). Exploratory."
    )
    columns = (*_names(), Column("Where"), *_numbers("Δ"))
    body = tuple(Row((*_who(wording, row), Cell(place(row.where)), *_measured(wording, row))) for row in rows)
    return Table("Where two slices meet", columns, body, collapsed=True, notes=(note,))


def _names() -> tuple[Column, ...]:
    return Column("Candidate", code=True), Column("Baseline", code=True), Column("Metric")


def _numbers(delta: str) -> tuple[Column, ...]:
    return Column("n", numeric=True), Column(delta, numeric=True), Column("p, adjusted", numeric=True)


def _who(wording: Wording, row: SliceDelta) -> tuple[Cell, ...]:
    return Cell(formats.clean(row.candidate)), Cell(formats.clean(row.baseline)), Cell(wording.metric(row.metric))


def _measured(wording: Wording, row: SliceDelta) -> tuple[Cell, ...]:
    decimals = _decimals(row.low, row.high)
    gain = _gain(wording, row.metric, row.delta)
    shown = row.p_adjusted <= 1 - wording.assessment.level
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


def _gain(wording: Wording, metric: str, delta: float) -> float:
    return delta if wording.higher_is_better(metric) else -delta


def _decimals(low: float, high: float) -> int:
    return formats.decimals_for([(high - low) / 2])
