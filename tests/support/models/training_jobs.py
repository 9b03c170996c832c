"""Trainings of the tiny model on learnable examples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from mlbaseline.assets import FetchedAsset
from mlbaseline.engine.training.job import TrainingJob
from mlbaseline.records import Trained
from mlbaseline.suite import Evaluation, Full, Lora, TrainedSpec
from mlbaseline.tasks.prompting import Prompting
from tests.support.ladders.choice_task import TASK, TEMPLATE, make_data

OPTIONS: dict[str, Any] = {"base": "zero_shot", "epochs": 3, "batch_size": 8}
LORA = Lora(kind="peft", method="lora", rank=4, dropout=0.1, learning_rate=2e-2, **OPTIONS)
FULL = Full(kind="full", learning_rate=2e-3, **OPTIONS)


def make_job(folder: Path, spec: TrainedSpec = LORA, seed: int = 0, **changes: Any) -> TrainingJob:
    """A training of the model in `folder`. changes: fields of the job."""
    job = TrainingJob(
        task=TASK,
        spec=spec,
        seed=seed,
        base=FetchedAsset(folder, "0" * 64),
        base_source="tiny",
        train=make_data("train", 42),
        dev=make_data("dev", 15),
        prompting=Prompting(TEMPLATE),
        evaluation=Evaluation(max_length=64, latency_sample=0),
        precision="fp32",
        device="cpu",
    )
    return replace(job, **changes)


def weights_of(trained: Trained) -> dict[str, torch.Tensor]:
    (file,) = trained.folder.glob("*.safetensors")
    return load_file(file)


def same_weights(one: Trained, other: Trained) -> bool:
    ours, theirs = weights_of(one), weights_of(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
