"""The items of a split as a sheet for annotators, who must not see the targets."""

from __future__ import annotations

import csv
from pathlib import Path

from mlbaseline import store
from mlbaseline.errors import DataError, SuiteError
from mlbaseline.formats import counted
from mlbaseline.records import Example
from mlbaseline.suite import SPLITS, Split
from mlbaseline.tasks import load_task, open_suite
from mlbaseline.tasks.prompting import placeholders, value_text
from mlbaseline.untrusted import spreadsheet_cell
from mlbaseline.workflows.asset_fetcher import make_fetcher
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.evaluations.label_export import export_labels

_OWN = ("example_id", "annotator", "label", "choices")


def export(
    suite: str | Path,
    *,
    output: Path,
    split: Split = "test",
    labels: int | None = None,
    metric: str | None = None,
    tracking_uri: str | None = None,
) -> CommandResult:
    """Write the items of a split: id, empty cells for annotator and label, the choices, and what the prompt shows.

    Filled in and named as `labels` of a baseline of kind human, the sheet comes back. A field of the prompt that is
    called as one of these columns is written as `item.<name>`.
    """
    if output.suffix.lower() != ".csv":
        raise SuiteError("--output", [f"expected a name that ends in .csv, got {output.name!r}"])
    if split not in SPLITS:
        raise SuiteError("--split", [f"expected one of {', '.join(SPLITS)}, got {split!r}"])
    loaded = open_suite(suite)
    if labels is not None:
        tracker = store.connect(tracking_uri, loaded.name)
        return export_labels(loaded, tracker, metric=metric, n=labels, output=output)
    splits = load_task(loaded, make_fetcher(loaded, store.reach(tracking_uri))).splits
    if split not in splits:
        raise DataError(f"{loaded.name}: has no split {split}; there is: {', '.join(splits)}")
    fields = placeholders(loaded.task.prompt)
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*_OWN, *(f"item.{name}" if name in _OWN else name for name in fields)])
        for example in splits[split].examples:
            shown = [value_text(example.fields[name]) for name in fields]
            choices = _choices(example, loaded.task.labels)
            writer.writerow([example.id, "", "", *map(spreadsheet_cell, [choices, *shown])])
    n = len(splits[split].examples)
    return CommandResult(
        {"output": str(output), "items": n}, lambda *_: f"{counted(n, 'item')} of {split}, without targets: {output}"
    )


def _choices(example: Example, labels: tuple[str, ...]) -> str:
    """List the labels to choose from, each with its text where the two differ."""
    pairs = zip(labels, example.choices, strict=True)
    return " | ".join(label if label == choice else f"{label}: {choice}" for label, choice in pairs)
