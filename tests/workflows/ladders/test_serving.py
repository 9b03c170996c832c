"""A promoted champion behind `mlflow models serve`, its like behind `transformers serve`: both asked and killed."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import yaml

from mlbaseline.journal import Journal
from mlbaseline.store import reach, resolve
from tests.support.ladders.workplace import ENVIRONMENT, Workplace
from tests.support.processes.servers import free_port, serving

_BEFORE_THE_KILL = 20
_OPTIONS: dict[str, Any] = {"max_concurrency": 2, "retries": 1, "timeout_s": 30}


@contextmanager
def serve_champion(workplace: Workplace, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "--workers", "1"]
    command += ["--port", str(port), "-m", "models:/reviews-label@champion"]
    with _serving(command, f"http://127.0.0.1:{port}/ping", workplace):
        yield


@contextmanager
def serve_weights(workplace: Workplace, weights: Path, port: int) -> Iterator[None]:
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(weights), "--port", str(port)]
    with _serving([*command, "--device", "cpu"], f"http://localhost:{port}/health", workplace):
        yield


@contextmanager
def _serving(command: list[str], health: str, workplace: Workplace) -> Iterator[None]:
    environment = {**os.environ, **ENVIRONMENT, "MLFLOW_TRACKING_URI": workplace.uri, "HF_HUB_OFFLINE": "1"}
    # MLflow starts its scoring server by name; the environment of this Python need not be activated.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    with serving(command, health, workplace.folder / "serve.log", env=environment, cwd=workplace.folder):
        yield


@pytest.mark.server
def test_real_servers_are_killed_while_they_answer(workplace: Workplace) -> None:
    """What had not been answered are errors, and alone asked again."""
    _shorten(workplace)
    evaluations = workplace.document("run", str(workplace.suite))["evaluations"]
    client = mlflow.MlflowClient(workplace.uri)
    runs = {(e["baseline"], e["seed"]): client.get_run(e["run_id"]) for e in evaluations}
    version = client.get_model_version_by_alias("reviews-label", "champion")
    full = runs["full", 0].inputs.model_inputs[0].model_id
    weights = resolve(reach(workplace.uri), f"models:/{full}/artifacts/served/weights")
    ports = free_port(), free_port()
    mlflow_url, text_url = (f"http://localhost:{port}" for port in ports)
    _add_baseline(workplace, "live", {"url": mlflow_url, "protocol": "mlflow"})
    text = {"choose_by": "generate", "model": str(weights), "max_new_tokens": 4, "stream": True}
    _add_baseline(workplace, "text", {"url": text_url, "protocol": "completions", **text})

    live = _killed_half_way(workplace, "live", lambda: serve_champion(workplace, ports[0]))
    champion = _rows(client, version.tags["mlbaseline.evaluation_run_id"])
    assert live["error"].isna().all()
    assert live["prediction"].tolist() == champion["prediction"].tolist()
    assert {"loglik_nats.bad", "loglik_nats.good"} <= set(live)
    read = _killed_half_way(workplace, "text", lambda: serve_weights(workplace, weights, ports[1]))
    expected = _rows(client, runs["full", 0].info.run_id)["prediction"]
    named = read["error"].isna()  # what the tiny model writes behind a choice may run into it
    assert named.any()
    assert (read["prediction"] == expected)[named].mean() > 0.9
    assert (read["first_token_s"] > 0).all()
    assert (read["first_token_s"] <= read["latency_s"]).all()
    assert (read["tokens_in"] > 0).all()
    assert (read["tokens_out"] > 0).all()


def _killed_half_way(workplace: Workplace, name: str, serve: Any) -> pd.DataFrame:
    """The rows of the baseline once its server, killed while it answered, is back."""
    kept = Path(os.environ["MLBASELINE_CACHE"], "answers")
    with ThreadPoolExecutor(1) as pool:
        with serve():
            asking = pool.submit(workplace.command, "evaluate", str(workplace.suite), "--baseline", name, "--json")
            _wait_for_answers(kept, asking)
        done = asking.result(timeout=120)
    (broken,) = json.loads(done.stdout)["evaluations"]
    client = mlflow.MlflowClient(workplace.uri)
    run = client.get_run(broken["run_id"])
    before = _rows(client, broken["run_id"])
    missing = before["unanswered"]
    assert 0 < missing.sum() <= 120 - _BEFORE_THE_KILL
    assert run.data.tags["mlbaseline.unanswered"] == str(missing.sum())
    assert run.data.metrics["error_rate"] >= missing.mean()
    assert before["error"][missing].notna().all()
    assert f"{missing.sum()} of them were not answered; evaluating again asks for these" in done.stderr
    assert run.data.params["hardware.device"] == "remote"
    assert "peak_memory_bytes" not in run.data.metrics
    with serve():
        (mended,) = workplace.document("evaluate", str(workplace.suite), "--baseline", name)["evaluations"]
    assert not mended["reused"]
    after = _rows(client, mended["run_id"])
    assert "unanswered" not in after
    # What had been answered was not asked again: it took as long as it took then.
    assert after["latency_s"][~missing].tolist() == before["latency_s"][~missing].tolist()
    (reused,) = workplace.document("evaluate", str(workplace.suite), "--baseline", name)["evaluations"]
    assert (reused["run_id"], reused["reused"]) == (mended["run_id"], True)
    assert not list(kept.iterdir())
    return after


def _wait_for_answers(folder: Path, asking: Future[Any]) -> None:
    for _ in range(20_000):
        kept = sum(len(list(Journal(path).lines())) for path in folder.glob("*.jsonl"))
        if kept >= _BEFORE_THE_KILL:
            return
        assert not asking.done(), asking.result()
        time.sleep(0.01)
    raise AssertionError("nothing was answered for minutes")


def _shorten(workplace: Workplace) -> None:
    """A ladder of what is needed for a champion, trained with one seed."""
    content = yaml.safe_load(workplace.suite.read_text(encoding="utf-8"))
    content["baselines"] = {name: content["baselines"][name] for name in ("majority", "zero_shot", "full")}
    content["matrix"] = {"primary": [{"candidate": "full", "over": ["majority", "zero_shot"]}]}
    workplace.suite.write_text(yaml.safe_dump({**content, "seeds": [0], "gates": {}}), encoding="utf-8")


def _add_baseline(workplace: Workplace, name: str, endpoint: dict[str, Any]) -> None:
    content = yaml.safe_load(workplace.suite.read_text(encoding="utf-8"))
    content["baselines"][name] = {"kind": "production", "endpoint": {**_OPTIONS, **endpoint}}
    workplace.suite.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _rows(client: mlflow.MlflowClient, run_id: str) -> pd.DataFrame:
    return pd.read_parquet(client.download_artifacts(run_id, "results/examples.parquet"))
