"""Sections of the contrasts: registered ones decide, exploratory ones do not; checkpoints and recipes stay apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from mlbaseline import formats
from mlbaseline.metrics import METRICS
from mlbaseline.records import Comparison, Estimand, Outcome, Role
from mlbaseline.report.columns import FilledColumn, fill
from mlbaseline.report.plots.forest_plot import FOREST, ForestPanel, ForestPlot, ForestRow
from mlbaseline.report.presenter import Presenter, contrast, distinct, status_cell, where
from mlbaseline.report.view import Cell, Column, Section, Table

ESTIMANDS = {
    Estimand.CHECKPOINT: ("Checkpoints", "these weights; only examples vary"),
    Estimand.RECIPE: ("Recipes", "the method; training seeds and examples vary"),
}
_ROLE_TITLES = {
    Role.PRIMARY: "Primary contrasts",
    Role.GUARDRAIL: "Guardrails",
    Role.EXPLORATORY: "Exploratory contrasts",
}
_ROLE_NOTES = {
    Role.PRIMARY: "Registered in the suite's matrix {when}. They decide, as one family{checkpoints}.",
    Role.GUARDRAIL: "Registered in the suite's matrix {when}. Each must pass by itself{checkpoints}.",
    Role.EXPLORATORY: "Not registered: they suggest, and decide nothing.",
}
_TWO_INTERVALS = (
    "Two intervals: that under Δ holds for one contrast alone; the simultaneous one holds for all {n} contrasts of "
    "the table at once{decides}."
)
_STEPWISE = (
    "A contrast can pass although its simultaneous interval reaches the margin: its adjusted p-value decides, which is "
    "of a test in steps, and these intervals do not follow the steps."
)
_LABELS = (
    "Labels: examples that people labelled, and how many labels without a judge would say as much. A row without them "
    "has the judge's own figures, which decide nothing."
)
_WEIGHTED = (
    "Examples are weighted {how}: means, Δ, p and MDE are of weighted means. Worth: examples of equal weight that "
    "would be as precise. Plain Δ: every example counts the same; it decides nothing. A row without it is not weighted."
)
_SIMULTANEOUS = "Δ, simultaneous"
_MAX_UNFOLDED_ROWS = 8
_MAX_FOREST_ROWS = 24


def contrast_sections(presenter: Presenter) -> tuple[Section, ...]:
    """Build one section a role; exploratory slices have a section of their own."""
    exploratory = [row for row in presenter.overall if row.role not in (Role.PRIMARY, Role.GUARDRAIL)]
    by_role = {
        role: [row for row in presenter.registered if row.role == role] for role in (Role.PRIMARY, Role.GUARDRAIL)
    }
    present = {role: rows for role, rows in {**by_role, Role.EXPLORATORY: exploratory}.items() if rows}
    # How to read the columns stands once, under the first table.
    return tuple(
        Section(
            role.value,
            _ROLE_TITLES[role],
            (_role_note(presenter, role, rows), *_tables(presenter, role, rows, first=position == 0)),
        )
        for position, (role, rows) in enumerate(present.items())
    )


def _role_note(presenter: Presenter, role: Role, rows: Sequence[Comparison]) -> str:
    both = len({row.estimand for row in rows}) > 1
    checkpoints = ": those of the checkpoints. Recipes are for a publication, and decide nothing" if both else ""
    return _ROLE_NOTES[role].format(when=presenter.registered_when(rows), checkpoints=checkpoints)


def contrast_forest(presenter: Presenter) -> ForestPlot | None:
    """Plot the registered deltas or, where there are none, the exploratory ones over all examples."""
    rows = presenter.deciding or presenter.overall
    rows = tuple(row for row in rows if formats.finite(row.delta))
    if not rows:
        return None
    shown = rows[:_MAX_FOREST_ROWS]
    status = "Registered contrasts" if presenter.registered else "Exploratory contrasts"
    more = f" The first {_MAX_FOREST_ROWS} of {len(rows)}; the tables hold all." if len(rows) > _MAX_FOREST_ROWS else ""
    return ForestPlot(
        name=FOREST,
        title="Difference from the baselines",
        caption=f"{status}, candidate minus baseline with {presenter.level} interval; right is better.{more}",
        alt=f"{status}. " + "; ".join(f"{contrast(row)}, {where(row)}: {presenter.delta_text(row)}" for row in shown),
        panels=tuple(_panel(presenter, metric, shown) for metric in distinct(row.metric for row in shown)),
        compact=False,
    )


def forest_row(presenter: Presenter, row: Comparison, *, group: str, label: str) -> ForestRow:
    """Show a contrast as one row of a forest plot."""
    cell = presenter.delta(row)
    return ForestRow(
        group=group,
        label=label,
        text=f"{cell.text} {cell.detail}",
        delta=row.delta,
        low=row.low,
        high=row.high,
        simultaneous_low=row.simultaneous_low,
        simultaneous_high=row.simultaneous_high,
        threshold=presenter.threshold(row),
        recipe=row.estimand == Estimand.RECIPE,
        tone=presenter.tone(row),
    )


def _panel(presenter: Presenter, metric: str, rows: Sequence[Comparison]) -> ForestPanel:
    ordered = sorted((row for row in rows if row.metric == metric), key=lambda row: (row.role, row.estimand))
    ordered.sort(key=lambda row: row.role != Role.PRIMARY)
    forest_rows = []
    for row in ordered:
        place = "" if row.slice is None else f" · {where(row)}"
        label = f"{formats.clean(row.candidate)} over {formats.clean(row.baseline)}{place}"
        group = f"{_ROLE_TITLES[row.role]}, {row.estimand}"
        forest_rows.append(forest_row(presenter, row, group=group, label=label))
    return ForestPanel(
        title=formats.clean(metric),
        axis=f"Δ {formats.clean(metric)}",
        inverted=not presenter.higher_is_better(metric),
        rows=tuple(forest_rows),
    )


def _tables(presenter: Presenter, role: Role, rows: Sequence[Comparison], *, first: bool) -> list[Table]:
    tables = [
        _table(presenter, role, estimand, [row for row in rows if row.estimand == estimand])
        for estimand in sorted({row.estimand for row in rows})
    ]
    if first:
        tables[0] = replace(tables[0], notes=(*tables[0].notes, _column_note(presenter)))
    return tables


def _table(presenter: Presenter, role: Role, estimand: Estimand, rows: Sequence[Comparison]) -> Table:
    registered = role != Role.EXPLORATORY
    columns, body = fill(_columns(presenter, role, rows), rows)
    shown = {column.title for column in columns}
    method = next((formats.clean(row.method) for row in rows if row.method and "Method" not in shown), None)
    name, meaning = ESTIMANDS[estimand]
    caption = f"{name}{'' if 'Metric' in shown else f' on {presenter.metric(rows[0].metric)}'} ({meaning})"
    decides = ", and decides" if rows[0] in presenter.deciding else ""
    notes = (
        *((_TWO_INTERVALS.format(n=len(rows), decides=decides),) if _SIMULTANEOUS in shown else ()),
        *((_STEPWISE,) if _SIMULTANEOUS in shown and any(_passes_in_steps(presenter, row) for row in rows) else ()),
        *((_LABELS,) if "Labels" in shown else ()),
        *((_WEIGHTED.format(how=formats.plain(presenter.assessment.weighted)),) if "Worth" in shown else ()),
        *((f"Method: {method}.",) if method is not None else ()),
    )
    return Table(caption, columns, body, collapsed=not registered and len(body) > _MAX_UNFOLDED_ROWS, notes=notes)


def _columns(presenter: Presenter, role: Role, rows: Sequence[Comparison]) -> tuple[FilledColumn[Comparison], ...]:
    """List what a table of contrasts can show. What is the same in all rows, or in none, has no column."""
    registered = role != Role.EXPLORATORY
    methods = distinct(formats.clean(row.method) for row in rows if row.method)
    weighted = any(row.effective_n is not None for row in rows)
    return (
        FilledColumn(Column("Candidate", code=True, rank=0), lambda row: Cell(formats.clean(row.candidate))),
        FilledColumn(Column("Baseline", code=True, rank=0), lambda row: Cell(formats.clean(row.baseline))),
        FilledColumn(Column("Outcome" if registered else "Reading", rank=1), presenter.outcome),
        FilledColumn(
            Column("Where", rank=1), lambda row: Cell(where(row)), is_shown=any(row.slice is not None for row in rows)
        ),
        FilledColumn(
            Column("Metric", rank=2),
            lambda row: Cell(presenter.metric(row.metric)),
            is_shown=len({row.metric for row in rows}) > 1,
        ),
        FilledColumn(Column("Δ", numeric=True, rank=0), presenter.delta),
        FilledColumn(
            Column(_SIMULTANEOUS, numeric=True, rank=5),
            lambda row: _simultaneous(presenter, row),
            is_shown=role == Role.PRIMARY and any(map(_has_own_simultaneous, rows)),
        ),
        FilledColumn(Column("Plain Δ", numeric=True, rank=4), lambda row: _unweighted(presenter, row), weighted),
        FilledColumn(Column("Worth", numeric=True, rank=6), _worth, weighted),
        FilledColumn(
            Column("p, adjusted", numeric=True, rank=3),
            lambda row: Cell(formats.probability(row.p_adjusted), f"(raw {formats.probability(row.p_value)})"),
        ),
        FilledColumn(
            Column("Margin", numeric=True, rank=4),
            lambda row: Cell(presenter.margin(row)),
            is_shown=any(row.margin is not None for row in rows),
        ),
        FilledColumn(Column("MDE", numeric=True, rank=4), lambda row: Cell(presenter.detectable(row))),
        FilledColumn(Column("Means", numeric=True, rank=7), lambda row: _means(presenter, row)),
        FilledColumn(Column("Gained / lost", numeric=True, rank=6), _changes),
        FilledColumn(Column("n (seeds)", numeric=True, rank=6), lambda row: Cell(formats.count(row.n), _seeds(row))),
        FilledColumn(
            Column("Labels", numeric=True, rank=4), _labels, is_shown=any(row.n_labels is not None for row in rows)
        ),
        # Where all rows have the same status, the text above the table says it.
        FilledColumn(
            Column("Status", rank=6), status_cell, is_shown=registered and len({row.registered for row in rows}) > 1
        ),
        FilledColumn(
            Column("Clusters", numeric=True, rank=8),
            lambda row: Cell(formats.count(row.n_clusters)),
            is_shown=any(row.n_clusters != row.n for row in rows),
        ),
        FilledColumn(
            Column("Effect size", numeric=True, rank=9), lambda row: Cell(formats.fixed(row.effect_size, 2, sign=True))
        ),
        FilledColumn(Column("Method", rank=9), lambda row: Cell(formats.clean(row.method)), is_shown=len(methods) > 1),
        FilledColumn(
            Column("Caution", rank=3, wide=True),
            lambda row: Cell(row.caution or formats.MISSING),
            is_shown=any(row.caution for row in rows),
        ),
    )


def _column_note(presenter: Presenter) -> str:
    others = {row.metric: METRICS[row.metric].compared_as for row in presenter.overall if row.metric in METRICS}
    compared = "".join(f" {name} is compared as {what}." for name, what in others.items() if what is not None)
    return (
        f"Δ is candidate minus baseline on the same examples with its {presenter.level} interval. MDE: smallest true "
        "difference that this design detects with 80% power. Gained / lost: examples that only the candidate, only the "
        "baseline, gets right. Seeds are counted as candidate / baseline." + compared
    )


def _has_own_simultaneous(row: Comparison) -> bool:
    """Tell whether the simultaneous interval is another one than the pointwise."""
    return not (math.isclose(row.simultaneous_low, row.low) and math.isclose(row.simultaneous_high, row.high))


def _passes_in_steps(presenter: Presenter, row: Comparison) -> bool:
    """Tell whether a contrast passes whose simultaneous interval has the margin."""
    threshold = presenter.threshold(row)
    has_margin = threshold is not None and row.simultaneous_low <= threshold <= row.simultaneous_high
    return row.outcome == Outcome.PASS and has_margin


def _simultaneous(presenter: Presenter, row: Comparison) -> Cell:
    low, high = row.simultaneous_low, row.simultaneous_high
    return Cell(formats.interval(low, high, presenter.delta_decimals(row), sign=True))


def _unweighted(presenter: Presenter, row: Comparison) -> Cell:
    """Show the difference without weights."""
    if row.effective_n is None:
        return Cell(formats.MISSING)
    decimals = presenter.delta_decimals(row)
    plain = formats.interval(row.plain_low, row.plain_high, decimals, sign=True)
    return Cell(formats.fixed(row.plain_delta, decimals, sign=True), plain)


def _worth(row: Comparison) -> Cell:
    """Show how many examples of equal weight the row is worth."""
    return Cell(formats.MISSING if row.effective_n is None else formats.count(round(row.effective_n)))


def _means(presenter: Presenter, row: Comparison) -> Cell:
    decimals = presenter.level_decimals(row.metric)
    return Cell(formats.fixed(row.candidate_mean, decimals), f"vs {formats.fixed(row.baseline_mean, decimals)}")


def _seeds(row: Comparison) -> str:
    return f"({formats.count(row.n_seeds_candidate)} / {formats.count(row.n_seeds_baseline)})"


def _labels(row: Comparison) -> Cell:
    if row.n_labels is None:
        return Cell(formats.MISSING)
    worth = "" if row.effective_labels is None else f"(worth {formats.count(round(row.effective_labels))})"
    return Cell(formats.count(row.n_labels), worth)


def _changes(row: Comparison) -> Cell:
    if row.gained is None and row.lost is None:
        return Cell(formats.MISSING)
    return Cell(f"{formats.count(row.gained)} / {formats.count(row.lost)}")
