"""Section `fine-tunes`: what each fine-tune costs to train, to store and to query."""

from __future__ import annotations

from mlbaseline import formats
from mlbaseline.records import FineTune, Standing
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.view import Cell, Column, Row, Section, Table


def finetune_section(presenter: Presenter) -> Section | None:
    """Build one row a fine-tune, in the suite's order."""
    fine_tunes = [(standing, standing.fine_tune) for standing in presenter.assessment.standings if standing.fine_tune]
    if not fine_tunes:
        return None
    lead = presenter.metrics[:1]
    columns = (
        Column("Rung", code=True, rank=0),
        Column("Method", rank=1),
        *(Column(presenter.metric(name), numeric=True, rank=0) for name in lead),
        Column("Trainable parameters", numeric=True, rank=2),
        Column("Training", numeric=True, rank=3),
        Column("Weights", numeric=True, rank=4),
        Column("Latency p50", numeric=True, rank=5),
        Column("Unmerged p50", numeric=True, rank=6),
    )
    rows = tuple(
        Row(
            _cells(presenter, standing, fine_tune, lead),
            emphasis=standing.baseline == presenter.assessment.verdict.winner,
        )
        for standing, fine_tune in fine_tunes
    )
    notes = (
        "Weights: what has to be stored for each fine-tune; an adapter needs its base model too.",
        "Latency p50: a single query, with the adapter merged into its base where the method allows that. "
        f"Unmerged p50: with the adapter kept apart; {formats.MISSING} means nothing to merge, or not measured.",
    )
    return Section("fine-tunes", "Fine-tunes", (Table("What a fine-tune costs", columns, rows, notes=notes),))


def _cells(presenter: Presenter, standing: Standing, fine_tune: FineTune, lead: tuple[str, ...]) -> tuple[Cell, ...]:
    size = fine_tune.weights_bytes
    return (
        Cell(formats.clean(standing.baseline)),
        Cell(formats.clean(fine_tune.method)),
        *(presenter.estimate(name, standing.metrics.get(name)) for name in lead),
        Cell(formats.count(standing.cost.trainable_params)),
        Cell(formats.duration(standing.cost.train_s)),
        Cell(formats.memory(size), "" if size is None else f"({formats.count(size)} bytes)"),
        Cell(formats.duration(standing.cost.latency_p50_s)),
        Cell(formats.duration(fine_tune.latency_unmerged_p50_s)),
    )
