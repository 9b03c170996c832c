"""A ladder from its first rung to the promotion, run again and again, and what must hold at the end of the last run."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import ViewType

from mlbaseline.store.server.patience import is_remote
from tests.support.ladders.suites import fill, reviews_suite
from tests.support.ladders.workplace import ENVIRONMENT, write_reviews

SUITE = reviews_suite(
    """
register_as: NAME-label
metrics: [accuracy, nll_nats]
seeds: [0, 1]
evaluation: {batch_tokens: 1024, max_length: 128, latency_sample: 2}
cost: {usd_per_hour: {cpu: 0.10}}
baselines:
  majority: {kind: trivial, strategy: majority}
  uniform: {kind: trivial, strategy: uniform}
  zero_shot: {kind: pretrained, model: {source: MODEL}}
  lora: {kind: peft, method: lora, base: zero_shot, epochs: 14, learning_rate: 1.0e-2, batch_size: 8}
  paper: {kind: external, metric: accuracy, value: 0.8, n: 500, source: a paper}
matrix:
  primary: [{candidate: lora, over: [majority, zero_shot]}]
gates: {min_seeds: 2, waive: {MLB106: "the same ladder is run again after its own promotion"}}
""",
    name="NAME",
)
RUNGS = 7
_TIMED = ["latency_s", "compute_s", "first_token_s", "cost_usd", "batch", "reference_s"]
"""Columns that no two runs have alike."""


@dataclass(frozen=True)
class WholeLadder:
    """A ladder in a folder of its own. uri: of the tracking store. environment: of its commands."""

    folder: Path
    name: str
    uri: str
    environment: Mapping[str, str]

    @classmethod
    def write(cls, folder: Path, name: str, uri: str, model: Path, environment: Mapping[str, str]) -> WholeLadder:
        folder.mkdir(parents=True, exist_ok=True)
        write_reviews(folder / "reviews.csv")
        text = fill(SUITE, name=name, model=model)
        (folder / "suite.yaml").write_text(text, encoding="utf-8")
        cache = {"MLBASELINE_CACHE": str(folder / "cache"), "MLFLOW_TRACKING_URI": uri}
        return cls(folder, name, uri, {**ENVIRONMENT, **cache, **environment})

    @property
    def command(self) -> list[str]:
        return ["run", "suite.yaml", "--json"]


@dataclass(frozen=True)
class Outcome:
    """What a ladder came to. tables: baseline and seed ─▶ digest of the rows, without times."""

    verdict: str
    winner: tuple[str, int]
    tables: Mapping[tuple[str, int | None], str]


def outcome_of(stdout: str, client: MlflowClient) -> Outcome:
    """Read what the last run of a ladder printed, and digest the tables that its verdict stands on."""
    document = json.loads(stdout)
    compared = document["comparison"]
    rungs = {(e["baseline"], e["seed"]): e["run_id"] for e in document["evaluations"] if e["baseline"] != "paper"}
    tables = {rung: _digest(client, run_id) for rung, run_id in rungs.items()}
    return Outcome(compared["verdict"], (compared["winner"], compared["winner_seed"]), tables)


def _digest(client: MlflowClient, run_id: str) -> str:
    with TemporaryDirectory() as folder:
        rows = pd.read_parquet(client.download_artifacts(run_id, "results/examples.parquet", folder))
    rows = rows.drop(columns=[name for name in _TIMED if name in rows])
    return hashlib.sha256(rows.to_json(orient="split", double_precision=15).encode()).hexdigest()


def check_nothing_twice(client: MlflowClient, ladder: WholeLadder) -> None:
    """Check that each rung is evaluated once, the winner registered once, and nothing is left open or half done."""
    experiment = client.get_experiment_by_name(ladder.name)
    assert experiment is not None
    runs = list(client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL, max_results=1000))
    assert [run.info.run_id for run in runs if run.info.status == "RUNNING"] == []
    active = [run for run in runs if run.info.lifecycle_stage == "active"]
    completed = [run.data.tags for run in active if run.data.tags.get("mlbaseline.status") == "completed"]
    assert all(run.info.status == "FINISHED" for run in active if run.data.tags["mlbaseline.status"] == "completed")
    kinds = Counter(tags["mlbaseline.kind"] for tags in completed)
    rungs = Counter(
        (tags["mlbaseline.baseline"], tags["mlbaseline.seed"])
        for tags in completed
        if tags["mlbaseline.kind"] == "evaluation"
    )
    assert (len(rungs), set(rungs.values())) == (RUNGS, {1}), rungs
    assert kinds["promotion"] == 1
    _check_registry(client, f"{ladder.name}-label", completed)
    for run in active:
        history = [client.get_metric_history(run.info.run_id, name) for name in ("accuracy", "error_rate")]
        assert all(len(values) <= 1 for values in history)
        assert len(run.inputs.dataset_inputs) <= 1
    models = client.search_logged_models([experiment.experiment_id])
    finished = {run.info.run_id for run in active if run.info.status == "FINISHED"}
    notes = [model for model in models if model.tags.get("mlbaseline.kind") == "rules"]
    assert len(notes) == is_remote(ladder.uri), "a server notes the rules once"
    sources = Counter(model.source_run_id for model in models if model not in notes)
    assert set(sources) <= finished
    assert set(sources.values()) == {1}
    assert {str(model.status) for model in models} == {"READY"}


def _check_registry(client: MlflowClient, model: str, completed: list[dict[str, Any]]) -> None:
    (version,) = client.search_model_versions(f"name = '{model}'")
    registered = client.get_registered_model(model)
    assert {alias: str(number) for alias, number in registered.aliases.items()} == {"champion": str(version.version)}
    assert not [tag for tag in registered.tags if tag.startswith("mlbaseline.move.")]
    assert version.tags["mlbaseline.promotion"] == "done"
    (record,) = (tags for tags in completed if tags["mlbaseline.kind"] == "promotion")
    assert record["mlbaseline.version"] == str(version.version)
