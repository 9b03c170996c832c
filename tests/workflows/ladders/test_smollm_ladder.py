"""All seven kinds of baseline at once, on the packaged tweets and a real 135M-parameter model."""

from __future__ import annotations

from pathlib import Path
from shutil import copy

import pandas as pd
import pytest

from mlbaseline import workflows
from mlbaseline.assets import fetch
from mlbaseline.models.checkpoints.checkpoint import model_folder
from mlbaseline.suite import Asset
from mlbaseline.suite.reading import load_suite
from mlbaseline.tasks import load_task

SUITE = """
name: seven
task:
  kind: choice
  data: {source: DATA, format: csv, encoding_errors: replace}
  columns: {text: text, target: sentiment}
  prompt: "Tweet: {text}\\nSentiment:"
  choices: [negative, neutral, positive]
  split: {train: 16, dev: 8, test: 24, seed: 13}
metrics: [accuracy, nll_nats]
seeds: [0]
evaluation: {precision: fp32, latency_sample: 2}
cost: {usd_per_hour: {cpu: 0.10}}
baselines:
  majority: {kind: trivial, strategy: majority}
  zero_shot: {kind: pretrained, model: {source: MODEL}}
  few_shot: {kind: pretrained, model: {source: MODEL}, shots: 2}
  deployed: {kind: production, recorded: {path: deployed.csv}}
  lora: {kind: peft, method: lora, base: zero_shot, epochs: 1, batch_size: 8, learning_rate: 1.0e-3, last_layers: 4}
  full: {kind: full, base: zero_shot, epochs: 1, batch_size: 8, learning_rate: 1.0e-4}
  paper: {kind: external, metric: accuracy, value: 0.7, n: 2000, source: "somebody's table"}
  annotator: {kind: human, agreement: confidence}
matrix:
  primary: [{candidate: full, over: [majority, zero_shot, deployed]}]
"""


@pytest.mark.smollm
def test_every_kind_stands_in_one_ladder(
    smollm_gguf: Path, empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_suite("tweets").task.data
    csv = fetch(Asset(source=str(data.source), sha256=data.sha256), root=tmp_path).path
    model = model_folder(smollm_gguf)  # converted in the cache that all tests share; what is trained stays out of it
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    copy(empty_database, tmp_path / "mlflow.db")
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.replace("DATA", str(csv)).replace("MODEL", str(model)), encoding="utf-8")
    suite = load_suite(path)
    examples = load_task(suite, lambda asset: fetch(asset, root=tmp_path)).splits["test"].examples
    answers = [(example.id, "negative") for example in examples]
    pd.DataFrame(answers, columns=["example_id", "prediction"]).to_csv(tmp_path / "deployed.csv", index=False)

    document = workflows.run(path, tracking_uri=f"sqlite:///{tmp_path}/mlflow.db").document

    comparison = document["comparison"]
    standings = {standing["baseline"]: standing for standing in comparison["standings"]}
    assert {s["kind"] for s in standings.values()} == {"trivial", "pretrained", "production", "peft", "full", "human"}
    assert [score["baseline"] for score in comparison["published"]] == ["paper"]
    compared = {row["baseline"] for row in comparison["comparisons"] if row["role"] == "primary"}
    assert compared == {"majority", "zero_shot", "deployed"}
    assert all(standing["error_rate"] == 0 for standing in standings.values())
    assert standings["zero_shot"]["metrics"]["nll_nats"]["value"] > standings["full"]["metrics"]["nll_nats"]["value"]
    assert standings["lora"]["cost"]["trainable_params"] < standings["full"]["cost"]["trainable_params"]
