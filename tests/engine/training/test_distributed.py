"""Trainings by two processes on this machine, started by torchrun's agent and communicating by Gloo."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mlbaseline.engine.scoring.choices import ChoiceScorer
from mlbaseline.engine.training.distributed.launch import train_together
from mlbaseline.engine.training.distributed.zero import make_configuration
from mlbaseline.engine.training.job import TrainingJob
from mlbaseline.engine.training.train import train
from mlbaseline.errors import MlbaselineError
from mlbaseline.models.checkpoints.checkpoint import load_checkpoint
from mlbaseline.progress import Stage, shown_on
from mlbaseline.records import Trained
from mlbaseline.suite import DistributedTraining
from tests.support.ladders.choice_task import make_data
from tests.support.models.disturbed_training import disturbed
from tests.support.models.training_jobs import FULL, LORA, make_job, same_weights
from tests.support.noting_display import Notes

# At the rate of other tests, a difference in the last bits grows too much within 18 steps.
SMOOTH = {"dropout": 0.0, "learning_rate": 2e-3, "gradient_accumulation": 2}
SPECS = {"full": FULL, "lora": LORA.model_copy(update=SMOOTH)}


@dataclass(frozen=True)
class Trainings:
    """The same training by one process and by two. shown: what the display was told of the latter."""

    job: TrainingJob
    one: Trained
    two: Trained
    shown: Notes


@pytest.fixture(scope="module", params=["ddp lora", "fsdp full"])
def trainings(
    request: pytest.FixtureRequest, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trainings]:
    strategy, name = request.param.split()
    # 41 examples: the last step of an epoch has one row, and one process none.
    job = make_job(tiny_model, SPECS[name], train=make_data("train", 41))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLBASELINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        together = DistributedTraining(processes=2, strategy=strategy)
        shared = replace(job, spec=job.spec.model_copy(update={"training": together}))
        with shown_on(shown := Notes()):
            two = train(shared, description=Stage(name, 1, "training"))
        yield Trainings(shared, train(job), two, shown)


def test_two_processes_reach_the_losses_of_one(trainings: Trainings) -> None:
    one, two = trainings.one, trainings.two
    assert len(two.losses) == 3 * 6
    assert two.losses == pytest.approx(one.losses, abs=1e-5)
    assert two.dev == pytest.approx(one.dev, abs=1e-5), "every example of dev is counted once"
    assert two.trainable_params == one.trainable_params


def test_the_first_of_two_processes_shows_its_progress_on_the_display_of_this_one(trainings: Trainings) -> None:
    told = [what for title, what in trainings.shown.notes if title.endswith(" · seed 1, training")]
    assert told[-2:] == [3 * 6, "over"]
    assert [what for title, what in trainings.shown.notes if title.endswith(", scoring dev")].count("over") == 3


def test_what_two_processes_leave_is_loaded_by_one(trainings: Trainings) -> None:
    job, two = trainings.job, trainings.two
    assert {file.name for file in two.folder.iterdir()} == {file.name for file in trainings.one.folder.iterdir()}
    assert [path.name for path in two.folder.parent.iterdir() if path != two.folder] == ["trained.json"]
    checkpoint = load_checkpoint(two.folder, base=job.base.path, precision="fp32", device="cpu")
    assert job.dev is not None
    targets = {example.id: example.target for example in job.dev.examples}
    scorer = ChoiceScorer(checkpoint, job.prompting, job.dev.labels, job.evaluation)
    right = [answer.prediction == targets[answer.example_id] for answer in scorer.answer(job.dev.examples)]
    assert sum(right) / len(right) == pytest.approx(two.dev["accuracy"])


def test_after_a_killed_process_the_same_weights_are_reached(trainings: Trainings, own_cache: Path) -> None:
    with pytest.raises(MlbaselineError, match=r"process 1 failed: Signal 9 \(SIGKILL\)"):
        train(disturbed(trainings.job, rank=1, step=9, how="kill"))
    assert (own_cache / "trained" / trainings.job.key / "state-9.safetensors").is_file()
    resumed = train(trainings.job)
    assert resumed.losses == trainings.two.losses
    assert same_weights(resumed, trainings.two)


def test_the_agent_starts_without_the_libraries_of_models() -> None:
    """The processes that train start after it, so that what it imports holds them up."""
    code = "import sys, mlbaseline.engine.training.distributed.launch; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "torch" in imported
    assert not {"transformers", "peft", "accelerate"} & set(imported)


@pytest.fixture
def shared_job(tiny_model: Path) -> TrainingJob:
    return make_job(tiny_model, FULL.model_copy(update={"training": DistributedTraining(processes=2)}))


def test_the_error_of_the_process_that_fails_is_what_is_told(shared_job: TrainingJob, own_cache: Path) -> None:
    with pytest.raises(MlbaselineError, match="process 1 failed: ValueError: this process does not like the step"):
        train(disturbed(shared_job, rank=1, step=2, how="raise"))


def test_a_process_does_not_wait_forever_for_one_that_hangs(shared_job: TrainingJob, tmp_path: Path) -> None:
    with pytest.raises(MlbaselineError, match=r"process 0 failed: .*(?i:time.?out|timed out)"):
        train_together(disturbed(shared_job, rank=1, step=2, how="hang"), tmp_path, None, timeout_s=5.0)


def test_strategy_and_processes_are_part_of_the_key(shared_job: TrainingJob) -> None:
    def key(**training: Any) -> str:
        spec = FULL.model_copy(update={"training": DistributedTraining(**training) if training else None})
        return replace(shared_job, spec=spec).key

    keys = [key(), key(processes=1), key(processes=2), key(processes=2, strategy="fsdp")]
    assert len(set(keys)) == len(keys)
    fields = shared_job.signature_fields()
    assert (fields["training.strategy"], fields["training.processes"]) == ("ddp", 2)
    assert "training.training" not in fields


def test_deepspeed_is_named_where_it_cannot_train(shared_job: TrainingJob) -> None:
    together = DistributedTraining(processes=2, strategy="zero3")
    with pytest.raises(MlbaselineError, match=r"zero3` needs .*choose `strategy: fsdp`"):
        train(replace(shared_job, spec=FULL.model_copy(update={"training": together})))


@pytest.mark.parametrize(("strategy", "stage"), [("zero2", 2), ("zero3", 3)])
def test_the_configuration_of_deepspeed_has_the_options_of_the_rung(
    shared_job: TrainingJob, strategy: Any, stage: int
) -> None:
    together = DistributedTraining(processes=2, strategy=strategy, offload=True)
    spec = FULL.model_copy(update={"training": together, "gradient_accumulation": 2, "max_grad_norm": 0.5})
    made = make_configuration(replace(shared_job, spec=spec, precision="bf16"), 2)
    assert (made["zero_optimization"]["stage"], made["gradient_clipping"]) == (stage, 0.5)
    assert (made["train_micro_batch_size_per_gpu"], made["gradient_accumulation_steps"]) == (2, 1)
    assert (made["bf16"], made["fp16"]) == ({"enabled": True}, {"enabled": False})
    assert ("offload_param" in made["zero_optimization"]) == (stage == 3)
