"""Section `reproducibility`: digests, hardware and software of the comparison, and the run behind every number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlbaseline.report import formats
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.view import Block, Cell, Column, Row, Section, Table


def reproducibility_section(presenter: Presenter) -> Section | None:
    """Build the table of the context and that of the evaluation runs."""
    blocks: list[Block] = []
    flat = [
        (name, text) for key, value in presenter.assessment.context.items() for name, text in _flatten(str(key), value)
    ]
    if flat:
        rows = tuple(Row((Cell(formats.clean(name)), Cell(text))) for name, text in flat)
        what = (Column("What", code=True), Column("Value", wide=True))
        blocks.append(Table("Data, rules, hardware and software", what, rows))
    runs = tuple(
        Row((Cell(formats.clean(s.baseline)), Cell(formats.clean(seed)), Cell(formats.clean(run_id))))
        for s in presenter.assessment.standings
        for seed, run_id in s.run_ids.items()
    )
    if runs:
        which = (Column("Rung", code=True), Column("Seed", numeric=True), Column("MLflow run", code=True))
        blocks.append(Table("Evaluation runs", which, runs))
    return Section("reproducibility", "Reproducibility", tuple(blocks)) if blocks else None


def _flatten(name: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        return [pair for key, item in value.items() for pair in _flatten(f"{name}.{key}", item)]
    return [(name, formats.plain(value))]
