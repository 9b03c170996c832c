"""What a training by one process leaves, and what it repeats, keeps and refuses."""

from __future__ import annotations

import gc
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from mlbaseline.engine.scoring.choices import ChoiceScorer
from mlbaseline.engine.training import frozen_layers as frozen
from mlbaseline.engine.training import loop as training
from mlbaseline.engine.training.job import TrainingJob
from mlbaseline.engine.training.shared_base import release_base
from mlbaseline.engine.training.train import train
from mlbaseline.errors import AssetError, MlbaselineError
from mlbaseline.model_files import weights_sha256
from mlbaseline.models.checkpoints.checkpoint import load_checkpoint
from mlbaseline.suite import Peft, TrainedSpec
from tests.support.ladders.choice_task import make_data
from tests.support.models.training_jobs import FULL, LORA, same_weights, weights_of
from tests.support.processes.fresh_process import in_fresh_process

pytestmark = pytest.mark.usefixtures("own_cache")

BOTH = pytest.mark.parametrize("spec", [LORA, FULL], ids=["lora", "full"])


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


def test_nothing_of_a_finished_training_stays_in_memory(job: TrainingJob) -> None:
    assert in_fresh_process(models_after_training, [replace(job, spec=spec) for spec in (LORA, FULL)]) == [0, 0]


def models_after_training(jobs: list[TrainingJob]) -> list[int]:
    """Number of models that are left after each training."""
    left = []
    for job in jobs:
        train(job)
        release_base()  # which is for the next seed
        left.append(sum(isinstance(thing, LlamaForCausalLM) for thing in gc.get_objects()))
    return left


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
