"""What an evaluation run holds, and that it comes back as it was."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from mlbaseline.errors import IncomparableError
from mlbaseline.records import TaskData
from mlbaseline.store.items import Dataset, metric_name, write
from mlbaseline.store.runs import EvaluationRun, find_completed, find_evaluations
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.tracking import open_run
from mlbaseline.store.tables import load_tables
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import parse_suite
from mlbaseline.untrusted import escape_markdown
from tests.support.ladders.stored import NO_COST, Evaluate, made_up_training, make_table

WEIGHTS = "artifacts/served/weights"


def test_comes_back_as_it_was(
    tracker: Tracker, evaluate: Evaluate, suite: Suite, data: TaskData, tmp_path: Path
) -> None:
    table = evaluate("lora", 1)
    (run,) = find_evaluations(tracker)
    assert (run.baseline, run.kind, run.seed, run.split) == ("lora", "peft", 1, "test")
    assert (run.suite_digest, run.matrix_digest) == (suite.digest, suite.matrix_digest)
    assert (run.task_digest, run.signature_digest) == (data.digest, table.signature.digest)
    assert run.params == {
        "baseline.kind": "peft",
        "baseline.learning_rate": "0.001",
        "baseline.shots": "null",
        "hardware.bf16": "false",
    }
    expected = {
        "accuracy": 0.75,
        "slice/length/1/accuracy": 0.75,
        "train_s": 12.5,
        "train_cost_usd": 0.001,
        "compute_s_per_query": 0.01,
        "cost_per_query_usd": 3e-7,
        "latency_p50_s": 0.009,
        "latency_p95_s": 0.02,
        "peak_memory_bytes": 5e8,
        "error_rate": 1 / 60,
        "examples_per_s": 200.0,
        "tokens_per_s": 2200.0,
    }
    assert run.metrics == pytest.approx(expected)
    (back,) = load_tables(tracker, [run], cache=tmp_path / "cache")
    assert (back.baseline, back.kind, back.seed, back.signature) == ("lora", "peft", 1, table.signature)
    pd.testing.assert_frame_equal(back.frame, table.frame)


@pytest.mark.parametrize("name", ["examples.parquet", "signature.json"])
def test_edited_result_is_caught(
    tracker: Tracker, evaluate: Evaluate, data: TaskData, tmp_path: Path, name: str
) -> None:
    table = evaluate("lora", 1)
    (run,) = find_evaluations(tracker)
    better = make_table(data, "lora", "peft", 1, rate=0.99)
    better.save(tmp_path)
    tracker.client.log_artifact(run.run_id, str(tmp_path / name), "results")
    with pytest.raises(IncomparableError, match=rf"results/{name} of lora \(run {run.run_id}\).*edited afterwards"):
        load_tables(tracker, [run], cache=tmp_path / "cache")
    table.save(tmp_path)
    tracker.client.log_artifact(run.run_id, str(tmp_path / name), "results")
    load_tables(tracker, [run], cache=tmp_path / "cache")


def test_tables_are_fetched_once_and_a_damaged_copy_again(tracker: Tracker, evaluate: Evaluate, tmp_path: Path) -> None:
    for seed in (0, 1):
        evaluate("lora", seed)
    runs = find_evaluations(tracker)
    loaded = load_tables(tracker, runs, cache=tmp_path)
    assert [table.seed for table in loaded] == [run.seed for run in runs] == [1, 0]
    nowhere = replace(tracker, uri="http://127.0.0.1:1")
    kept = load_tables(nowhere, runs, cache=tmp_path)
    assert [table.signature for table in kept] == [table.signature for table in loaded]
    for path in tmp_path.glob("*/*"):
        path.write_bytes(b"damaged")
    again = load_tables(tracker, runs, cache=tmp_path)
    pd.testing.assert_frame_equal(again[0].frame, loaded[0].frame)


def test_run_shows_in_mlflow_what_it_is(
    tracker: Tracker, evaluate: Evaluate, suite: Suite, data: TaskData, tmp_path: Path
) -> None:
    evaluate("lora", 1)
    evaluate("majority", None)
    runs = [tracker.client.get_run(run.run_id) for run in find_evaluations(tracker)]
    assert [run.info.run_name for run in runs] == ["majority", "lora · seed 1"]
    (dataset,) = runs[1].inputs.dataset_inputs
    assert dataset.dataset.digest == data.digest[:36]
    assert {tag.key: tag.value for tag in dataset.tags} == {"mlflow.data.context": "test"}
    assert runs[0].data.tags["mlbaseline.seed"] == "none"
    copied = Path(tracker.client.download_artifacts(runs[0].info.run_id, "suite.yaml", str(tmp_path)))
    assert parse_suite(copied.read_text()).digest == suite.digest


def test_page_of_a_run_tells_what_stood_out_in_its_data(
    tracker: Tracker, evaluate: Evaluate, suite: Suite, data: TaskData
) -> None:
    notes = ("moods.csv: 3 rows without a target were left out, first in line 7 (<b>)", *map(str, range(11)))
    replace(evaluate, data=replace(data, notes=notes))("lora", 1)
    (run,) = find_evaluations(tracker)
    page = tracker.client.get_run(run.run_id).data.tags["mlflow.note.content"]
    assert page.startswith(
        f"**lora**, seed 1 (peft), of the suite {escape_markdown(suite.name)}, on 60 examples of test."
    )
    assert escape_markdown(notes[0]) in page
    assert page.endswith("- and 2 more")


def test_trained_rung_has_a_model_with_its_losses(
    tracker: Tracker, evaluate: Evaluate, data: TaskData, tmp_path: Path
) -> None:
    losses = tuple(2.0 / step for step in range(1, 1501))
    training = replace(made_up_training(tmp_path), losses=losses)
    evaluate("lora", 0, trained=training, weights=training.weights)
    (run,) = find_evaluations(tracker)
    assert run.model_id is not None
    stored = tracker.client.get_run(run.run_id)
    # mlflow 3.17 leaves runs with a model among their outputs out of its page *Evaluation runs*.
    assert not (stored.outputs and stored.outputs.model_outputs)
    assert run.metrics["trainable_params"] == 4096
    assert run.metrics["dev/accuracy"] == pytest.approx(0.7)
    history = tracker.client.get_metric_history(run.run_id, "train_loss_nats")
    assert {point.step: point.value for point in history} == pytest.approx(dict(enumerate(losses, start=1)))
    logged = tracker.client.get_logged_model(run.model_id)
    assert (logged.source_run_id, str(logged.status)) == (run.run_id, "READY")
    of_model = {metric.key: metric for metric in logged.metrics}
    assert of_model["accuracy"].dataset_digest == data.digest[:36]
    weights = [file.path for file in tracker.client.list_logged_model_artifacts(run.model_id, WEIGHTS)]
    assert weights == [f"{WEIGHTS}/adapter.safetensors"]
    top = {file.path for file in tracker.client.list_logged_model_artifacts(run.model_id)}
    assert {"MLmodel", "served_code.py", "input_example.json"} <= top
    assert not any("pkl" in path for path in top)


def test_nan_stays_nan_and_infinity_infinity(tracker: Tracker, evaluate: Evaluate) -> None:
    metrics = {"accuracy": math.nan, "nll_nats": math.inf}
    evaluate("majority", None, metrics=metrics, cost=NO_COST)
    (run,) = find_evaluations(tracker)
    assert math.isnan(run.metrics["accuracy"])
    assert run.metrics["nll_nats"] == math.inf
    assert "latency_p50_s" not in run.metrics  # not measured is absent, not zero


def test_completed_one_is_found_for_reuse(tracker: Tracker, evaluate: Evaluate) -> None:
    table = evaluate("lora", 0)
    digest = table.signature.digest
    found = find_completed(tracker, baseline="lora", seed=0, signature_digest=digest)
    assert isinstance(found, EvaluationRun)
    assert find_completed(tracker, baseline="lora", seed=1, signature_digest=digest) is None
    assert find_completed(tracker, baseline="lora", seed=None, signature_digest=digest) is None
    assert find_completed(tracker, baseline="small", seed=0, signature_digest=digest) is None
    assert find_completed(tracker, baseline="lora", seed=0, signature_digest="0" * 64) is None
    evaluate("lora", 0)
    newest = find_completed(tracker, baseline="lora", seed=0, signature_digest=digest)
    assert newest is not None
    assert newest.run_id != found.run_id


def test_metric_names_keep_slice_values_apart() -> None:
    assert metric_name("slice", "topic", "airline & co: 1", "accuracy").startswith("slice/topic/airline _ co: 1-")
    values = ["a+b", "a*b", "a/b", "a b", "", ".", "..", "[0, 1)", "x" * 300, "x" * 299, "ß", " a b", "\ud800"]
    names = [metric_name("slice", "topic", value, "accuracy") for value in values]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 250 and name.count("/") == 3 for name in names)


def test_mlflow_takes_every_metric_name(tracker: Tracker, evaluate: Evaluate) -> None:
    values = ["a+b", "a/b", "", ".", "..", "[0, 1)", "x" * 300, "ß", " a b", "100%", "日本", "🙂", "a\nb"]
    slices = {"topic": {value: {"accuracy": 0.5} for value in values}}
    evaluate("majority", None, slices=slices)
    (run,) = find_evaluations(tracker)
    assert sum(name.startswith("slice/topic/") for name in run.metrics) == len(values)


def test_several_runs_are_the_first_on_their_data_at_once(evaluate: Evaluate, tracker: Tracker) -> None:
    together = threading.Barrier(4)

    def log(number: int) -> None:
        with open_run(tracker, "evaluation", name=f"run {number}", tags={}, parent="0" * 32) as run:
            together.wait()
            write(run, Dataset("shared", evaluate.data.digest, "test", "data.csv", 60, ("text",)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(log, range(4)))
    runs = tracker.client.search_runs([tracker.experiment_id])
    assert [len(run.inputs.dataset_inputs) for run in runs] == [1] * 4
