"""A rung is repeated under other conditions, and what differs is counted."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from mlbaseline.errors import SuiteError
from mlbaseline.workflows.evaluations.evaluation import evaluate
from mlbaseline.workflows.health.determinism import audit_determinism

SUITE = """
name: t
task:
  kind: choice
  data: {{source: rows.csv}}
  columns: {{text: text, target: label}}
  prompt: "{{text}}"
  choices: [bad, quite good]
  split: {{train: 8, dev: 24, test: 10, seed: 1}}
evaluation: {{precision: {precision}, batch_tokens: 128, latency_sample: 3, invariant: {invariant}}}
seeds: [0, 1]
baselines:
  majority: {{kind: trivial, strategy: majority}}
  small: {{kind: pretrained, model: "{model}"}}
  shown: {{kind: pretrained, model: "{model}", shots: {{k: 1, sample: seed}}}}
"""


@pytest.fixture
def folder(empty_database: Path, tmp_path: Path, own_cache: Path) -> Path:
    text = "a train that comes late is no train at all, I said, and waited " * 2
    rows = [f"{text[: 9 + 5 * (n % 20)].replace(',', '')}{n},{'quite good' if n % 2 else 'bad'}" for n in range(60)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path


def audited(folder: Path, model: Path, **options: Any) -> tuple[Any, str]:
    text = SUITE.format(model=model, precision=options.pop("precision", "fp32"), invariant=options.pop("invariant"))
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
    assert same["difference"] == {"n": 20, "n_identical": 20, "largest_nats": 0.0, "n_predictions": 0}
    assert {each["difference"]["n"] for each in others} == {10, 20}
    assert any(each["difference"]["n_identical"] < each["difference"]["n"] for each in others)
    assert "`evaluation: {invariant: true}`" in text

    fixed, text = audited(folder, tiny_model, precision=precision, invariant="true")
    assert all(each["difference"]["n_identical"] == each["difference"]["n"] for each in fixed["repetitions"])
    assert (fixed["baseline"], fixed["split"], fixed["precision"]) == ("small", "dev", precision)
    assert "invariant: true" not in text
    assert not (own_cache / "passes").exists(), "no result is kept"


def test_the_seeds_stand_beside_it_and_no_run_is_logged(folder: Path, tiny_model: Path) -> None:
    audited(folder, tiny_model, invariant="true")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(uri)
    (experiment,) = client.search_experiments(filter_string="name = 't'")
    assert client.search_runs([experiment.experiment_id]) == []
    evaluate(folder / "suite.yaml", baselines=["shown"], tracking_uri=uri)
    document, text = audited(folder, tiny_model, invariant="true", baseline="shown")
    (seeds,) = document["seeds"]
    assert (seeds["baseline"], seeds["n_seeds"]) == ("shown", 2)
    assert 0 <= seeds["differing"] <= 1
    assert "Beside it: two of the 2 seeds of shown predict differently on" in text


@pytest.mark.parametrize(
    ("baseline", "message"), [("big", "is no baseline; expected one of: small"), ("majority", "no model")]
)
def test_a_rung_without_a_model_is_refused(folder: Path, tiny_model: Path, baseline: str, message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        audited(folder, tiny_model, invariant="false", baseline=baseline)
