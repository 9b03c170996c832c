"""What an evaluation run holds, and that it comes back as it was."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from mlbaseline.records import TaskData, Trained
from mlbaseline.results import ResultTable
from mlbaseline.store.evaluations import log_evaluation, open_evaluation
from mlbaseline.store.items import LoggedModel, metric_name
from mlbaseline.store.reading import EvaluationRun, find_completed, find_evaluations, load_tables
from mlbaseline.store.tracking import Tracker
from mlbaseline.suite import Suite, parse_suite
from tests.store.parts import COST, NO_COST, make_table


def evaluate(  # noqa: PLR0917
    tracker: Tracker, suite: Suite, text: str, data: TaskData, /, baseline: str, seed: int | None, **more: object
) -> ResultTable:
    """An evaluation as workflows do it."""
    table = make_table(data, baseline, suite.baselines[baseline].kind, seed)
    params = {
        "baseline.kind": table.kind,
        "baseline.learning_rate": 0.001,
        "baseline.shots": None,
        "hardware.bf16": False,
    }
    with open_evaluation(
        tracker, suite, baseline=baseline, seed=seed, signature=table.signature, data=data, params=params
    ) as run:
        details: dict[str, object] = {
            "metrics": {"accuracy": 0.75, "ece": None},
            "slices": {"length": {"1": {"accuracy": 0.75}}},
            "cost": COST,
            **more,
        }
        log_evaluation(run, table, suite=suite, suite_text=text, data=data, **details)  # type: ignore[arg-type]
    return table


def test_comes_back_as_it_was(tracker: Tracker, suite: Suite, suite_text: str, data: TaskData, tmp_path: Path) -> None:
    table = evaluate(tracker, suite, suite_text, data, "lora", 1)
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


def test_run_shows_in_mlflow_what_it_is(
    tracker: Tracker, suite: Suite, suite_text: str, data: TaskData, tmp_path: Path
) -> None:
    evaluate(tracker, suite, suite_text, data, "lora", 1)
    evaluate(tracker, suite, suite_text, data, "majority", None)
    runs = [tracker.client.get_run(run.run_id) for run in find_evaluations(tracker)]
    assert [run.info.run_name for run in runs] == ["majority", "lora · seed 1"]
    (dataset,) = runs[1].inputs.dataset_inputs
    assert dataset.dataset.digest == data.digest[:36]
    assert {tag.key: tag.value for tag in dataset.tags} == {"mlflow.data.context": "test"}
    assert runs[0].data.tags["mlbaseline.seed"] == "none"
    copied = Path(tracker.client.download_artifacts(runs[0].info.run_id, "suite.yaml", str(tmp_path)))
    assert parse_suite(copied.read_text()).digest == suite.digest


def test_trained_rung_has_a_model_with_its_losses(
    tracker: Tracker, suite: Suite, suite_text: str, data: TaskData, tmp_path: Path
) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "adapter.safetensors").write_bytes(b"weights")
    losses = tuple(2.0 / step for step in range(1, 1501))
    trained = Trained(weights, "f" * 64, 12.5, 4096, losses, {"accuracy": 0.7}, 2)
    model = LoggedModel("lora", "peft", {"weights": weights}, params={"rank": 16})
    evaluate(tracker, suite, suite_text, data, "lora", 0, trained=trained, model=model)
    (run,) = find_evaluations(tracker)
    assert run.model_id is not None
    assert run.metrics["trainable_params"] == 4096
    assert run.metrics["dev/accuracy"] == pytest.approx(0.7)
    history = tracker.client.get_metric_history(run.run_id, "train_loss_nats")
    assert {point.step: point.value for point in history} == pytest.approx(dict(enumerate(losses, start=1)))
    logged = tracker.client.get_logged_model(run.model_id)
    assert (logged.source_run_id, str(logged.status)) == (run.run_id, "READY")
    of_model = {metric.key: metric for metric in logged.metrics}
    assert of_model["accuracy"].dataset_digest == data.digest[:36]
    files = [file.path for file in tracker.client.list_logged_model_artifacts(run.model_id, "weights")]
    assert files == ["weights/adapter.safetensors"]


def test_nan_stays_nan_and_infinity_infinity(tracker: Tracker, suite: Suite, suite_text: str, data: TaskData) -> None:
    metrics = {"accuracy": math.nan, "nll_nats": math.inf}
    evaluate(tracker, suite, suite_text, data, "majority", None, metrics=metrics, cost=NO_COST)
    (run,) = find_evaluations(tracker)
    assert math.isnan(run.metrics["accuracy"])
    assert run.metrics["nll_nats"] == math.inf
    assert "latency_p50_s" not in run.metrics  # not measured is absent, not zero


def test_completed_one_is_found_for_reuse(tracker: Tracker, suite: Suite, suite_text: str, data: TaskData) -> None:
    table = evaluate(tracker, suite, suite_text, data, "lora", 0)
    digest = table.signature.digest
    found = find_completed(tracker, baseline="lora", seed=0, signature_digest=digest)
    assert isinstance(found, EvaluationRun)
    assert find_completed(tracker, baseline="lora", seed=1, signature_digest=digest) is None
    assert find_completed(tracker, baseline="lora", seed=None, signature_digest=digest) is None
    assert find_completed(tracker, baseline="small", seed=0, signature_digest=digest) is None
    assert find_completed(tracker, baseline="lora", seed=0, signature_digest="0" * 64) is None
    evaluate(tracker, suite, suite_text, data, "lora", 0)
    newest = find_completed(tracker, baseline="lora", seed=0, signature_digest=digest)
    assert newest is not None
    assert newest.run_id != found.run_id


def test_metric_names_keep_slice_values_apart() -> None:
    assert metric_name("slice", "topic", "airline & co: 1", "accuracy").startswith("slice/topic/airline _ co: 1-")
    values = ["a+b", "a*b", "a/b", "a b", "", ".", "..", "[0, 1)", "x" * 300, "x" * 299, "ß", " a b", "\ud800"]
    names = [metric_name("slice", "topic", value, "accuracy") for value in values]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 250 and name.count("/") == 3 for name in names)


def test_mlflow_takes_every_metric_name(tracker: Tracker, suite: Suite, suite_text: str, data: TaskData) -> None:
    values = ["a+b", "a/b", "", ".", "..", "[0, 1)", "x" * 300, "ß", " a b", "100%", "日本", "🙂", "a\nb"]
    slices = {"topic": {value: {"accuracy": 0.5} for value in values}}
    evaluate(tracker, suite, suite_text, data, "majority", None, slices=slices)
    (run,) = find_evaluations(tracker)
    assert sum(name.startswith("slice/topic/") for name in run.metrics) == len(values)
