"""Section `ladder`: the scores and costs of every rung."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial

from mlbaseline import formats
from mlbaseline.records import Cost, Front, PublishedScore, Standing
from mlbaseline.report.columns import FilledColumn, fill
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.sections.comparability_notes import latency_marks
from mlbaseline.report.sections.pareto_fronts import MONEY, front_cell, front_columns
from mlbaseline.report.view import Cell, Column, Row, Section, Table

_COST = (
    "Cost per query includes training, spread over the number of queries that the suite declares; "
    f"{formats.MISSING} means not measured, without a price, or not applicable."
)
_NO_COST = (
    "No rung has a price: the key cost of the suite file prices an hour of a machine, or the tokens of an endpoint. "
    f"{formats.MISSING} means not measured, or not applicable."
)
_CHECKPOINT = (
    " The verdict is about one checkpoint of a rung, which has a score of its own: the best on dev, or the first seed "
    "where no score on dev is known."
)
_UNLIKE = (
    "Latencies were not all measured alike: only those with the same mark are compared. What is comparable says why."
)


def rung_section(presenter: Presenter) -> Section | None:
    """Build one row a rung, in the suite's order, then one a published score."""
    standings, published = presenter.assessment.standings, presenter.assessment.published
    if not standings:
        return None
    winner = presenter.assessment.verdict.winner
    sizes = {size for standing in standings if (size := _size(standing)) is not None}
    marks = latency_marks(standings)
    filled = _columns(presenter, sizes, marks)
    columns, rungs = fill(filled, standings, is_emphasised=lambda standing: standing.baseline == winner)
    rows = rungs + tuple(_published(presenter, columns, score) for score in published)
    shown = {column.title for column in columns}
    notes = (
        f"Means over seeds with their {presenter.level} intervals; the arrow points to better. "
        "std is the spread between training or sampling seeds: a description, not an interval."
        + (_CHECKPOINT if any(len(standing.run_ids) > 1 for standing in standings) else ""),
        (_COST if _is_priced(presenter) else _NO_COST)
        + (
            " On the front (✓): no other rung is at least as good at a lower cost; the percentage is the share of "
            "resampled test sets in which that holds."
            if "On the front" in shown
            else ""
        )
        + ("" if "Errors" in shown else " No rung has error rows."),
        *((_UNLIKE,) if marks else ()),
        *_cautions(presenter, standings),
        *_judged_note(presenter),
        *_weights_note(presenter),
    )
    on = f" on {formats.count(sizes.pop())} examples" if len(sizes) == 1 else ""
    return Section("ladder", "The ladder", (Table(f"Every rung{on}", columns, rows, notes=notes),))


def _columns(
    presenter: Presenter, sizes: Collection[int], marks: Mapping[str, str]
) -> Iterator[FilledColumn[Standing]]:
    """List what the table of rungs can show. What no rung has, or all have alike, has no column."""
    standings = presenter.assessment.standings
    batch, unit = presenter.query_batch
    yield FilledColumn(Column("Rung", code=True, rank=0), lambda standing: Cell(formats.clean(standing.baseline)))
    yield FilledColumn(Column("Kind", rank=3), lambda standing: Cell(formats.clean(standing.kind)))
    yield from (_score_column(presenter, name, rank=0) for name in presenter.metrics[:1])
    yield FilledColumn(Column("Seeds", numeric=True, rank=4), partial(_seeds, presenter))
    yield FilledColumn(
        Column("n", numeric=True, rank=4),
        lambda standing: Cell(formats.count(_size(standing))),
        is_shown=len(sizes) > 1,
    )
    scored = {name for standing in standings for name in standing.metrics}
    scored |= {score.metric for score in presenter.assessment.published}
    yield from (_score_column(presenter, name, rank=9) for name in presenter.metrics[1:] if name in scored)
    yield FilledColumn(
        Column(f"USD per {unit}", numeric=True, rank=1),
        lambda standing: Cell(formats.price(standing.cost.usd_per_query, batch)),
        is_shown=_is_priced(presenter),
    )
    for front in (front for _, front in front_columns(presenter) if front.axis in MONEY):
        yield FilledColumn(Column("On the front", numeric=True, rank=6), partial(_front, front))
    yield FilledColumn(
        Column("Latency p95", numeric=True, rank=2),
        lambda standing: Cell(formats.duration(standing.cost.latency_p95_s), marks.get(standing.baseline, "")),
        is_shown=any(formats.finite(standing.cost.latency_p95_s) for standing in standings),
    )
    yield FilledColumn(
        Column("Training", numeric=True, rank=8),
        lambda standing: _training(standing.cost),
        is_shown=any(standing.cost.train_s is not None for standing in standings),
    )
    yield FilledColumn(
        Column("Errors", numeric=True, rank=3),
        _errors,
        is_shown=any(standing.error_rate != 0 for standing in standings),
    )


def _score_column(presenter: Presenter, metric: str, *, rank: int) -> FilledColumn[Standing]:
    column = Column(presenter.metric(metric), numeric=True, rank=rank)
    return FilledColumn(column, lambda standing: presenter.estimate(metric, standing.metrics.get(metric)))


def _front(front: Front, standing: Standing) -> Cell:
    return front_cell(front, standing.baseline)


def _is_priced(presenter: Presenter) -> bool:
    return any(formats.finite(standing.cost.usd_per_query) for standing in presenter.assessment.standings)


def _cautions(presenter: Presenter, standings: Sequence[Standing]) -> Iterator[str]:
    """Where no interval is reliable, with the rungs whose intervals these are."""
    names: dict[tuple[str, str], list[str]] = {}
    for standing in standings:
        for metric, estimate in standing.metrics.items():
            if estimate.caution:
                key = presenter.metric(metric), estimate.caution.split(" (")[0]
                names.setdefault(key, []).append(formats.clean(standing.baseline))
    for (metric, caution), rungs in names.items():
        yield f"Caution, {metric} of {', '.join(rungs)}: {caution}."


def _weights_note(presenter: Presenter) -> tuple[str, ...]:
    weighted = presenter.assessment.weighted
    if weighted is None:
        return ()
    note = f"Scores here count every example the same; contrasts weigh them {formats.plain(weighted)}."
    return (note,)


def _judged_note(presenter: Presenter) -> tuple[str, ...]:
    names = ", ".join(formats.clean(judge.metric) for judge in presenter.assessment.judges)
    note = f"{names}: scores of a judge, not of people; the contrasts say what people's labels make of them."
    return (note,) if names else ()


def _published(presenter: Presenter, columns: tuple[Column, ...], score: PublishedScore) -> Row:
    """Show a published score, which has a value and nothing else."""
    value = formats.fixed(score.value, presenter.level_decimals(score.metric))
    known = {
        "Rung": Cell(formats.clean(score.baseline)),
        "Kind": Cell("external"),
        presenter.metric(score.metric): Cell(value, "published"),
    }
    return Row(tuple(known.get(column.title, Cell(formats.MISSING)) for column in columns))


def _size(standing: Standing) -> int | None:
    return max((estimate.n for estimate in standing.metrics.values()), default=None)


def _seeds(presenter: Presenter, standing: Standing) -> Cell:
    estimate = next((standing.metrics[name] for name in presenter.metrics if name in standing.metrics), None)
    if estimate is None:
        return Cell(formats.MISSING)
    std = standing.seed_std.get(presenter.metrics[0])
    spread = formats.fixed(std, max(presenter.level_decimals(presenter.metrics[0]), 3))
    return Cell(formats.count(estimate.n_seeds), "" if std is None else f"(std {spread})")


def _errors(standing: Standing) -> Cell:
    n = (_size(standing) or 0) * len(standing.run_ids)
    return Cell(formats.percent(standing.error_rate, n), tone="" if standing.error_rate == 0 else "worse")


def _training(cost: Cost) -> Cell:
    if cost.train_s is None and cost.train_usd is None:
        return Cell(formats.MISSING)
    usd = f"(USD {formats.significant(cost.train_usd)})" if cost.train_usd is not None else ""
    return Cell(formats.duration(cost.train_s), usd)
