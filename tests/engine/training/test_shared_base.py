"""Seeds of one rung on one base: nothing of a training stays in it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mlbaseline.assets import FetchedAsset
from mlbaseline.engine.training import frozen_layers as frozen
from mlbaseline.engine.training import job as recipe
from mlbaseline.engine.training import loop as training
from mlbaseline.engine.training import shared_base as base
from mlbaseline.engine.training.job import TrainingJob, load_base
from mlbaseline.engine.training.train import train
from mlbaseline.records import Trained
from tests.engine.training.test_peft_methods import SPECS
from tests.support.models.training_jobs import FULL, LORA, make_job, same_weights

pytestmark = pytest.mark.usefixtures("own_cache")

SHORT: dict[str, Any] = {"epochs": 1}


@pytest.fixture(autouse=True)
def reads(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The seed of every training that read its base from disk."""
    seeds: list[int] = []

    def read(job: TrainingJob) -> Any:
        seeds.append(job.seed)
        return load_base(job)

    monkeypatch.setattr(base, "load_base", read)
    base.release_base()
    yield seeds
    base.release_base()


def forget_all() -> None:
    """As in another process."""
    base.release_base()
    recipe._cached_sequences.cache_clear()
    frozen._cached_states.cache_clear()


@pytest.mark.parametrize("method", ["lora", "dora", "ia3", "prompt_tuning", "prefix_tuning"])
def test_the_base_is_handed_on_bit_by_bit(tiny_model: Path, method: str, reads: list[int]) -> None:
    job = make_job(tiny_model, SPECS[method])
    train(job)
    handed_on, fresh = base.take_base(replace(job, seed=1)).model, load_base(job).model
    assert reads == [0]
    assert type(handed_on) is type(fresh) and [*handed_on.state_dict()] == [*fresh.state_dict()]
    assert all(torch.equal(handed_on.state_dict()[name], tensor) for name, tensor in fresh.state_dict().items())
    assert [name for name, _ in handed_on.named_modules()] == [name for name, _ in fresh.named_modules()]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in handed_on.modules())
    ids = torch.arange(20).unsqueeze(0)
    assert torch.equal(handed_on(input_ids=ids).logits, fresh(input_ids=ids).logits)


def test_seeds_in_a_row_give_the_weights_of_processes_of_their_own(
    tiny_model: Path, reads: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jobs = [make_job(tiny_model, LORA.model_copy(update=SHORT), seed) for seed in range(3)]
    together = [train(job) for job in jobs]
    assert reads == [0]
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "apart"))
    apart: list[Trained] = []
    for job in jobs[:2]:
        forget_all()
        apart.append(train(job))
    assert reads == [0, 0, 1]
    code = (
        "import sys\nfrom pathlib import Path\nfrom mlbaseline.engine.training.train import train\n"
        "from tests.support.models.training_jobs import LORA, make_job\n"
        "train(make_job(Path(sys.argv[1]), LORA.model_copy(update={'epochs': 1}), 2))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tiny_model)], check=True)
    apart.append(train(jobs[2]))
    assert reads == [0, 0, 1], "found done"
    assert all(same_weights(one, other) for one, other in zip(together, apart, strict=True))
    assert not same_weights(together[0], together[1])


def test_what_may_leave_something_behind_is_read_again(tiny_model: Path, reads: list[int]) -> None:
    checkpointing = LORA.model_copy(update={"gradient_checkpointing": True, **SHORT})
    for spec in (FULL.model_copy(update=SHORT), checkpointing, SPECS["vera"]):
        for seed in (0, 1):
            train(make_job(tiny_model, spec, seed))
            assert not base._cached_base
    assert reads == [0, 1] * 3


def test_one_base_lies_in_memory_at_most(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(tiny_model, LORA.model_copy(update=SHORT))
    train(job)
    assert len(base._cached_base) == 1
    before: list[int] = []

    def read(job: TrainingJob) -> Any:
        before.append(len(base._cached_base))
        return load_base(job)

    monkeypatch.setattr(base, "load_base", read)
    other = replace(job, base=FetchedAsset(tiny_model, "1" * 64))
    train(other)
    assert before == [0] and len(base._cached_base) == 1
    base.take_base(replace(other, seed=1))
    assert not base._cached_base


def test_a_stopped_training_hands_nothing_on(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(tiny_model, LORA.model_copy(update=SHORT))
    train(job)

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training.TrainingRun, "step", stop)
    with pytest.raises(KeyboardInterrupt):
        train(replace(job, seed=1))
    assert not base._cached_base


def test_sequences_are_those_of_their_data_and_options(tiny_model: Path) -> None:
    job = make_job(tiny_model, LORA)
    checkpoint = load_base(job)
    recipe._cached_sequences.cache_clear()
    first = recipe.make_sequences(job, checkpoint, job.train)
    first_again = recipe.make_sequences(replace(job, seed=3, spec=FULL), checkpoint, job.train)
    assert first_again == first and first_again[0] is first[0]
    first.clear()
    assert recipe.make_sequences(job, checkpoint, job.train) == first_again, "nobody else's list is changed"
    shorter = replace(job, evaluation=job.evaluation.model_copy(update={"max_length": 5}))
    assert max(len(sequence.input_tokens) for sequence in recipe.make_sequences(shorter, checkpoint, job.train)) == 5
    assert job.dev is not None
    assert len(recipe.make_sequences(job, checkpoint, job.dev)) == len(job.dev.examples)
    assert recipe._cached_sequences.cache_info().currsize == 2
