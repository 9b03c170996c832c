"""The benchmarks' sides with vLLM: where they live, and that they score what we score."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.benchmarks.sides import vllm_environment
from tests.benchmarks.sides.vllm_environment import find_vllm_python


def test_without_an_environment_vllm_is_left_out_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(vllm_environment, "find_spec", lambda _: None)
    monkeypatch.setenv("VLLM_VENV", str(tmp_path))
    assert find_vllm_python(None) is None
    assert "vLLM is left out: it is not installed here" in capsys.readouterr().out
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.touch()
    assert find_vllm_python(None) == str(python)
    assert find_vllm_python(Path("elsewhere/python")) == "elsewhere/python"
    assert capsys.readouterr().out == ""


@pytest.mark.vllm
@pytest.mark.smollm
def test_vllm_alone_and_under_lm_eval_scores_as_the_engine_does() -> None:
    from mlbaseline.models.checkpoints.checkpoint import load_checkpoint
    from tests.benchmarks.bench_scoring import VLLM_WAYS, compare_with_vllm
    from tests.benchmarks.tasks.scoring_items import packaged_model, scoring_tasks

    checkpoint = load_checkpoint(packaged_model(), precision="fp32", device="cpu")
    tasks = scoring_tasks(6, checkpoint.tokenizer)
    compared = list(compare_with_vllm(checkpoint, sys.executable, tasks, rounds=1))  # within 1e-3 nats
    assert len(compared) == len(VLLM_WAYS) * len(tasks)
    assert all(side.cpu_s > 0 for row in compared for side in (*row.ours, *row.theirs))
