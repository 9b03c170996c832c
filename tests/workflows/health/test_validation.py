"""What a ladder will take is told before it runs, and nothing of it is left behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mlbaseline.engine.pace import SecondsRange
from mlbaseline.errors import SuiteError
from mlbaseline.workflows.evaluations.evaluation import evaluate
from mlbaseline.workflows.health.forecast import _usd, time_text
from mlbaseline.workflows.health.validation import validate
from tests.support.ladders.suites import fill, rows_suite
from tests.support.ladders.written_data import rows_of, write_jsonl

SUITE = rows_suite(
    """
evaluation: {precision: fp32, latency_sample: 3}
seeds: [0, 1]
cost: {usd_per_hour: {cpu: 3600}, usd_per_million_tokens: {remote: {input: 1.0, output: 2.0}}}
baselines:
  majority: {kind: trivial, strategy: majority}
  small: {kind: pretrained, model: MODEL}
  lora: {kind: peft, method: lora, base: small, epochs: 1, batch_size: 4, learning_rate: 1.0e-3}
  remote:
    kind: production
    endpoint: {url: "http://127.0.0.1:9", protocol: chat}
""",
    split="{train: 8, dev: 4, test: 10, seed: 1}",
)


@pytest.fixture
def suite(tiny_model: Path, empty_database: Path, tmp_path: Path, own_cache: Path) -> Path:
    write_jsonl(tmp_path / "data.jsonl", rows_of(40))
    (tmp_path / "suite.yaml").write_text(fill(SUITE, model=tiny_model), encoding="utf-8")
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path / "suite.yaml"


def test_the_ladder_is_timed_and_nothing_is_left(suite: Path, own_cache: Path) -> None:
    server = f"sqlite:///{suite.parent / 'mlflow.db'}"
    outcome = validate(suite, tracking_uri=server)
    rungs = {(rung["baseline"], rung["seed"]): rung for rung in outcome.document["rungs"]}
    assert [*rungs] == [("majority", None), ("small", None), ("lora", 0), ("lora", 1), ("remote", None)]
    first, second = rungs["lora", 0], rungs["lora", 1]
    assert first["train_s"]["low"] >= second["train_s"]["low"] > 0
    assert second["answer_s"] == rungs["small", None]["answer_s"], "an adapter answers as its base does"
    total = sum(rung["train_s"]["high"] + rung["answer_s"]["high"] for rung in rungs.values())
    assert outcome.document["total_s"]["high"] == pytest.approx(total)
    # A USD a second, and between 3 and 5 characters a token for the endpoint.
    assert rungs["small", None]["usd"][1] == pytest.approx(rungs["small", None]["answer_s"]["high"])
    low, high = rungs["remote", None]["usd"]
    assert 10 * 6 / 5e6 <= low < 10 * 8 / 3e6 < high == pytest.approx(10 * 7 / 3e6 + 10 * 32 * 2e-6, rel=0.2)
    assert "`last_layers: 1` would train in" in first["note"]

    small_test = "the split test has 10 examples; with fewer than 20 hardly any difference shows"
    assert outcome.document["data_notes"] == [small_test]
    assert outcome.text(False, 100).endswith(f"data: {small_test}")

    client = MlflowClient(server)
    (experiment,) = client.search_experiments(filter_string="name = 't'")
    assert client.search_runs([experiment.experiment_id]) == []
    kept = {path.relative_to(own_cache).parts[0] for path in own_cache.rglob("*") if path.is_file()}
    assert not kept & {"results", "trained"}
    text = outcome.text(False, 40)
    assert max(map(len, text.splitlines()[:6])) <= 40
    assert "USD" in outcome.text(False, 120).splitlines()[0]


def test_a_training_by_several_processes_is_said_to_be_timed_with_one(suite: Path) -> None:
    together = "method: lora, training: {launcher: torchrun, processes: 2, strategy: ddp}"
    suite.write_text(suite.read_text("utf-8").replace("method: lora", together), encoding="utf-8")
    server = f"sqlite:///{suite.parent / 'mlflow.db'}"
    rungs = validate(suite, baselines=["lora"], tracking_uri=server).document["rungs"]
    assert rungs[0]["train_s"]["low"] > 0
    assert rungs[0]["note"].startswith("training was timed with one process; `training.processes: 2` shares its time")


def test_what_is_done_takes_no_time(suite: Path) -> None:
    server = f"sqlite:///{suite.parent / 'mlflow.db'}"
    evaluate(suite, baselines=["majority", "lora"], seeds=[0], tracking_uri=server)
    document = validate(suite, baselines=["majority", "lora"], tracking_uri=server).document
    states = {(rung["baseline"], rung["seed"]): rung["state"] for rung in document["rungs"]}
    assert states == {("majority", None): "reused", ("lora", 0): "reused", ("lora", 1): "new"}
    assert document["rungs"][1]["answer_s"] == {"low": 0.0, "high": 0.0}


def test_an_unknown_baseline_is_an_error(suite: Path) -> None:
    with pytest.raises(SuiteError, match="lara"):
        validate(suite, baselines=["lara"], tracking_uri=f"sqlite:///{suite.parent / 'mlflow.db'}")


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(0, 0.2, "0 s"), (3, 3, "3 s"), (50, 80, "50–80 s"), (80, 100, "1.3–1.7 min"), (7000, 9000, "1.9–2.5 h")],
)
def test_times_are_told_in_the_unit_that_suits_them(low: float, high: float, text: str) -> None:
    assert time_text(SecondsRange(low, high)) == text


def test_money_below_a_cent_is_told_as_such() -> None:
    assert [_usd(price) for price in ((1e-8, 3e-8), (0.02, 0.5), (2, 2))] == ["<0.01", "0.02–0.5", "2"]
