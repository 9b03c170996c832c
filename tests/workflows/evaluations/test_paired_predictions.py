"""`mlflow.models.evaluate` with our evaluator, found by its entry point, on a real store."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.models import EvaluationResult
from mlflow.models.evaluation.evaluator_registry import _model_evaluation_registry

from mlbaseline import workflows
from mlbaseline.errors import DataError, IncomparableError, TrackingError
from mlbaseline.stats import compare_paired
from mlbaseline.store import connect, find_evaluations
from tests.support.ladders.cheap_ladder import CheapLadder
from tests.support.processes.installed import entry_points

GROUP = "mlflow.model_evaluator"


@pytest.fixture
def ladder(cheap_ladder: CheapLadder) -> Iterator[CheapLadder]:
    """MLflow as it is with the package installed, and on the store of the ladder."""
    for name, value in entry_points(GROUP).items():
        _model_evaluation_registry.register(name, EntryPoint(name, value, GROUP).load())
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(cheap_ladder.uri)
    mlflow.create_experiment("predictions", artifact_location=str(cheap_ladder.folder / "artifacts"))
    mlflow.set_experiment("predictions")
    yield cheap_ladder
    mlflow.set_tracking_uri(before)
    for name in entry_points(GROUP):
        del _model_evaluation_registry._registry[name]


def evaluate(data: pd.DataFrame, *, model: Any = None, **config: Any) -> EvaluationResult:
    with mlflow.start_run():
        return mlflow.models.evaluate(
            model,
            data,
            targets="truth",
            predictions=None if model else "said",
            model_type="classifier",
            evaluators="mlbaseline",
            evaluator_config={"id_column": "key", **config},
        )


def rows(right: list[bool]) -> pd.DataFrame:
    truth = ["good", "bad"] * (len(right) // 2)
    other = {"good": "bad", "bad": "good"}
    said = [target if is_right else other[target] for target, is_right in zip(truth, right, strict=True)]
    keys = [f"e{number:02}" for number in range(len(right))]
    return pd.DataFrame({"key": keys, "text": keys, "truth": truth, "said": said}).sample(frac=1.0, random_state=1)


OLD, NEW = [True, False, False, False] * 10, [False, True, True, False] * 10


def test_predictions_are_paired_with_those_of_an_earlier_run(ladder: CheapLadder) -> None:
    old = evaluate(rows(OLD))
    assert set(old.metrics) == {"accuracy", "macro_f1"}
    new = evaluate(rows(NEW), baseline_run_id=old.run_id)
    run = ladder.run(str(new.run_id))
    expected = compare_paired([float(one) for one in NEW], [float(one) for one in OLD])
    logged = run.data.metrics
    assert logged["accuracy"] == 0.5 and logged["baseline/accuracy"] == 0.25
    names = ("low", "high", "p_value", "n", "gained", "lost")
    assert [logged["delta/accuracy"], *(logged[f"delta/accuracy/{name}"] for name in names)] == pytest.approx(
        [0.25, expected.low, expected.high, expected.p_value, 40, 20, 10]
    )
    assert logged["delta/macro_f1/low"] < logged["delta/macro_f1"] and "delta/macro_f1/gained" not in logged
    assert new.metrics == pytest.approx(logged)
    table = pd.read_parquet(mlflow.artifacts.download_artifacts(new.artifacts["examples"].uri))
    assert list(table["example_id"]) == sorted(table["example_id"])
    assert table["score.accuracy"].sum() == 20
    comparisons = pd.read_parquet(mlflow.artifacts.download_artifacts(new.artifacts["comparisons"].uri))
    assert list(comparisons["metric"]) == ["accuracy", "macro_f1"]
    assert run.data.tags["mlbaseline.baseline_run_id"] == old.run_id and "mlbaseline.kind" not in run.data.tags


def test_a_model_is_paired_with_a_column(ladder: CheapLadder) -> None:
    seen: list[str] = []
    said = dict(zip(rows(NEW)["key"], rows(NEW)["said"], strict=True))

    def model(inputs: pd.DataFrame) -> list[str]:
        seen.extend(inputs.columns)
        return [said[text] for text in inputs["text"]]

    data = rows(OLD).rename(columns={"said": "production"})
    result = evaluate(data, model=model, baseline_column="production", metrics=["exact_match"])
    assert set(seen) == {"text"}  # neither the ids nor the answers of the baseline
    assert (result.metrics["delta/exact_match/gained"], result.metrics["delta/exact_match/lost"]) == (20, 10)
    kept = mlflow.artifacts.download_artifacts(run_id=result.run_id, artifact_path="baseline/examples.parquet")
    assert pd.read_parquet(kept)["score.exact_match"].sum() == 10


def test_predictions_are_paired_with_an_evaluation_of_a_suite(ladder: CheapLadder) -> None:
    ladder.edit("slices: {}", "slices: {topic: {column: review, patterns: {food: soup|bread|cheese}, default: other}}")
    evaluations = workflows.evaluate(ladder.suite, tracking_uri=ladder.uri).document["evaluations"]
    mlflow.set_tracking_uri(ladder.uri)
    examples = ladder.test_data().examples
    data = pd.DataFrame({"review": [e.fields["review"] for e in examples], "truth": [e.target for e in examples]})
    data["said"] = data["truth"]
    majority = evaluations[0]
    # Named by its content, as the suite names it.
    result = evaluate(data, id_column=None, baseline_run_id=majority["run_id"])
    assert result.metrics["baseline/accuracy"] == pytest.approx(majority["metrics"]["accuracy"])
    assert result.metrics["delta/accuracy/lost"] == 0
    table = pd.read_parquet(mlflow.artifacts.download_artifacts(result.artifacts["examples"].uri))
    assert set(table["slice.topic"]) == {"food", "other"}
    counted = find_evaluations(connect(ladder.uri, "reviews"))
    assert result.run_id not in [run.run_id for run in counted]


def test_what_does_not_pair_is_an_error_and_logs_nothing(ladder: CheapLadder) -> None:
    old = evaluate(rows(OLD)).run_id
    new = rows(NEW)
    for change, expected in (
        (new.iloc[1:], "1 only in the second"),
        (new.assign(key="x" + new["key"]), "40 only in the first"),
        (new.assign(truth="good"), "differ in the target of 20 of 40 examples"),
        (new.assign(key="x"), "several rows have the same id, for 1 id "),
        (new.assign(said=[None, *new["said"][1:]]), "no value for a prediction of the model in 1 of 40 rows"),
        (new.assign(truth=[None, *new["truth"][1:]]), "no value for a target.* in 1 of 40 rows"),
    ):
        with pytest.raises((IncomparableError, DataError), match=expected):
            evaluate(change, baseline_run_id=old)
        (last,) = mlflow.search_runs(max_results=1, output_format="list")
        assert last.info.status == "FAILED" and not last.data.metrics
    with pytest.raises(IncomparableError, match="named by the content of their inputs"):
        evaluate(new[["text", "truth", "said"]], id_column=None, baseline_run_id=old)
    with pytest.raises(DataError, match="no value for a prediction of column 'before' in 1 of 40 rows"):
        evaluate(new.assign(before=[None, *new["said"][1:]]), baseline_column="before")


def test_options_and_runs_that_are_wrong_are_told(ladder: CheapLadder) -> None:
    new = rows(NEW)
    with mlflow.start_run() as plain:
        pass
    for config, expected in (
        ({"baseline_run": "x"}, "baseline_run: Unexpected keyword argument"),
        ({"baseline_column": "text", "baseline_run_id": "x"}, "got both"),
        ({"baseline_column": "nothing"}, "has no column nothing"),
        ({"metrics": ["nll_nats"]}, "nll_nats cannot be computed from predictions"),
        ({"level": 95}, "expected a level between 0.5 and 1"),
        ({"baseline_run_id": plain.info.run_id}, "expected .* to be an evaluation of a suite"),
    ):
        with pytest.raises((DataError, TrackingError), match=expected):
            evaluate(new, **config)
    with mlflow.start_run(), pytest.raises(TrackingError, match="holds the rows of an evaluation already"):
        for _ in range(2):
            mlflow.models.evaluate(
                data=new,
                targets="truth",
                predictions="said",
                model_type="classifier",
                evaluators="mlbaseline",
                evaluator_config={"id_column": "key"},
            )


def test_it_stays_out_of_evaluations_that_do_not_name_it(ladder: CheapLadder) -> None:
    right = mlflow.models.make_metric(
        eval_fn=lambda predictions, targets, metrics: mlflow.metrics.MetricValue(aggregate_results={"right": 0.5}),
        greater_is_better=True,
        name="right",
    )
    data = rows(NEW)[["text", "truth", "said"]]
    with mlflow.start_run() as run:
        mlflow.models.evaluate(data=data, targets="truth", predictions="said", extra_metrics=[right])
    logged = ladder.run(run.info.run_id).data
    assert list(logged.metrics) == ["right"] and not [name for name in logged.tags if "mlbaseline" in name]
