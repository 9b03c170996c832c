"""Costs in units of the reference workload that was timed beside the answers: what runs are compared by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlbaseline import formats
from mlbaseline.judge.comparability import same_hardware
from mlbaseline.records import NormalisedFigure, Standing
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.view import Cell, Column, Row, Table

MOVED = 0.2
"""By how much the reference workload of two rungs may differ before the report says so."""
_FIGURES = {"compute": "Computing a query", "latency_p50": "Latency p50", "latency_p95": "Latency p95"}


def reference_table(presenter: Presenter) -> Table | None:
    """One row for each rung beside whose answers the workload was timed; None without any."""
    standings = [standing for standing in presenter.assessment.standings if standing.cost.reference_s is not None]
    if not standings:
        return None
    columns = (
        Column("Rung", code=True),
        Column("Reference workload", numeric=True),
        *(Column(title, numeric=True) for title in _FIGURES.values()),
    )
    rows = tuple(
        Row(
            (
                Cell(formats.clean(standing.baseline)),
                Cell(formats.duration(standing.cost.reference_s)),
                *(_times(standing.cost.relative.get(name)) for name in _FIGURES),
            ),
            emphasis=standing.baseline == presenter.assessment.verdict.winner,
        )
        for standing in standings
    )
    notes = (
        f"Times the reference workload (a matrix product, a copy, a short pass) at the same moment, with "
        f"{presenter.level} intervals. Two runs of the same weights agree in these figures however busy the machine "
        "was, as far as the load slows both alike.",
        *_flags(standings),
    )
    return Table("Beside a reference workload", columns, rows, notes=notes)


def _times(relative: NormalisedFigure | None) -> Cell:
    if relative is None:
        return Cell(formats.MISSING)
    ends = (relative.bounds.low, relative.bounds.high)
    shown = ", ".join(formats.MISSING if end is None else formats.significant(end) for end in ends)
    return Cell(f"× {formats.significant(relative.value)}", "" if ends == (None, None) else f"[{shown}]")


def _flags(standings: Sequence[Standing]) -> Iterator[str]:
    """Where machines differ, and where the machine was faster or slower beside some rungs."""
    first = standings[0]
    elsewhere = [standing.baseline for standing in standings[1:] if same_hardware(first, standing)]
    if elsewhere:
        names = ", ".join(formats.clean(name) for name in elsewhere)
        yield (
            f"Caution: {names} ran on another machine or with other batches than {formats.clean(first.baseline)}. "
            "What is comparable says whether these figures may be compared across them."
        )
    here = [s for s in standings if s.baseline not in elsewhere]
    seconds = [standing.cost.reference_s or 0.0 for standing in here]
    if min(seconds) > 0.0 and max(seconds) / min(seconds) > 1.0 + MOVED:
        slow, fast = (here[seconds.index(of(seconds))].baseline for of in (max, min))
        yield (
            f"Caution: the reference workload took {max(seconds) / min(seconds):.1f} times as long beside "
            f"{formats.clean(slow)} as beside {formats.clean(fast)}: compare their seconds and USD by these figures."
        )
