from __future__ import annotations

import gc
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from transformers import LlamaForCausalLM

from mlbaseline.engine.scoring.choices import ChoiceScorer
from mlbaseline.engine.training import frozen_layers as frozen
from mlbaseline.engine.training import loop as training
from mlbaseline.engine.training.job import TrainingJob
from mlbaseline.engine.training.saved_state import TrainingState, save_state
from mlbaseline.engine.training.shared_base import release_base
from mlbaseline.engine.training.train import train
from mlbaseline.errors import AssetError, MlbaselineError
from mlbaseline.model_files import weights_sha256
from mlbaseline.models.checkpoints.checkpoint import load_checkpoint
from mlbaseline.suite import Peft, TrainedSpec
from tests.support.ladders.choice_task import make_data
from tests.support.models.training_jobs import FULL, LORA, make_job, same_weights, weights_of
from tests.support.processes.fresh_process import in_fresh_process

pytestmark = pytest.mark.usefixtures("own_cache")

BOTH = pytest.mark.parametrize("spec", [LORA, FULL], ids=["lora", "full"])


@pytest.fixture
def job(tiny_model: Path) -> TrainingJob:
    return make_job(tiny_model, LORA)


@BOTH
def test_training_learns_and_leaves_a_model_that_answers(job: TrainingJob, spec: TrainedSpec) -> None:
    job = replace(job, spec=spec)
    trained = train(job)
    assert len(trained.losses) == 3 * 6
    assert sum(trained.losses[-6:]) < 0.5 * sum(trained.losses[:6])
    assert trained.dev["accuracy"] > 0.6
    assert trained.weights_sha256 == weights_sha256(trained.folder)
    assert trained.train_s > 0
    checkpoint = load_checkpoint(trained.folder, base=job.base.path, precision="fp32", device="cpu")
    assert job.dev is not None
    scorer = ChoiceScorer(checkpoint, job.prompting, job.dev.labels, job.evaluation)
    targets = {example.id: example.target for example in job.dev.examples}
    right = [answer.prediction == targets[answer.example_id] for answer in scorer.answer(job.dev.examples)]
    assert sum(right) / len(right) == pytest.approx(trained.dev["accuracy"]), "what was selected is what was saved"


@BOTH
def test_the_first_loss_is_the_mean_over_the_answers_alone(job: TrainingJob, spec: TrainedSpec) -> None:
    spec = spec.model_copy(update={"batch_size": 42, "epochs": 1})
    job = replace(job, spec=spec.model_copy(update={"dropout": 0.0}) if isinstance(spec, Peft) else spec)
    checkpoint = load_checkpoint(job.base.path, precision="fp32", device="cpu")
    scorer = ChoiceScorer(checkpoint, job.prompting, job.train.labels, job.evaluation)
    answers = {answer.example_id: answer for answer in scorer.answer(job.train.examples)}
    nats = [answers[e.id].loglik_nats[job.train.labels.index(e.target)] for e in job.train.examples]
    tokens = [len(checkpoint.tokenizer(" " + e.target)["input_ids"]) for e in job.train.examples]
    assert train(job).losses[0] == pytest.approx(-sum(nats) / sum(tokens), abs=1e-4)


@BOTH
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_accumulation_and_checkpointing_change_memory_only(job: TrainingJob, spec: TrainedSpec, precision: Any) -> None:
    job = replace(job, precision=precision)
    if isinstance(spec, Peft):
        spec = spec.model_copy(update={"dropout": 0.0})
    plain = train(replace(job, spec=spec))
    saving = spec.model_copy(update={"gradient_accumulation": 4, "gradient_checkpointing": True})
    steps = {"fp32": 18, "bf16": 4}[precision]  # with 8 bits, two trainings part soon
    assert train(replace(job, spec=saving)).losses[:steps] == pytest.approx(plain.losses[:steps], rel=2e-2)


@BOTH
def test_a_seed_repeats_itself_and_differs_from_others(
    job: TrainingJob, spec: TrainedSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    job = replace(job, spec=spec)
    first, other = train(job), train(replace(job, seed=1))
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "another"))
    again = train(job)
    assert again.folder != first.folder
    assert again.losses == first.losses != other.losses
    assert same_weights(again, first)
    assert not same_weights(other, first)


def test_lora_trains_its_matrices_in_the_last_layers_alone(job: TrainingJob) -> None:
    everywhere = train(job)
    last = train(replace(job, spec=LORA.model_copy(update={"last_layers": 1})))
    assert {name.split("layers.")[1][0] for name in weights_of(everywhere)} == {"0", "1"}
    assert {name.split("layers.")[1][0] for name in weights_of(last)} == {"1"}
    assert last.trainable_params == sum(tensor.numel() for tensor in weights_of(last).values())
    assert everywhere.trainable_params == 2 * last.trainable_params
    config = json.loads((last.folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == "tiny"


@BOTH
def test_bf16_computes_low_and_keeps_fp32_what_it_trains(
    job: TrainingJob, spec: TrainedSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, set[torch.dtype]] = {"trained": set(), "computed": set()}
    step = training.TrainingRun.step

    def watch(self: training.TrainingRun, parts: Any) -> float:
        seen["trained"] |= {parameter.dtype for parameter in self.trained.values()}
        layer = self.bare.get_submodule(next(n for n, _ in self.bare.named_modules() if n.endswith("mlp.act_fn")))
        hook = layer.register_forward_hook(lambda _, __, output: seen["computed"].add(output.dtype))
        try:
            return step(self, parts)
        finally:
            hook.remove()

    monkeypatch.setattr(training.TrainingRun, "step", watch)
    trained = train(replace(job, spec=spec, precision="bf16"))
    assert seen == {"trained": {torch.float32}, "computed": {torch.bfloat16}}
    assert sum(trained.losses[-6:]) < 0.6 * sum(trained.losses[:6])
    saved = {tensor.dtype for tensor in weights_of(trained).values()}
    assert saved == {torch.float32 if isinstance(spec, Peft) else torch.bfloat16}


@BOTH
def test_nothing_of_a_finished_training_stays_in_memory(job: TrainingJob, spec: TrainedSpec) -> None:
    assert in_fresh_process(models_after_training, replace(job, spec=spec)) == 0


def models_after_training(job: TrainingJob) -> int:
    train(job)
    release_base()  # which is for the next seed
    return sum(isinstance(thing, LlamaForCausalLM) for thing in gc.get_objects())


def test_the_order_of_the_examples_is_not_the_order_of_the_file(job: TrainingJob) -> None:
    backwards = replace(job.train, examples=job.train.examples[::-1])
    first = train(job)
    shutil.rmtree(first.folder.parent)
    assert train(replace(job, train=backwards)).losses == first.losses


def test_the_epoch_that_scores_best_on_dev_is_taken(job: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.5, 0.8, 0.8])
    monkeypatch.setattr(training.TrainingRun, "measure_dev", lambda *_: {"accuracy": next(scores)})
    trained = train(job)
    assert (trained.selected_epoch, trained.dev) == (2, {"accuracy": 0.8})
    assert [folder.name for folder in trained.folder.parent.glob("epoch-*")] == ["epoch-2"]


def test_without_dev_the_last_epoch_is_taken(job: TrainingJob) -> None:
    trained = train(replace(job, dev=None))
    assert (trained.selected_epoch, trained.dev) == (3, {})


def test_a_finished_training_is_reused_unless_its_weights_changed(
    job: TrainingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(job)

    def refuse(*_: Any) -> None:
        raise AssertionError("trained again")

    with monkeypatch.context() as patch:
        patch.setattr("mlbaseline.engine.training.train.TrainingRun", refuse)
        assert train(job) == first
    (first.folder / "adapter_model.safetensors").write_bytes(b"rotten")
    assert train(job).weights_sha256 == first.weights_sha256


def test_frozen_layers_run_once_and_change_nothing(job: TrainingJob, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    run = frozen._run
    monkeypatch.setattr(frozen, "_run", lambda *given: runs.append(len(given[-1])) or run(*given))
    frozen._cached_states.cache_clear()
    last = replace(job, spec=LORA.model_copy(update={"last_layers": 1}))
    once = train(last)
    other = train(replace(last, seed=1))
    assert len(runs) == 1 and 0 < runs[0] <= len(job.train.examples), "another seed reads the same"
    train(replace(last, train=make_data("train", 41)))
    assert len(runs) == 2
    monkeypatch.setattr(frozen, "LIMIT_BYTES", 0)
    shutil.rmtree(once.folder.parent)
    shutil.rmtree(other.folder.parent)
    assert train(last).losses == pytest.approx(once.losses, rel=1e-4)
    assert train(replace(last, seed=1)).losses == pytest.approx(other.losses, rel=1e-4)
    assert len(runs) == 2


def always_saving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(training, "SAVE_SHARE", math.inf)


def stop_after(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def save_and_stop(folder: Path, state: TrainingState, *rest: Any) -> None:
        save_state(folder, state, *rest)
        if state.step == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "save_state", save_and_stop)


@BOTH
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


def test_a_cache_that_cannot_be_written_is_named(job: TrainingJob, own_cache: Path) -> None:
    own_cache.write_text("not a folder", encoding="utf-8")
    with pytest.raises(AssetError, match="MLBASELINE_CACHE"):
        train(job)


def test_a_loss_that_is_no_number_ends_the_training(job: TrainingJob) -> None:
    wild = FULL.model_copy(update={"learning_rate": 1e30, "warmup_ratio": 0.0, "max_grad_norm": 1e30})
    with pytest.raises(MlbaselineError, match="lower learning_rate"):
        train(replace(job, spec=wild))


def test_every_option_is_part_of_the_key(job: TrainingJob) -> None:
    keys = {job.key, replace(job, seed=1).key, replace(job, train=make_data("train", 41)).key}
    for change in ({"rank": 8}, {"learning_rate": 1e-3}, {"epochs": 1}, {"schedule": "linear"}, {"last_layers": 1}):
        keys.add(replace(job, spec=LORA.model_copy(update=change)).key)
    assert len(keys) == 8
