"""What a suite's fine-tunes need is looked at before anything is trained."""

from __future__ import annotations

import shutil
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mlbaseline.errors import MlbaselineError
from mlbaseline.workflows.evaluations.evaluation import evaluate
from mlbaseline.workflows.health.doctor import doctor
from tests.support.ladders.suites import fill, rows_suite
from tests.support.ladders.written_data import rows_of, write_jsonl

SUITE = rows_suite(
    """
baselines:
  small: {kind: pretrained, model: {source: MODEL}}
  vera: {kind: peft, method: peft, config: VeraConfig, options: {r: 4}, base: small, learning_rate: 1.0e-2}
  wrong: {kind: peft, method: peft, config: VeraConfig, options: {rank: 4}, base: small, learning_rate: 1.0e-2}
  earlier: {kind: full, model: {source: MODEL}}
  ready: {kind: peft, adapter: {source: nowhere}, base: small}
""",
    split="{train: 4, dev: 2, test: 4, seed: 1}",
)


@pytest.mark.usefixtures("own_cache")
def test_fine_tunes_are_looked_at(tiny_model: Path, empty_database: Path, tmp_path: Path, auto_precision: str) -> None:
    write_jsonl(tmp_path / "data.jsonl", rows_of(30))
    (tmp_path / "suite.yaml").write_text(fill(SUITE, model=tiny_model), encoding="utf-8")
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    outcome = doctor(str(tmp_path / "suite.yaml"), tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    found = {check["name"]: (check["outcome"], check["detail"]) for check in outcome.document["checks"]}
    assert found["method of vera"] == ("ok", "VeraConfig")
    assert found["model of earlier"][0] == "ok"
    assert "baselines.wrong.options.rank: VeraConfig has no such option" in found["method of wrong"][1]
    assert "nowhere: no such file" in found["adapter of ready"][1]
    assert found["precision of suite"] == ("ok", auto_precision)
    assert outcome.exit_code == 1


@pytest.mark.usefixtures("own_cache")
def test_a_precision_without_its_package_fails(
    tiny_model: Path, empty_database: Path, tmp_path: Path, auto_precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_jsonl(tmp_path / "data.jsonl", rows_of(30))
    suite = fill(SUITE, model=tiny_model) + "evaluation: {precision: int8}\n"
    (tmp_path / "suite.yaml").write_text(suite, encoding="utf-8")
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    server = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "bitsandbytes", None)
        patch.setattr(
            "mlbaseline.models.checkpoints.checkpoint.load_pretrained", None
        )  # nothing is loaded before it is said
        found = _found(tmp_path, server)
        assert "needs bitsandbytes" in found["precision of suite", "fail"]
        assert found["data", "ok"] == "data.jsonl: jsonl, UTF-8, 30 rows; train 4, dev 2, test 4"
        with pytest.raises(MlbaselineError, match=r"pip install 'mlbaseline\[quantized\]'"):
            evaluate(str(tmp_path / "suite.yaml"), baselines=["small"], tracking_uri=server)
    if find_spec("bitsandbytes") is None:
        pytest.skip("the rest needs bitsandbytes")
    found = _found(tmp_path, server)
    assert found["precision of suite", "ok"] == f"int8, computed in {auto_precision}"
    assert found["bitsandbytes", "ok"] == metadata.version("bitsandbytes")


def _found(folder: Path, server: str) -> dict[tuple[str, str], str]:
    """Name and outcome ─▶ detail."""
    checks = doctor(str(folder / "suite.yaml"), tracking_uri=server).document["checks"]
    return {(check["name"], check["outcome"]): check["detail"] for check in checks}


@pytest.mark.usefixtures("own_cache")
def test_leftovers_that_cannot_be_looked_for_are_a_failed_check(empty_database: Path, tmp_path: Path) -> None:
    server = f"sqlite:///{shutil.copy(empty_database, tmp_path / 'mlflow.db')}"
    MlflowClient(server).create_registered_model("m", tags={"mlbaseline.move.abc": "no announcement"})
    outcome = doctor(None, tracking_uri=server)
    (check,) = (each for each in outcome.document["checks"] if each["name"] == "leftovers")
    assert (check["outcome"], outcome.exit_code) == ("fail", 1)
    assert "expected an announced move of aliases" in check["detail"]
