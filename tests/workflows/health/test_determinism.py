"""A rung is repeated under other conditions, and what differs is counted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from mlbaseline.errors import SuiteError
from mlbaseline.store import connect
from mlbaseline.store.audits import find_determinism
from mlbaseline.suite.reading import load_suite
from mlbaseline.workflows.evaluations.evaluation import evaluate
from mlbaseline.workflows.health.determinism import audit_determinism
from tests.support.ladders.suites import fill, rows_suite
from tests.support.ladders.written_data import write_jsonl

SUITE = rows_suite(
    """
evaluation: {precision: PRECISION, batch_tokens: 128, latency_sample: 3, invariant: INVARIANT}
seeds: [0, 1]
baselines:
  majority: {kind: trivial, strategy: majority}
  small: {kind: pretrained, model: MODEL}
  shown: {kind: pretrained, model: MODEL, shots: {k: 1, sample: seed}}
""",
    choices="[bad, quite good]",
    split="{train: 8, dev: 24, test: 10, seed: 1}",
)


@pytest.fixture
def folder(empty_database: Path, tmp_path: Path, own_cache: Path) -> Path:
    text = "a train that comes late is no train at all, I said, and waited " * 2
    labels = ("bad", "quite good")
    rows = [{"text": f"{text[: 9 + 5 * (n % 20)]}{n}", "label": labels[n % 2]} for n in range(60)]
    write_jsonl(tmp_path / "data.jsonl", rows)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path


def audited(folder: Path, model: Path, **options: Any) -> tuple[Any, str]:
    text = fill(SUITE, model=model, precision=options.pop("precision", "fp32"), invariant=options.pop("invariant"))
    (folder / "suite.yaml").write_text(text, encoding="utf-8")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    result = audit_determinism(folder / "suite.yaml", n_examples=20, tracking_uri=uri, **options)
    return result.document, result.text(False, 80)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_company_moves_bits_unless_the_evaluation_is_invariant(
    folder: Path, tiny_model: Path, own_cache: Path, precision: str
) -> None:
    plain, text = audited(folder, tiny_model, precision=precision, invariant="false")
    same, *others = plain["repetitions"]
    alike = {"n": 20, "n_identical": 20, "largest_nats": 0.0, "n_predictions": 0, "n_regrouped": 0}
    assert same["difference"] == alike
    moved = {each["what"]: each["difference"]["n_regrouped"] for each in others}
    assert moved["every other example alone"] == 10 and moved["in two parts"] > 0
    assert moved["32 tokens a batch instead of 128"] > 0
    resumed = others[-1]
    assert {**resumed["difference"], "n_regrouped": 0} == alike
    assert 0 < resumed["n_cached"] < 20, "some answers are of the evaluation that was interrupted, and not all"
    assert {each["difference"]["n"] for each in others} == {10, 20}
    assert any(each["difference"]["n_identical"] < each["difference"]["n"] for each in others)
    assert "`evaluation: {invariant: true}`" in text
    assert plain["stability"] == "unknown"

    fixed, text = audited(folder, tiny_model, precision=precision, invariant="true")
    assert all(each["difference"]["n_identical"] == each["difference"]["n"] for each in fixed["repetitions"])
    assert (fixed["baseline"], fixed["split"], fixed["precision"]) == ("small", "dev", precision)
    assert "invariant: true" not in text
    assert fixed["stability"] == "identical"
    assert not (own_cache / "passes").exists(), "no result is kept"


def test_the_seeds_stand_beside_it_in_a_run_of_its_own(folder: Path, tiny_model: Path) -> None:
    document, text = audited(folder, tiny_model, invariant="false")
    assert "No rung has two completed seeds" in text
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    evaluate(folder / "suite.yaml", baselines=["shown"], tracking_uri=uri)
    document, text = audited(folder, tiny_model, invariant="false", baseline="shown")
    (seeds,) = document["seeds"]
    assert (seeds["baseline"], seeds["n_seeds"]) == ("shown", 2)
    assert 0 <= seeds["differing"] <= 1
    assert "Beside it: two of the 2 seeds of shown predict differently on" in text

    run = MlflowClient(uri).get_run(document["run_id"])
    assert (run.data.tags["mlbaseline.kind"], run.data.tags["mlbaseline.status"]) == ("determinism", "completed")
    assert run.data.tags["mlbaseline.stability"] == document["stability"]
    assert run.data.metrics["determinism/the same again/identical_rate"] == 1.0
    stored = Path(download_artifacts(run_id=document["run_id"], artifact_path="determinism", tracking_uri=uri))
    stored_document = json.loads((stored / "determinism.json").read_text("utf-8"))
    assert stored_document == {**document, "format_version": stored_document["format_version"]}
    assert (stored / "determinism.txt").read_text("utf-8") == text + "\n"
    audited_last = find_determinism(connect(uri, "t"), load_suite(folder / "suite.yaml"))
    assert audited_last is not None and document["stability"] in audited_last and document["run_id"] in audited_last


@pytest.mark.parametrize(
    ("baseline", "message"), [("big", "unknown baseline 'big'; expected one of: small"), ("majority", "no model")]
)
def test_a_rung_without_a_model_is_refused(folder: Path, tiny_model: Path, baseline: str, message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        audited(folder, tiny_model, invariant="false", baseline=baseline)
