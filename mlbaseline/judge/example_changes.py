"""Examples won and lost between two rungs, and the classes that a rung confuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mlbaseline.errors import DataError
from mlbaseline.judge.ladder import Ladder
from mlbaseline.metrics import metric_of, read_rows
from mlbaseline.records import (
    Change,
    Confusion,
    Estimand,
    ExampleAnswer,
    ExampleChange,
    ExamplePair,
    ExampleReport,
    OutputType,
)
from mlbaseline.results import SLICE, ResultTable

Array = npt.NDArray[np.float64]
MAX_PAIRS = 6
"""Of a report: pairs of rungs."""
MAX_EXAMPLES = 25
"""Of a report: examples of each pair and change."""
MAX_TEXT = 600
"""Of a report: characters of an input or an answer."""
_SHOWN = (Change.WON, Change.LOST, Change.BOTH_WRONG)


def report_examples(ladder: Ladder, inputs: Mapping[str, str]) -> ExampleReport:
    """Find what a report shows of single examples.

    Args:
        ladder: The rungs with their tables.
        inputs: example_id ─▶ what the prompt shows of it; may lack examples.

    Returns:
        The confusion matrix of every rung, and of each primary contrast at most 25 examples of a change, texts cut to
        600 characters.
    """
    pairs = []
    for candidate, baseline, metric in _questions(ladder)[:MAX_PAIRS]:
        pair = compare_examples(ladder, candidate, baseline, inputs, metric=metric, max_examples=MAX_EXAMPLES)
        pairs.append(replace(pair, examples=tuple(map(_shorten, pair.examples))))
    return ExampleReport(tuple(_confusions(ladder)), tuple(pairs))


def compare_examples(
    ladder: Ladder,
    candidate: str,
    baseline: str,
    inputs: Mapping[str, str],
    *,
    metric: str | None = None,
    max_examples: int | None = None,
) -> ExamplePair:
    """Compare two rungs example by example, each by the checkpoint that stands for it.

    Args:
        ladder: The rungs with their tables.
        candidate: A rung of the ladder.
        baseline: Another rung of the ladder.
        inputs: example_id ─▶ what the prompt shows of it; may lack examples.
        metric: A metric with a score per example; by default the first such metric of the suite.
        max_examples: Most examples of each change (`both_right` then has none). None: all, `both_right` included.

    Returns:
        Counts of every change, and the examples, the largest differences first.

    Raises:
        DataError: A rung has no evaluation, or the two have no score per example in common.
    """
    sides = [_side(ladder, name) for name in (candidate, baseline)]
    chosen = metric or _common_metric(ladder, [side.table for side in sides])
    ours, theirs = (_scores(side.table, chosen) for side in sides)
    sign = 1.0 if metric_of(chosen).higher_is_better else -1.0
    difference = sign * (ours - theirs)
    changes = _changes(chosen, difference, ours)
    order = _by_size(difference, sides, ladder.suite.task.labels)
    rows: list[int] = []
    counts = {}
    for change in Change:
        own = order[changes[order] == change.value]
        counts[change] = len(own)
        if max_examples is None or change in _SHOWN:
            rows += own[:max_examples].tolist()
    frame = sides[0].table.frame
    slices = [column for column in map(str, frame) if column.startswith(SLICE)]
    answers = [list(_answers(side, chosen, rows, ladder.suite.task.labels)) for side in sides]
    return ExamplePair(
        candidate,
        baseline,
        chosen,
        counts,
        candidate_flips=_flips(sides[0], chosen),
        baseline_flips=_flips(sides[1], chosen),
        examples=tuple(
            ExampleChange(
                example_id=str(frame["example_id"].iloc[row]),
                change=Change(changes[row]),
                difference=float(difference[row]),
                target=str(frame["target"].iloc[row]),
                input=inputs.get(str(frame["example_id"].iloc[row])),
                slices={column.removeprefix(SLICE): str(frame[column].iloc[row]) for column in slices},
                candidate=ours_said,
                baseline=theirs_said,
            )
            for row, ours_said, theirs_said in zip(rows, *answers, strict=True)
        ),
    )


@dataclass(frozen=True)
class _Side:
    """table: of the checkpoint that stands for the rung. seeds: the tables of all its seeds."""

    table: ResultTable
    seeds: tuple[ResultTable, ...]


def _side(ladder: Ladder, name: str) -> _Side:
    if name not in ladder.rungs:
        raise DataError(
            f"{ladder.suite.name}: expected a rung with a completed evaluation, got {name!r}; there is: "
            f"{', '.join(ladder.rungs)}"
        )
    return _Side(ladder.tables(name, Estimand.CHECKPOINT)[0], tuple(ladder.tables(name, Estimand.RECIPE)))


def _questions(ladder: Ladder) -> list[tuple[str, str, str]]:
    """Candidate, baseline and metric of the primary contrasts whose two sides have scores per example."""
    questions: dict[tuple[str, str, str], None] = {}
    for contrast in ladder.suite.matrix.primary:
        for baseline in contrast.over:
            if baseline not in ladder.rungs or contrast.candidate not in ladder.rungs:
                continue
            tables = [ladder.tables(name, Estimand.CHECKPOINT)[0] for name in (contrast.candidate, baseline)]
            metrics = [name for name in (contrast.metric, *ladder.suite.metrics) if _is_scored(tables, name)]
            if metrics:
                questions[contrast.candidate, baseline, metrics[0]] = None
    return list(questions)


def _is_scored(tables: Sequence[ResultTable], metric: str) -> bool:
    return all((scores := table.scores(metric)) is not None and not np.isnan(scores).all() for table in tables)


def _common_metric(ladder: Ladder, tables: Sequence[ResultTable]) -> str:
    found = next((name for name in ladder.suite.metrics if _is_scored(tables, name)), None)
    if found is None:
        raise DataError(
            f"{' and '.join(table.name for table in tables)}: no metric of the suite "
            f"({', '.join(ladder.suite.metrics)}) has a score per example on both sides. Add one, such as accuracy, to "
            "`metrics` and evaluate again."
        )
    return found


def _scores(table: ResultTable, metric: str) -> Array:
    scores = table.scores(metric)
    if scores is None:
        raise DataError(f"{table.name}: has no score of {metric} per example")
    return scores


def _changes(metric: str, difference: Array, ours: Array) -> npt.NDArray[np.str_]:
    """Classify the change of each example (n,), as text; empty where a side has no score."""
    tied = np.where(ours == _best(metric), Change.BOTH_RIGHT.value, Change.BOTH_WRONG.value)
    changes = np.select([difference > 0, difference < 0], [Change.WON.value, Change.LOST.value], default=tied)
    return np.where(np.isnan(difference), "", changes)


def _best(metric: str) -> float:
    """Give the best score that an example can have, infinite where there is none."""
    return metric_of(metric).highest if metric_of(metric).higher_is_better else metric_of(metric).lowest


def _by_size(difference: Array, sides: Sequence[_Side], labels: tuple[str, ...]) -> npt.NDArray[np.intp]:
    """Rows with the largest difference first; of equal ones, where the right answer's probability differs most."""
    ours, theirs = (_target_probability(side.table, labels) for side in sides)
    moved = np.zeros(len(difference)) if ours is None or theirs is None else np.nan_to_num(np.abs(ours - theirs))
    return np.lexsort((-moved, -np.abs(difference)))


def _target_probability(table: ResultTable, labels: tuple[str, ...]) -> Array | None:
    probabilities = _probabilities(table, labels)
    if probabilities is None:
        return None
    return probabilities[np.arange(len(probabilities)), read_rows(table, labels).target]


def _probabilities(table: ResultTable, labels: tuple[str, ...]) -> Array | None:
    """Shares of the choices (n, labels); NaN for choices that an example does not have."""
    logliks = table.logliks(labels) if labels else None
    if logliks is None:
        return None
    known = np.where(np.isnan(logliks), -np.inf, logliks)
    with np.errstate(invalid="ignore"):
        shares = np.exp(known - known.max(axis=1, keepdims=True))
    shares = shares / shares.sum(axis=1, keepdims=True)
    return np.where(np.isnan(logliks), np.nan, shares)


def _answers(side: _Side, metric: str, rows: Sequence[int], labels: tuple[str, ...]) -> Iterator[ExampleAnswer]:
    frame, probabilities = side.table.frame, _probabilities(side.table, labels)
    scores, by_seed = _scores(side.table, metric), [_scores(table, metric) for table in side.seeds]
    predictions, errors = frame["prediction"], frame["error"]
    missing_prediction, missing_error = predictions.isna(), errors.isna()
    for row in rows:
        shares = {} if probabilities is None else dict(zip(labels, probabilities[row].tolist(), strict=True))
        yield ExampleAnswer(
            prediction=None if missing_prediction.iloc[row] else str(predictions.iloc[row]),
            score=float(scores[row]),
            seed_scores=tuple(float(seed[row]) for seed in by_seed),
            probabilities={label: share for label, share in shares.items() if not np.isnan(share)},
            error=None if missing_error.iloc[row] else str(errors.iloc[row]),
        )


def _flips(side: _Side, metric: str) -> int:
    """Count the examples that some seeds get right and others do not."""
    right = np.stack([_scores(table, metric) == _best(metric) for table in side.seeds])
    return int((right.any(axis=0) & ~right.all(axis=0)).sum())


def _shorten(example: ExampleChange) -> ExampleChange:
    def cut(answer: ExampleAnswer) -> ExampleAnswer:
        return replace(answer, prediction=_cut(answer.prediction), error=_cut(answer.error))

    return replace(
        example,
        target=_cut(example.target) or "",
        input=_cut(example.input),
        candidate=cut(example.candidate),
        baseline=cut(example.baseline),
    )


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _confusions(ladder: Ladder) -> Iterator[Confusion]:
    """Count a confusion matrix of each rung that answers with labels. Choices that differ by example are no classes."""
    task = ladder.suite.task
    if task.output_type is not OutputType.MULTIPLE_CHOICE or task.columns.choices is not None:
        return
    for name in ladder.rungs:
        rows = read_rows(ladder.tables(name, Estimand.CHECKPOINT)[0], task.labels)
        if rows.prediction is None:
            continue
        counts = np.zeros((len(task.labels), len(task.labels) + 1), dtype=int)
        np.add.at(counts, (rows.target, rows.prediction), 1)  # a prediction of −1 is none of the labels: last column
        yield Confusion(name, task.labels, tuple(tuple(row) for row in counts.tolist()))
