"""What each fine-tune costs to train, to keep and to ask: the reasons for a small adapter."""

from __future__ import annotations

from mlbaseline.records import FineTune, Standing
from mlbaseline.report import formats
from mlbaseline.report.view import Cell, Column, Row, Section, Table
from mlbaseline.report.wording import Wording


def fine_tunes(wording: Wording) -> Section | None:
    """One row a fine-tune, in the suite's order."""
    found = [(standing, standing.fine_tune) for standing in wording.assessment.standings if standing.fine_tune]
    if not found:
        return None
    lead = wording.metrics[:1]
    columns = (
        Column("Rung", code=True, rank=0),
        Column("Method", rank=1),
        *(Column(wording.metric(name), numeric=True, rank=0) for name in lead),
        Column("Trainable parameters", numeric=True, rank=2),
        Column("Training", numeric=True, rank=3),
        Column("Weights", numeric=True, rank=4),
        Column("Latency p50", numeric=True, rank=5),
        Column("Unmerged p50", numeric=True, rank=6),
    )
    rows = tuple(
        Row(_cells(wording, standing, fine_tune, lead), emphasis=standing.baseline == wording.assessment.verdict.winner)
        for standing, fine_tune in found
    )
    notes = (
        "Weights: what has to be kept for each fine-tune, exactly; an adapter needs its base beside it.",
        "Latency p50 is that of a query alone, an adapter being merged into its base where its method can be; "
        f"unmerged while it stands beside its base; {formats.MISSING} where there is nothing to merge or to know.",
    )
    return Section("fine-tunes", "Fine-tunes", (Table("What a fine-tune costs", columns, rows, notes=notes),))


def _cells(wording: Wording, standing: Standing, fine_tune: FineTune, lead: tuple[str, ...]) -> tuple[Cell, ...]:
    size = fine_tune.weights_bytes
    return (
        Cell(formats.clean(standing.baseline)),
        Cell(formats.clean(fine_tune.method)),
        *(wording.estimate(name, standing.metrics.get(name)) for name in lead),
        Cell(formats.count(standing.cost.trainable_params)),
        Cell(formats.duration(standing.cost.train_s)),
        Cell(formats.memory(size), "" if size is None else f"({formats.count(size)} bytes)"),
        Cell(formats.duration(standing.cost.latency_p50_s)),
        Cell(formats.duration(fine_tune.latency_unmerged_p50_s)),
    )
