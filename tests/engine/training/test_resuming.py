"""A training that was stopped or killed goes on from its last saved state, to the weights of an undisturbed one."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from mlbaseline.engine.training import frozen_layers as frozen
from mlbaseline.engine.training import loop as training
from mlbaseline.engine.training.job import TrainingJob
from mlbaseline.engine.training.saved_state import TrainingState, save_state
from mlbaseline.engine.training.train import train
from mlbaseline.suite import TrainedSpec
from tests.support.models.training_jobs import FULL, LORA, same_weights

pytestmark = pytest.mark.usefixtures("own_cache")


def always_saving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(training, "SAVE_SHARE", math.inf)


def stop_after(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def save_and_stop(folder: Path, state: TrainingState, *rest: Any) -> None:
        save_state(folder, state, *rest)
        if state.step == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "save_state", save_and_stop)


@pytest.mark.parametrize("spec", [LORA, FULL], ids=["lora", "full"])
@pytest.mark.parametrize("step", [4, 6, 13])
def test_a_stopped_training_goes_on_to_the_same_weights(
    job: TrainingJob, spec: TrainedSpec, step: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    job = replace(job, spec=spec, precision="bf16" if step == 13 else "fp32")
    always_saving(monkeypatch)
    with monkeypatch.context() as patch:
        stop_after(step, patch)
        with pytest.raises(KeyboardInterrupt):
            train(job)
    resumed = train(job)
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "undisturbed"))
    undisturbed = train(job)
    assert resumed.losses == undisturbed.losses
    assert resumed.dev == undisturbed.dev
    assert same_weights(resumed, undisturbed)
    assert resumed.train_s > 0
    assert not list(resumed.folder.parent.glob("state-*"))


def test_a_process_killed_in_the_middle_is_resumed(job: TrainingJob, tmp_path: Path, own_cache: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from mlbaseline.engine.training import loop as training\n"
        "from mlbaseline.engine.training.train import train\n"
        "from tests.support.models.training_jobs import make_job, LORA\n"
        "training.SAVE_EVERY_S, training.SAVE_SHARE = 0.0, float('inf')\n"
        "save_state = training.save_state\n"
        "def save(folder, state, *rest):\n"
        "    save_state(folder, state, *rest)\n"
        f"    if state.step == 9: os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
        "training.save_state = save\n"
        "train(make_job(Path(sys.argv[1]), LORA))\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(job.base.path)], check=False, env=dict(os.environ))
    assert killed.returncode == -signal.SIGKILL
    folder = own_cache / "trained" / job.key
    assert json.loads((folder / "progress.json").read_text(encoding="utf-8"))["step"] == 9
    assert len(train(job).losses) == 18


def test_a_training_that_skips_frozen_layers_goes_on_to_the_same_weights(
    job: TrainingJob, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    job = replace(job, spec=LORA.model_copy(update={"last_layers": 1}))
    always_saving(monkeypatch)
    stop_after(7, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(job)
    frozen._cached_states.cache_clear()  # as in another process
    monkeypatch.setattr(training, "save_state", save_state)
    resumed = train(job)
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "undisturbed"))
    undisturbed = train(job)
    assert resumed.losses == undisturbed.losses
    assert same_weights(resumed, undisturbed)


def test_the_scale_of_gradients_goes_on_where_it_stood(
    job: TrainingJob, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scalers: list[torch.amp.GradScaler] = []

    class Scaling(Accelerator):
        """As for fp16 on a GPU: there accelerate makes one by itself."""

        def __init__(self, *given: Any, **options: Any) -> None:
            super().__init__(*given, **options)
            self.scaler = torch.amp.GradScaler("cpu", init_scale=16.0, growth_interval=4)
            scalers.append(self.scaler)

    monkeypatch.setattr("mlbaseline.engine.training.distributed.strategy.Accelerator", Scaling)
    always_saving(monkeypatch)
    with monkeypatch.context() as patch:
        stop_after(6, patch)
        with pytest.raises(KeyboardInterrupt):
            train(job)
    resumed = train(job)
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "undisturbed"))
    undisturbed = train(job)
    assert scalers[1].state_dict() == scalers[2].state_dict()
    assert scalers[2].get_scale() == 16.0 * 2**4
    assert resumed.losses == undisturbed.losses
    assert same_weights(resumed, undisturbed)


@pytest.mark.parametrize("broken", ["progress.json", "state-4.safetensors"])
def test_a_state_that_is_cut_short_begins_anew(
    job: TrainingJob, own_cache: Path, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    always_saving(monkeypatch)

    def save_broken(folder: Path, state: TrainingState, *rest: Any) -> None:
        save_state(folder, state, *rest)
        if state.step == 4:
            (folder / broken).write_bytes((folder / broken).read_bytes()[:-7])
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "save_state", save_broken)
        with pytest.raises(KeyboardInterrupt):
            train(job)
    assert len(train(job).losses) == 18
