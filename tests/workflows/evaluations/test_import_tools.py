"""Results of inspect and of MLflow's own evaluations, and annotators' labels, as evaluations of a suite."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from mlbaseline import workflows
from mlbaseline.errors import DataError, SuiteError
from mlbaseline.store import connect, find_evaluations, load_assessment, load_tables
from mlbaseline.suite.reading import load_suite
from tests.support.inspect_logs import write_log
from tests.support.ladders.cheap_ladder import CheapLadder

MODEL = "prompted: {kind: pretrained, model: {source: none}}"


def replace_in(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def log_reviews(cheap_ladder: CheapLadder, epochs: int) -> Path:
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import match
    from inspect_ai.solver import generate

    examples = cheap_ladder.test_data().examples
    samples = [Sample(id=e.id, input=str(e.fields["review"]), target=e.target) for e in examples]
    answers = ["good"] * len(samples) + ["bad"] * len(samples)
    return write_log(
        cheap_ladder.folder / "logs",
        samples,
        answers[: epochs * len(samples)],
        solver=generate(),
        scorer=match(),
        epochs=epochs,
    )


def test_a_log_of_inspect_is_compared_with_warnings(cheap_ladder: CheapLadder) -> None:
    pytest.importorskip("inspect_ai")
    cheap_ladder.write(MODEL, "also: {kind: pretrained, model: {source: none}}", candidate="prompted")
    replace_in(cheap_ladder.suite, "test: 120", "test: 20")
    workflows.evaluate(cheap_ladder.suite, baselines=["majority"], tracking_uri=cheap_ladder.uri)
    log = log_reviews(cheap_ladder, epochs=2)
    outcome = workflows.import_results(
        "inspect", log, cheap_ladder.suite, baseline="prompted", tracking_uri=cheap_ladder.uri
    )
    assert [rung["seed"] for rung in outcome.document["evaluations"]] == [0, 1]  # an epoch is a draw of its own
    share = sum(e.target == "good" for e in cheap_ladder.test_data().examples) / 20
    assert [r["metrics"]["accuracy"] for r in outcome.document["evaluations"]] == pytest.approx([share, 1 - share])
    (second,) = workflows.import_results(
        "inspect",
        log,
        cheap_ladder.suite,
        baseline="also",
        epoch=2,
        score="match=accuracy",
        tracking_uri=cheap_ladder.uri,
    ).document["evaluations"]
    assert (second["seed"], second["metrics"]["accuracy"]) == (None, pytest.approx(1 - share))
    params = cheap_ladder.run(second["run_id"]).data.params
    assert (params["imported.format"], params["imported.score"]) == ("inspect", "match=accuracy")
    compared = workflows.compare(cheap_ladder.suite, tracking_uri=cheap_ladder.uri).document
    assessment = load_assessment(connect(cheap_ladder.uri, "reviews"), compared["comparison_run_id"])
    assert {mismatch.severity for mismatch in assessment.mismatches} == {"warn"}
    # Two unknown prompts are not known to be equal; the engine is one and known.
    fields = {mismatch.field for mismatch in assessment.mismatches}
    assert fields == {"engine.precision", "metric.version", "prompt.chat_template", "prompt.template"}
    with pytest.raises(DataError, match="has no epoch 3; it has: 1, 2"):
        workflows.import_results(
            "inspect", log, cheap_ladder.suite, baseline="also", epoch=3, tracking_uri=cheap_ladder.uri
        )
    replace_in(cheap_ladder.suite, "seeds: [0, 1]", "seeds: [0]")
    with pytest.raises(DataError, match="has 2 epochs, reviews has 1 seeds"):
        workflows.import_results("inspect", log, cheap_ladder.suite, baseline="also", tracking_uri=cheap_ladder.uri)


def test_a_run_of_mlflow_by_content_or_id(cheap_ladder: CheapLadder) -> None:
    cheap_ladder.write(MODEL)
    examples = cheap_ladder.test_data().examples
    client = mlflow.MlflowClient(cheap_ladder.uri)
    run = client.create_run(client.create_experiment("others"))
    columns = ["review", "key", "predictions", "right/score"]
    data = [[e.fields["review"], e.id, "good", float(e.target == "good")] for e in examples]
    client.log_text(run.info.run_id, json.dumps({"columns": columns, "data": data}), "eval_results_table.json")
    share = sum(e.target == "good" for e in examples) / 120
    for options in ({}, {"id_field": "key"}, {"score": "right"}):
        (rung,) = workflows.import_results(
            "mlflow", run.info.run_id, cheap_ladder.suite, baseline="prompted", tracking_uri=cheap_ladder.uri, **options
        ).document["evaluations"]
        assert rung["metrics"]["accuracy"] == pytest.approx(share)
    tracker = connect(cheap_ladder.uri, load_suite(cheap_ladder.suite).name)
    tables = load_tables(tracker, find_evaluations(tracker), cache=cheap_ladder.folder / "tables")
    assert {table.signature.fields["model.mlflow_run_id"] for table in tables} == {run.info.run_id}
    with pytest.raises(DataError, match="no field 'nr'; they have: review, key"):
        workflows.import_results(
            "mlflow",
            run.info.run_id,
            cheap_ladder.suite,
            baseline="prompted",
            id_field="nr",
            tracking_uri=cheap_ladder.uri,
        )
    with pytest.raises(SuiteError, match="--epoch goes with inspect and nemo, not with mlflow"):
        workflows.import_results(
            "mlflow", "x", cheap_ladder.suite, baseline="prompted", epoch=1, tracking_uri=cheap_ladder.uri
        )


def test_a_run_of_genai_evaluate_stands_beside_our_rungs(
    cheap_ladder: CheapLadder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # mlflow 3.17: on a SQLite file, several workers wait for each other's connections and lose traces.
    monkeypatch.setenv("MLFLOW_GENAI_EVAL_MAX_WORKERS", "1")
    cheap_ladder.write(MODEL, candidate="prompted")
    replace_in(cheap_ladder.suite, "test: 120", "test: 20")
    workflows.evaluate(cheap_ladder.suite, baselines=["majority"], tracking_uri=cheap_ladder.uri)
    examples = cheap_ladder.test_data().examples

    @mlflow.genai.scorer
    def right(outputs: str, expectations: dict[str, str]) -> bool:
        return outputs == expectations["expected_response"]

    mlflow.set_tracking_uri(cheap_ladder.uri)
    mlflow.set_experiment("judged")
    data = [
        {
            "inputs": {"review": str(e.fields["review"])},
            "outputs": e.target if position % 4 else "neither",
            "expectations": {"expected_response": e.target},
        }
        for position, e in enumerate(examples)
    ]
    run_id = str(mlflow.genai.evaluate(data=data, scorers=[right]).run_id)
    for options in ({}, {"score": "right"}):
        (rung,) = workflows.import_results(
            "mlflow", run_id, cheap_ladder.suite, baseline="prompted", tracking_uri=cheap_ladder.uri, **options
        ).document["evaluations"]
        assert rung["metrics"]["accuracy"] == 0.75
    compared = workflows.compare(cheap_ladder.suite, tracking_uri=cheap_ladder.uri).document
    (row,) = [row for row in compared["comparisons"] if row["role"] == "primary"]
    assert (row["candidate"], row["n"]) == ("prompted", 20)


def test_what_mlflow_compared_itself_stands_beside_our_contrast(cheap_ladder: CheapLadder) -> None:
    names = "prompted", "earlier"
    cheap_ladder.write(*(f"{name}: {{kind: pretrained, recorded: imported}}" for name in names), candidate="prompted")
    replace_in(cheap_ladder.suite, "over: [majority]", "over: [earlier]")
    examples = cheap_ladder.test_data().examples
    client = mlflow.MlflowClient(cheap_ladder.uri)
    experiment = client.create_experiment("others")
    ids = {}
    for name, n_right in (("earlier", 80), ("prompted", 95)):
        ids[name] = client.create_run(experiment).info.run_id
        data = [[e.id, e.target, float(position < n_right)] for position, e in enumerate(examples)]
        table = {"columns": ["key", "predictions", "right/score"], "data": data}
        client.log_text(ids[name], json.dumps(table), "eval_results_table.json")
    for name, run_id in ids.items():
        workflows.import_results(
            "mlflow",
            run_id,
            cheap_ladder.suite,
            baseline=name,
            id_field="key",
            score="right",
            tracking_uri=cheap_ladder.uri,
        )
    # As mlflow 3.18 logs it; `compare_evaluations` is not in 3.17.
    key = f"compare/{ids['earlier'][:8]}"
    found = {"diff": 0.125, "ci_low": 0.07, "ci_high": 0.19, "p_value": 0.0003, "effect_size": 0.4, "n_paired": 119.0}
    for statistic, value in found.items():
        client.log_metric(ids["prompted"], f"{key}/right/{statistic}", value)
    client.log_dict(ids["prompted"], {"baseline_run_id": ids["earlier"]}, f"{key}.json")
    client.log_dict(ids["prompted"], {"baseline_run_id": "another run"}, "compare/anotherr.json")
    (row,) = workflows.compare(cheap_ladder.suite, tracking_uri=cheap_ladder.uri).document["by_mlflow"]
    who = {"candidate": "prompted", "baseline": "earlier", "scorer": "right", "metric": "accuracy"}
    numbers = {"n": 119, "delta": 0.125, "low": 0.07, "high": 0.19, "p_value": 0.0003}
    assert row == {**who, "is_same_score": True, **numbers}
    client.log_text(ids["prompted"], "[]", f"{key}.json")
    assert workflows.compare(cheap_ladder.suite, tracking_uri=cheap_ladder.uri).document["by_mlflow"] == []


def test_records_of_nemo_evaluator_stand_beside_our_rungs(cheap_ladder: CheapLadder) -> None:
    cheap_ladder.write(MODEL)
    replace_in(cheap_ladder.suite, "test: 120", "test: 20")
    examples = cheap_ladder.test_data().examples
    records = [
        {"problem_idx": e.id, "reward": float(e.target == "good"), "repeat": repeat, "extracted_answer": "good"}
        for e in examples
        for repeat in (0, 1)
    ]
    path = cheap_ladder.folder / "results.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    share = sum(e.target == "good" for e in examples) / 20
    for options, seeds in (({}, [0, 1]), ({"score": "reward", "epoch": 2}, [None])):
        rungs = workflows.import_results(
            "nemo", path, cheap_ladder.suite, baseline="prompted", tracking_uri=cheap_ladder.uri, **options
        ).document["evaluations"]
        assert [(rung["seed"], rung["metrics"]["accuracy"]) for rung in rungs] == [(s, share) for s in seeds]


def test_the_sheet_comes_back_through_import(cheap_ladder: CheapLadder) -> None:
    workflows.export(cheap_ladder.suite, output=cheap_ladder.folder / "sheet.csv", tracking_uri=cheap_ladder.uri)
    sheet = pd.read_csv(cheap_ladder.folder / "sheet.csv", dtype=str, keep_default_na=False)
    targets = {e.id: e.target for e in cheap_ladder.test_data().examples}
    ann = sheet.assign(annotator="ann", label=[targets[id] for id in sheet["example_id"]])
    ben = sheet.assign(annotator="ben", label="good")
    pd.concat([ann, ben, sheet.head(3)]).to_csv(cheap_ladder.folder / "filled.csv", index=False)
    cheap_ladder.write("people: {kind: human, labels: filled.csv}", candidate="people")
    (imported,) = workflows.import_results(
        "csv", cheap_ladder.folder / "filled.csv", cheap_ladder.suite, baseline="people", tracking_uri=cheap_ladder.uri
    ).document["evaluations"]
    share = sum(target == "good" for target in targets.values()) / 120
    metrics = cheap_ladder.run(imported["run_id"]).data.metrics
    assert imported["metrics"]["accuracy"] == pytest.approx((1 + share) / 2)
    assert (metrics["human/annotators"], metrics["human/annotator/ann/accuracy"]) == (2, 1.0)
    assert metrics["human/annotator/ben/accuracy"] == pytest.approx(share)
    # The suite's own way to the same file finds it done.
    (again,) = workflows.evaluate(cheap_ladder.suite, kind="human", tracking_uri=cheap_ladder.uri).document[
        "evaluations"
    ]
    assert (again["run_id"], again["reused"]) == (imported["run_id"], True)
    for wrong, message in (("nobody", "labels that are none of"), ("good", "label an example twice")):
        rows = sheet.assign(annotator="ann", label=wrong)
        pd.concat([rows, rows]).to_csv(cheap_ladder.folder / "filled.csv", index=False)
        with pytest.raises(DataError, match=message):
            workflows.import_results(
                "csv",
                cheap_ladder.folder / "filled.csv",
                cheap_ladder.suite,
                baseline="people",
                tracking_uri=cheap_ladder.uri,
            )
