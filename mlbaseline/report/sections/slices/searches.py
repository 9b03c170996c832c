"""The search for slices where a candidate is worse: what it found, at the top and in its tables."""

from __future__ import annotations

from collections.abc import Sequence

from mlbaseline import formats
from mlbaseline.records import FoundSlice, SliceReport, SliceSearch
from mlbaseline.report.presenter import Presenter, listed
from mlbaseline.report.sections.slices.confirmed_losses import (
    ConfirmedLoss,
    confirmed_losses,
    is_nearly_mechanical,
    most_telling,
    place_text,
)
from mlbaseline.report.sections.slices.contrast_cells import contrast_columns, delta_columns, interval_decimals
from mlbaseline.report.view import Block, Cell, Column, Fact, Row, Table


def search_fact(presenter: Presenter) -> Fact | None:
    """Name the slices that the search confirmed as worse: `lora over zero_shot on topic: cars, and 2 more`."""
    explored = presenter.assessment.slices
    if explored is None or not any(search.tried or search.found for search in explored.searches):
        return None
    if worse := confirmed_losses(explored):
        return Fact("Slices found worse", _named_losses(worse), "worse")
    return Fact("Slices found worse", f"none, of up to {max(s.tried for s in explored.searches):,} looked at")


def _named_losses(worse: Sequence[ConfirmedLoss]) -> str:
    """Name the first few, and count the rest: those cut by the loss of another rung are counted only."""
    named = most_telling(worse)
    n_mechanical = sum(loss.is_nearly_mechanical for loss in worse)
    rest = [(len(worse) - len(named) - n_mechanical, "more"), (n_mechanical, "cut by the loss of another rung")]
    return listed([*map(str, named), *(f"{count} {what}" for count, what in rest if count)])


def search_blocks(presenter: Presenter, explored: SliceReport) -> list[Block]:
    """Show the slices that a search found; one sentence where it found none, nothing where there were none.

    What is not confirmed, or cut by the loss of another rung, is folded.
    """
    searches = [search for search in explored.searches if search.tried or search.found]
    if not searches:
        return []
    sources = " and ".join(sorted({formats.clean(search.source) for search in searches}))
    tried = max(search.tried for search in searches)
    if not any(search.found for search in searches):
        return [
            f"A search on {sources}, over up to {tried:,} slices a contrast, found none where a candidate looks worse."
        ]
    columns = (
        *contrast_columns(),
        Column("Found"),
        Column("Δ where found", numeric=True),
        *delta_columns("Δ on other examples"),
        Column("Confirmed"),
    )
    telling, rest = list[Row](), list[Row]()
    for search in searches:
        for one in search.found:
            is_telling = one.confirmed and not is_nearly_mechanical(one.where)
            (telling if is_telling else rest).append(_search_row(presenter, search, one))
    without = [f"{formats.clean(s.candidate)} over {formats.clean(s.baseline)}" for s in searches if not s.found]
    nothing = (f"Nothing that looks worse: {listed(without)}.",) if without else ()
    note = (
        f"Searched on {sources}, up to {tried:,} slices and intersections a contrast; the worst few are then tested on "
        "examples that the search has not seen. The p-value is one-sided (the candidate is no worse) and adjusted for "
        "the tested ones (Holm); intervals hold for those at once."
    )
    folded = Table("Slices found and not confirmed, or cut by the loss of another rung", columns, tuple(rest), True)
    if not telling:
        return [f"A search found no slice that other examples confirm as worse. {note}", *nothing, folded]
    table = Table("Search for slices where the candidate is worse", columns, tuple(telling), notes=(note, *nothing))
    return [table, folded] if rest else [table]


def _search_row(presenter: Presenter, search: SliceSearch, one: FoundSlice) -> Row:
    head = (Cell(formats.clean(search.candidate)), Cell(formats.clean(search.baseline)))
    metric = Cell(presenter.metric(search.metric))
    decimals = interval_decimals(one.low, one.high)
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
