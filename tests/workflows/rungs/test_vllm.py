"""A whole evaluation whose texts vLLM generates, in bf16."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from mlbaseline import workflows
from mlbaseline.engine.generation.vllm_decoder import VllmDecoder
from mlbaseline.engine.generation.vllm_package import vllm_requirement
from tests.support.ladders.cheap_ladder import CheapLadder
from tests.support.ladders.suites import fill, written_reviews_suite

SUITE = written_reviews_suite("""
metrics: [exact_match]
seeds: [0]
evaluation: {precision: bf16, generate_with: vllm, latency_sample: 2, max_length: 200}
baselines:
  writer: {kind: pretrained, model: {source: "MODEL"}}
""")


@pytest.mark.vllm
def test_a_suite_is_evaluated_once(
    cheap_ladder: CheapLadder, vllm_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cheap_ladder.suite.write_text(fill(SUITE, model=vllm_model), encoding="utf-8")
    (first,) = workflows.evaluate(cheap_ladder.suite, tracking_uri=cheap_ladder.uri).document["evaluations"]
    results = mlflow.MlflowClient(cheap_ladder.uri).download_artifacts(first["run_id"], "results")
    rows = pd.read_parquet(Path(results) / "examples.parquet")
    assert len(rows) == 40
    assert rows["error"].isna().all()
    assert rows["prediction"].nunique() > 5
    assert (rows["tokens_out"].between(1, 8)).all()
    signature = json.loads((Path(results) / "signature.json").read_text(encoding="utf-8"))
    assert (signature["engine.precision"], signature["engine.generate_with"]) == ("bf16", "vllm")
    requirement = vllm_requirement()
    assert requirement is not None
    assert cheap_ladder.run(first["run_id"]).data.params["software.vllm"] == requirement[1]
    monkeypatch.setattr(VllmDecoder, "_start", lambda *_: pytest.fail("started"))
    (again,) = workflows.evaluate(cheap_ladder.suite, tracking_uri=cheap_ladder.uri).document["evaluations"]
    assert (again["reused"], again["run_id"]) == (True, first["run_id"])
