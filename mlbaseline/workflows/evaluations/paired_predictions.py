"""Predictions that `mlflow.models.evaluate` hands to our evaluator, paired with those of a baseline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from mlbaseline import formats, store
from mlbaseline.errors import DataError, IncomparableError
from mlbaseline.judge.contrasts.two_tables import compare_tables, require_same_examples
from mlbaseline.metrics import VERSION, add_scores, measure
from mlbaseline.records import Answer, Comparison, EvaluatorOptions, Example, Scalar, Signature, TaskData, digest_of
from mlbaseline.results import SCORE, SLICE, ResultTable, tabulate
from mlbaseline.tasks.examples import content_id
from mlbaseline.tasks.prompting import value_text
from mlbaseline.values import as_text, is_missing

_METRICS: Mapping[str, tuple[str, ...]] = {
    "classifier": ("accuracy", "macro_f1"),
    "question-answering": ("exact_match", "token_f1"),
    "text-summarization": ("rouge_l",),
}
"""MLflow's type of a model ─▶ metrics where none are named."""
_OF_LABELS = ("accuracy", "macro_f1", "mcc")
_OF_TEXTS = ("exact_match", "token_f1", "contains", "rouge_l", "json_valid", "bleu", "chrf")
_SHOWN = 3


@dataclass(frozen=True)
class PredictedRows:
    """What MLflow hands over, row by row.

    Attributes:
        columns: All columns but target and prediction.
        targets: (n,) what is right.
        predictions: (n,) what the model predicted.
        model_type: MLflow's word for what the model does.
    """

    columns: pd.DataFrame
    targets: Sequence[Any]
    predictions: Sequence[Any]
    model_type: str


def pair_predictions(
    predicted: PredictedRows, options: EvaluatorOptions, *, run_id: str, tracking_uri: str | None = None
) -> Any:
    """Score predictions, pair them with those of a baseline, and log rows, metrics and differences to a run.

    Args:
        predicted: The rows.
        options: Baseline, names of columns, metrics.
        run_id: The run that is logged to.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        MLflow's `EvaluationResult`. Without a baseline it has the metrics alone.

    Raises:
        DataError: A row lacks its id, target or a prediction, or a metric cannot be computed of the rows.
        IncomparableError: The baseline is of other examples or other targets. Nothing is logged then.
        TrackingError: The server cannot be reached, or has no such baseline.
    """
    metrics = _metrics(options, predicted.model_type)
    server = store.reach(tracking_uri)
    run = store.open_evaluated_run(server, run_id)
    data = _data(predicted, options)
    labels = sorted({example.target for example in data.examples}) if set(metrics) & set(_OF_LABELS) else []
    rows = _table(run.name, data, _predictions(predicted.predictions, data, "the model"))
    baseline = own = known = None
    if options.baseline_column is not None:
        theirs = _predictions(predicted.columns[options.baseline_column], data, f"column {options.baseline_column!r}")
        baseline = own = _scored(_table(options.baseline_column, data, theirs), labels, metrics)
    elif options.baseline_run_id is not None:
        baseline = known = _rows_of_run(server, options.baseline_run_id)
        _require_shared_names(rows, known, options)
    if baseline is not None:
        require_same_examples(rows, baseline)
    if known is not None:
        rows, baseline = _with_facts(rows, known, options), _scored(known, labels, metrics)
    rows = _scored(rows, labels, metrics)
    comparisons: tuple[Comparison, ...] = ()
    if baseline is not None:
        comparisons = compare_tables(rows, baseline, metrics, labels=labels, level=options.level)
    values = {name: value for name in metrics if (value := measure(rows, labels, name)) is not None}
    return store.log_paired_rows(run, store.PairedRows(rows, values, comparisons, own, options.baseline_run_id))


def _metrics(options: EvaluatorOptions, model_type: str) -> tuple[str, ...]:
    metrics = options.metrics or _METRICS.get(model_type, ())
    known = (*_OF_LABELS, *_OF_TEXTS)
    if not metrics:
        raise DataError(
            f"evaluator_config: the model type {model_type!r} has no metrics of its own (those that have: "
            f"{', '.join(_METRICS)}). Name some as `metrics`: {', '.join(known)}"
        )
    if unknown := [name for name in metrics if name not in known]:
        raise DataError(
            f"evaluator_config.metrics: {', '.join(unknown)} cannot be computed from predictions and targets; these "
            f"can: {', '.join(known)}"
        )
    return tuple(dict.fromkeys(metrics))


def _data(predicted: PredictedRows, options: EvaluatorOptions) -> TaskData:
    """Make the examples, in the order of the rows."""
    frame = predicted.columns
    if missing := [name for name in options.columns if name not in frame]:
        raise DataError(f"data: has no column {', '.join(missing)}; it has: {', '.join(map(str, frame))}")
    ids = _ids(frame, options)
    _require_all(ids, [_is_null(value) or is_missing(value) for value in predicted.targets], "a target")
    clusters = [None] * len(ids) if options.cluster_column is None else list(frame[options.cluster_column])
    examples = tuple(
        Example(id, {}, _text(target), (), cluster=None if _is_null(cluster) else _text(cluster))
        for id, target, cluster in zip(ids, predicted.targets, clusters, strict=True)
    )
    content = sorted((example.id, example.target, example.cluster or "") for example in examples)
    return TaskData("test", examples, (), digest_of(content))


def _ids(frame: pd.DataFrame, options: EvaluatorOptions) -> list[str]:
    if options.id_column is None:
        inputs = frame[sorted(str(name) for name in frame if name not in options.columns)]
        ids = [content_id([value_text(value) for value in row]) for row in inputs.itertuples(index=False)]
        remedy = "Rows with the same inputs need names of their own: name their column as `id_column`."
    else:
        values = list(frame[options.id_column])
        if empty := [row for row, value in enumerate(values, start=1) if _is_null(value) or is_missing(value)]:
            raise DataError(
                f"data: {formats.counted(len(empty), 'row')} without {options.id_column} (first: row {empty[0]})"
            )
        ids, remedy = [_text(value) for value in values], "Each example has one row."
    if repeated := sorted(id for id, times in Counter(ids).items() if times > 1):
        n = formats.counted(len(repeated), "id")
        raise DataError(f"data: several rows have the same id, for {n} (first: {repeated[:_SHOWN]}). {remedy}")
    return ids


def _predictions(values: Iterable[Any], data: TaskData, source: str) -> list[str]:
    values = list(values)
    if len(values) != len(data.examples):
        raise DataError(f"{source}: expected {len(data.examples)} predictions, one for each row, got {len(values)}")
    _require_all([example.id for example in data.examples], map(_is_null, values), f"a prediction of {source}")
    return [_text(value) for value in values]


def _require_all(ids: Sequence[str], missing: Iterable[bool], what: str) -> None:
    without = [id for id, is_without in zip(ids, missing, strict=True) if is_without]
    if without:
        raise DataError(
            f"data: no value for {what} in {len(without)} of {len(ids)} rows (first ids: {without[:_SHOWN]}). None "
            "is left out of a comparison: give each row one (an answer that failed is an empty text), or remove the "
            "rows for both sides."
        )


def _is_null(value: Any) -> bool:
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def _text(value: Any) -> str:
    return value_text(value) if isinstance(value, list | dict) else as_text(value)


def _table(name: str, data: TaskData, predictions: Sequence[str]) -> ResultTable:
    ids = [example.id for example in data.examples]
    fields: dict[str, Scalar] = {
        "data.digest": data.digest,
        "metric.version": VERSION,
        "model.kind": store.KIND_OF_ROWS,
        "model.recorded_sha256": digest_of(sorted(zip(ids, predictions, strict=True))),
    }
    answers = [Answer(id, prediction) for id, prediction in zip(ids, predictions, strict=True)]
    return tabulate(data, answers, baseline=name, kind=store.KIND_OF_ROWS, seed=None, signature=Signature(fields))


def _rows_of_run(server: store.Server, run_id: str) -> ResultTable:
    (table,) = store.load_tables(server, [store.find_baseline(server, run_id)], cache=store.tables_cache())
    return table


def _require_shared_names(rows: ResultTable, known: ResultTable, options: EvaluatorOptions) -> None:
    if options.id_column is None and not set(rows.frame["example_id"]) & set(known.frame["example_id"]):
        raise IncomparableError(
            f"no row is an example of {known.name}: rows were named by the content of their inputs, and the run has "
            f"names such as {known.frame['example_id'].iloc[0]!r}. Name the column with these ids as `id_column`."
        )


def _with_facts(rows: ResultTable, known: ResultTable, options: EvaluatorOptions) -> ResultTable:
    """Take over what the run of the baseline knows of the examples: slices, clusters, further accepted answers."""
    facts = [name for name in known.frame if name == "references" or str(name).startswith(SLICE)]
    if options.cluster_column is None:
        facts.append("cluster")
    return replace(rows, frame=rows.frame.assign(**{str(name): known.frame[name].array for name in facts}))


def _scored(table: ResultTable, labels: Sequence[str], metrics: Sequence[str]) -> ResultTable:
    """Score a table anew: both sides are scored by the same version of each metric."""
    others = [name for name in table.frame if name not in [SCORE + metric for metric in metrics]]
    return add_scores(replace(table, frame=table.frame[others]), labels, metrics)
