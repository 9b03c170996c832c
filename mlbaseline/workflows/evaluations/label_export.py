"""Answers as a sheet for people, who decide by a judged metric: a random subset, and not a word of who wrote what."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlbaseline import store
from mlbaseline.errors import SuiteError
from mlbaseline.judge.contrasts.judged import reference_answers
from mlbaseline.judge.ladder import Ladder
from mlbaseline.metrics.labels import answers_of, draw_order, item_of, score_without_judge
from mlbaseline.models.label_sheet import ANNOTATOR, DRAWN, ITEM, LABEL, OF
from mlbaseline.records import Estimand, Example
from mlbaseline.suite import JudgedMetric, Suite
from mlbaseline.tasks import load_task
from mlbaseline.tasks.prompting import render
from mlbaseline.untrusted import spreadsheet_cell
from mlbaseline.workflows.asset_fetcher import make_fetcher
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.comparisons.derivation import Derivation

log = logging.getLogger("mlbaseline")


@dataclass(frozen=True)
class _SheetRow:
    """One answer, or two that are compared. texts: question, right answer where it is shown, and the answers."""

    item: str
    texts: tuple[str, ...]


def export_labels(suite: Suite, tracker: store.Tracker, *, metric: str | None, n: int, output: Path) -> CommandResult:
    """Write the answers to n drawn examples as a sheet.

    Args:
        suite: With a judged metric.
        tracker: Has the completed evaluations.
        metric: Name of the judged metric; by default the only one.
        n: Number of examples; all where there are fewer.
        output: CSV file. One that exists is not overwritten: it may hold labels.

    Raises:
        SuiteError: There is no such metric, or the file exists.
        DataError: A rung of the matrix was never evaluated.
    """
    name = _chosen(suite, metric)
    if output.exists():
        raise SuiteError("--output", [f"{output} exists, and may hold labels; choose another name"])
    task = load_task(suite, make_fetcher(suite, tracker))
    ladder = Derivation(suite, tracker, task=task).ladder()
    examples = {example.id: example for example in task.splits["test"].examples}
    drawn = draw_order(list(examples), data_digest=task.splits["test"].digest, metric=name)[:n]
    rows = {row.item: row for id in drawn for row in _rows(ladder, name, examples[id])}
    spec = suite.judged[name]
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([ITEM, ANNOTATOR, LABEL, "options", *_titles(spec), "rubric", DRAWN, OF])
        options, rubric = " | ".join(spec.options), spreadsheet_cell(spec.rubric or "")
        for item in sorted(rows):  # a digest: no order tells who wrote what, or which answers belong together
            texts = map(spreadsheet_cell, rows[item].texts)
            writer.writerow([item, "", "", options, *texts, rubric, len(drawn), len(examples)])
    document = {
        "output": str(output),
        "metric": name,
        "items": len(rows),
        "examples": len(drawn),
        "of": len(examples),
        "inclusion_probability": len(drawn) / len(examples),
        "rungs": _sides(ladder, name),
    }
    return CommandResult(
        document,
        lambda *_: (
            f"{len(rows):,} answers to {len(drawn):,} of {len(examples):,} examples, drawn at random: {output}\n"
            f"Fill in the column `label` ({options}), then name the file as `labels` of the metric {name} in the suite"
        ),
    )


def _chosen(suite: Suite, metric: str | None) -> str:
    names = list(suite.judged)
    if metric is None and len(names) == 1:
        return names[0]
    if metric not in names:
        came = "none named" if metric is None else repr(metric)
        raise SuiteError(
            "--metric", [f"expected a metric that a judge scores, got {came}; there is: {', '.join(names) or 'none'}"]
        )
    return metric


def _sides(ladder: Ladder, metric: str) -> list[str]:
    """List the rungs that the matrix compares by the metric; all of them where it compares none."""
    matrix = ladder.suite.matrix
    contrasts = [each for each in (*matrix.primary, *matrix.guardrails) if each.metric == metric]
    named = dict.fromkeys(name for each in contrasts for name in (each.candidate, *each.over))
    return [name for name in ladder.rungs if name in named or not named]


def _rows(ladder: Ladder, metric: str, example: Example) -> Iterator[_SheetRow]:
    spec, against = ladder.suite.judged[metric], reference_answers(ladder, metric)
    for name in _sides(ladder, metric):
        answer = _answers(ladder, name).get(example.id)
        other = None if against is None else against.get(example.id)
        if answer is None or score_without_judge(answer, other, is_pair=against is not None) is not None:
            continue
        item = item_of(metric, example.id, answer, other)
        shown = [answer] if other is None else [other, answer] if item.is_swapped else [answer, other]
        target = [example.target] if spec.show_target else []
        yield _SheetRow(item.id, (render(ladder.suite.task.prompt, example.fields), *target, *shown))


def _answers(ladder: Ladder, name: str) -> dict[str, str | None]:
    return answers_of(ladder.tables(name, Estimand.CHECKPOINT)[0])


def _titles(spec: JudgedMetric) -> list[str]:
    target = ["right_answer"] if spec.show_target else []
    return ["question", *target, *(["answer"] if spec.against is None else ["answer_A", "answer_B"])]
