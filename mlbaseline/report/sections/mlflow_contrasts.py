"""Section `by-mlflow`: MLflow's own comparison of the imported runs, beside ours, and why the two differ."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mlbaseline import formats
from mlbaseline.records import Comparison, Estimand, MlflowContrast
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.view import Cell, Column, Row, Section, Table

_WHY = (
    "These runs were compared by mlflow.genai.compare_evaluations, too. It decides nothing here: its contrasts were "
    "not registered, and no margin, guardrail or audit stands beside them."
)
_NOTE = "Candidate minus baseline; p-values of no difference, two-sided and not corrected for other contrasts."
_CLOSE = 1e-6


def mlflow_section(presenter: Presenter) -> Section | None:
    """Build the table of MLflow's contrasts, each with ours of the same two rungs."""
    found = presenter.assessment.by_mlflow
    if not found:
        return None
    columns = (
        Column("Candidate", code=True, rank=0),
        Column("Baseline", code=True, rank=0),
        Column("Scorer", code=True, rank=1),
        Column("Metric", rank=3),
        Column("Δ by MLflow", numeric=True, rank=0),
        Column("Δ here", numeric=True, rank=0),
        Column("p by MLflow", numeric=True, rank=2),
        Column("p here", numeric=True, rank=2),
        Column("Why they differ", rank=1, wide=True),
    )
    rows = tuple(_row(presenter, theirs) for theirs in found)
    return Section(
        "by-mlflow", "MLflow's own comparison", (_WHY, Table("Beside our contrasts", columns, rows, notes=(_NOTE,)))
    )


def _row(presenter: Presenter, theirs: MlflowContrast) -> Row:
    ours = _counterpart(presenter, theirs)
    decimals = 3 if ours is None else presenter.delta_decimals(ours)
    bounds = "" if None in (theirs.low, theirs.high) else formats.interval(theirs.low, theirs.high, decimals, sign=True)
    cells = (
        Cell(formats.clean(theirs.candidate)),
        Cell(formats.clean(theirs.baseline)),
        Cell(formats.clean(theirs.scorer)),
        Cell(presenter.metric(theirs.metric)),
        Cell(formats.fixed(theirs.delta, decimals, sign=True), bounds),
        Cell(formats.MISSING) if ours is None else presenter.delta(ours),
        Cell(formats.probability(theirs.p_value)),
        Cell(formats.MISSING if ours is None else formats.probability(ours.p_value)),
        Cell("not a contrast of the suite" if ours is None else "; ".join(_reasons(theirs, ours))),
    )
    return Row(cells)


def _counterpart(presenter: Presenter, theirs: MlflowContrast) -> Comparison | None:
    """Find our contrast of the same rungs by the same metric: of the checkpoints, where there are both."""
    who = (theirs.candidate, theirs.baseline, theirs.metric)
    rows = [row for row in presenter.overall if (row.candidate, row.baseline, row.metric) == who]
    return min(rows, key=lambda row: row.estimand is not Estimand.CHECKPOINT, default=None)


def _reasons(theirs: MlflowContrast, ours: Comparison) -> Iterator[str]:
    """Explain what is different about the numbers, as far as the two tell."""
    if not theirs.is_same_score:
        yield f"another score: there by the scorer {formats.clean(theirs.scorer)}, here {ours.metric} of the answers"
    if theirs.n is not None and theirs.n != ours.n:
        yield f"it has {theirs.n:,} pairs of {ours.n:,}: it leaves out rows that failed, which count as wrong here"
    elif (
        theirs.is_same_score and theirs.delta is not None and not math.isclose(theirs.delta, ours.delta, abs_tol=_CLOSE)
    ):
        yield "it averages several values of one trace, or pairs the rows otherwise"
    if ours.effective_n is not None:
        yield "it does not weight the examples"
    if ours.n_clusters < ours.n:
        yield f"it takes the {ours.n:,} examples as independent; they stand in {ours.n_clusters:,} clusters"
    is_zero_or_one = ours.gained is not None
    test = "McNemar's test" if is_zero_or_one else "Wilcoxon's signed-rank test, which is not about the mean"
    yield f"there a bootstrap interval (BCa) and {test}; here both by the method {formats.clean(ours.method)}"
