"""Section `published`: published scores with their sources and the candidates beside them. They decide nothing."""

from __future__ import annotations

from mlbaseline import formats
from mlbaseline.records import PublishedScore, UnpairedContrast
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.view import Block, Cell, Column, Row, Section, Table

_WHY = (
    "These were measured elsewhere, and only the score is known. Without the answers to single examples nothing can be "
    "paired, and other examples, prompts or scoring may explain any difference. They decide nothing."
)


def published_section(presenter: Presenter) -> Section | None:
    """Build the table of scores with their sources, and that of each candidate against them."""
    scores, rows = presenter.assessment.published, presenter.assessment.unpaired
    if not scores:
        return None
    blocks: list[Block] = [_WHY, _sources(presenter, scores)]
    if rows:
        blocks.append(_contrasts(presenter, rows))
    return Section("published", "Published scores", tuple(blocks))


def _sources(presenter: Presenter, scores: tuple[PublishedScore, ...]) -> Table:
    columns = (
        Column("Score", code=True, rank=0),
        Column("Metric", rank=1),
        Column("Value", numeric=True, rank=0),
        Column("Std error", numeric=True, rank=4),
        Column("n", numeric=True, rank=3),
        Column("Date", rank=5),
        Column("Protocol", rank=2, wide=True),
        Column("Source", rank=1, wide=True),
    )
    rows = tuple(
        Row(
            (
                Cell(formats.clean(score.baseline)),
                Cell(presenter.metric(score.metric)),
                Cell(formats.fixed(score.value, presenter.level_decimals(score.metric))),
                Cell(formats.significant(score.standard_error) if score.standard_error else formats.MISSING),
                Cell(formats.count(score.n)),
                Cell(formats.clean(score.date or formats.MISSING)),
                Cell(_stated(score) or "unknown", tone="open"),
                Cell(formats.clean(score.source)),
            )
        )
        for score in scores
    )
    notes = [
        "Protocol: what the source states. Where prompt, shots or split differ from this suite's or are not stated, "
        "the score may be of a different task."
    ]
    if not all(map(_stated, scores)):
        notes.append(
            "unknown: give the baseline in the suite a `protocol`, such as {shots: 0, split: test}, and it is compared "
            "with this suite's."
        )
    return Table("Where they come from", columns, rows, notes=tuple(notes))


def _stated(score: PublishedScore) -> str:
    """Write what the source says of the protocol; empty where it says nothing."""
    known = [f"{name} {value}" for name, value in score.measured_by.items()]
    return formats.clean("; ".join([*known, *([score.protocol] if score.protocol else [])]))


def _contrasts(presenter: Presenter, rows: tuple[UnpairedContrast, ...]) -> Table:
    columns = (
        Column("Candidate", code=True, rank=0),
        Column("Published", code=True, rank=0),
        Column("Metric", rank=2),
        Column("Candidate's", numeric=True, rank=3),
        Column("Published's", numeric=True, rank=3),
        Column("Δ unpaired", numeric=True, rank=0),
        Column("p unpaired", numeric=True, rank=1),
        Column("n", numeric=True, rank=4),
        Column("Assumed", rank=5, wide=True),
        Column("Protocol", rank=3, wide=True),
    )
    return Table(
        "Candidates beside them, unpaired",
        columns,
        tuple(
            Row(
                (
                    Cell(formats.clean(row.candidate)),
                    Cell(formats.clean(row.published)),
                    Cell(presenter.metric(row.metric)),
                    Cell(formats.fixed(row.candidate_mean, _decimals(row))),
                    Cell(formats.fixed(row.value, _decimals(row))),
                    Cell(
                        formats.fixed(row.delta, _decimals(row), sign=True),
                        formats.interval(row.low, row.high, _decimals(row), sign=True),
                    ),
                    Cell(formats.probability(row.p_value)),
                    Cell(formats.count(row.n)),
                    Cell(formats.clean(row.reason)),
                    _protocol(row),
                )
            )
            for row in rows
        ),
        notes=(f"The candidate's checkpoint minus the published score, {presenter.level} intervals, not corrected.",),
    )


def _protocol(row: UnpairedContrast) -> Cell:
    """Mark a protocol that is not known to be this suite's own."""
    if not row.protocol_gaps:
        return Cell("as here")
    return Cell("differs, or may: " + formats.clean("; ".join(row.protocol_gaps)), tone="open")


def _decimals(row: UnpairedContrast) -> int:
    return formats.decimals_for([(row.high - row.low) / 2])
