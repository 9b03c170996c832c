"""Sections `data` and `reproducibility`: files and rows; digests, hardware, software; the run behind every number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlbaseline import formats
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.view import Block, Cell, Column, Fact, Row, Section, Table, Tone

_SPLITS = ("train", "dev", "test")
_MANY_LEFT_OUT = 0.02


def data_section(presenter: Presenter) -> Section | None:
    """Build the tables of files, of rows that were read, repaired and left out, and of what stood out."""
    facts = presenter.assessment.context.get("data")
    if not isinstance(facts, Mapping) or "rows_read" not in facts:
        return None
    files, notes = facts.get("files"), facts.get("notes")
    blocks: list[Block] = []
    if isinstance(files, Mapping):
        rows = tuple(Row((Cell(formats.clean(str(name))), Cell(formats.plain(text)))) for name, text in files.items())
        blocks.append(Table("Files", (Column("Split"), Column("File", wide=True)), rows))
    counts = [(name, count) for name, count in facts.items() if isinstance(count, int)]
    rows = tuple(
        Row((Cell(_what(name)), Cell(formats.count(count))))
        for name, count in sorted(counts, key=lambda each: each[0] in _SPLITS)
    )
    blocks.append(Table("Rows", (Column("What"), Column("Number", numeric=True)), rows))
    if isinstance(notes, list | tuple):
        rows = tuple(Row((Cell(formats.plain(note)),)) for note in notes)
        blocks.append(Table("What stood out", (Column("In the data", wide=True),), rows))
    return Section("data", "Data", tuple(blocks))


def left_out_fact(presenter: Presenter) -> Fact | None:
    """Rows of the data that no split has, with the reasons: `15 of 295 (5.1%): ragged 12, without target 3`."""
    counts = presenter.assessment.context.get("data")
    if not isinstance(counts, Mapping):
        return None
    dropped = {
        str(name).removeprefix("dropped_").replace("_", " "): count
        for name, count in counts.items()
        if str(name).startswith("dropped_") and isinstance(count, int) and count > 0
    }
    n_read, n_dropped = counts.get("rows_read"), sum(dropped.values())
    if not n_dropped or not isinstance(n_read, int) or n_read <= 0:
        return None
    reasons = ", ".join(f"{formats.clean(name)} {count:,}" for name, count in dropped.items())
    share = n_dropped / n_read
    tone: Tone = "open" if share > _MANY_LEFT_OUT else ""
    return Fact("Rows left out", f"{n_dropped:,} of {n_read:,} ({formats.percent(share, n_read)}): {reasons}", tone)


def _what(name: str) -> str:
    """Say what a count of the data is of, such as `left out: without target`."""
    words = formats.clean(name).replace("_", " ")
    if name in _SPLITS:
        return f"examples of {words}"
    return f"left out: {words.removeprefix('dropped ')}" if name.startswith("dropped_") else words


def reproducibility_section(presenter: Presenter) -> Section | None:
    """Build the table of the context and that of the evaluation runs."""
    blocks: list[Block] = []
    flat = [
        (name, text)
        for key, value in presenter.assessment.context.items()
        for name, text in _flatten(str(key), value)
        if not name.startswith(("data.files", "data.notes"))  # section `data` has them
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
