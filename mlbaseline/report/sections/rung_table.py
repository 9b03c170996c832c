"""Section `ladder`: the scores and costs of every rung."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mlbaseline import formats
from mlbaseline.records import Cost, PublishedScore, Standing
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
    batch, unit = presenter.query_batch
    priced = any(formats.finite(standing.cost.usd_per_query) for standing in standings)
    timed = any(formats.finite(standing.cost.latency_p95_s) for standing in standings)
    leading = presenter.metrics[:1]
    shown = {name for standing in standings for name in standing.metrics} | {score.metric for score in published}
    others = [name for name in presenter.metrics[1:] if name in shown]
    sizes = {size for standing in standings if (size := _size(standing)) is not None}
    fronts = [front for _, front in front_columns(presenter) if front.axis in MONEY]
    trained = any(standing.cost.train_s is not None for standing in standings)
    marks = latency_marks(standings)
    errors = any(standing.error_rate != 0 for standing in standings)
    columns = (
        Column("Rung", code=True, rank=0),
        Column("Kind", rank=3),
        *(Column(presenter.metric(name), numeric=True, rank=0) for name in leading),
        Column("Seeds", numeric=True, rank=4),
        *((Column("n", numeric=True, rank=4),) if len(sizes) > 1 else ()),
        *(Column(presenter.metric(name), numeric=True, rank=9) for name in others),
        *((Column(f"USD per {unit}", numeric=True, rank=1),) if priced else ()),
        *(Column("On the front", numeric=True, rank=6) for _ in fronts),
        *((Column("Latency p95", numeric=True, rank=2),) if timed else ()),
        *((Column("Training", numeric=True, rank=8),) if trained else ()),
        *((Column("Errors", numeric=True, rank=3),) if errors else ()),
    )
    rows = tuple(
        Row(
            (
                Cell(formats.clean(standing.baseline)),
                Cell(formats.clean(standing.kind)),
                *(presenter.estimate(name, standing.metrics.get(name)) for name in leading),
                _seeds(presenter, standing),
                *((Cell(formats.count(_size(standing))),) if len(sizes) > 1 else ()),
                *(presenter.estimate(name, standing.metrics.get(name)) for name in others),
                *((Cell(formats.price(standing.cost.usd_per_query, batch)),) if priced else ()),
                *(front_cell(front, standing.baseline) for front in fronts),
                *((_latency(standing, marks),) if timed else ()),
                *((_training(standing.cost),) if trained else ()),
                *((_errors(standing),) if errors else ()),
            ),
            emphasis=standing.baseline == presenter.assessment.verdict.winner,
        )
        for standing in standings
    ) + tuple(_published(presenter, columns, score) for score in published)
    notes = (
        f"Means over seeds with their {presenter.level} intervals; the arrow points to better. "
        "std is the spread between training or sampling seeds: a description, not an interval."
        + (_CHECKPOINT if any(len(standing.run_ids) > 1 for standing in standings) else ""),
        (_COST if priced else _NO_COST)
        + (
            " On the front (✓): no other rung is at least as good at a lower cost; the percentage is the share of "
            "resampled test sets in which that holds."
            if fronts
            else ""
        )
        + ("" if errors else " No rung has error rows."),
        *((_UNLIKE,) if marks else ()),
        *_cautions(presenter, standings),
        *_judged_note(presenter),
        *_weights_note(presenter),
    )
    on = f" on {formats.count(sizes.pop())} examples" if len(sizes) == 1 else ""
    return Section("ladder", "The ladder", (Table(f"Every rung{on}", columns, rows, notes=notes),))


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


def _latency(standing: Standing, marks: Mapping[str, str]) -> Cell:
    return Cell(formats.duration(standing.cost.latency_p95_s), marks.get(standing.baseline, ""))


def _errors(standing: Standing) -> Cell:
    n = (_size(standing) or 0) * len(standing.run_ids)
    return Cell(formats.percent(standing.error_rate, n), tone="" if standing.error_rate == 0 else "worse")


def _training(cost: Cost) -> Cell:
    if cost.train_s is None and cost.train_usd is None:
        return Cell(formats.MISSING)
    usd = f"(USD {formats.significant(cost.train_usd)})" if cost.train_usd is not None else ""
    return Cell(formats.duration(cost.train_s), usd)
