"""What a training is made of: its options and data, and the model, optimiser and schedule that follow from them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import torch
from transformers import get_scheduler

from mlbaseline.assets import FetchedAsset
from mlbaseline.engine.encoding import Encoder, Tokens
from mlbaseline.engine.scoring import reading_length
from mlbaseline.errors import DataError
from mlbaseline.models.checkpoint import Checkpoint, Precision, load_checkpoint
from mlbaseline.records import Scalar, TaskData, digest_of
from mlbaseline.suite import Evaluation, Peft, TrainedSpec
from mlbaseline.tasks.prompting import Prompting

TRAINING_VERSION = 1
"""Part of every signature: raised when the same options lead to other weights."""


@dataclass(frozen=True)
class TrainingJob:
    """All that decides which weights come out.

    base_source: how the suite names the base. prompting: without few-shot prefix. dev: the epoch that scores best on
    it by `spec.select` is taken; without it the last one.
    """

    spec: TrainedSpec
    seed: int
    base: FetchedAsset
    base_source: str
    train: TaskData
    dev: TaskData | None
    prompting: Prompting
    evaluation: Evaluation
    precision: Precision
    device: str

    def signature_fields(self) -> dict[str, Scalar]:
        """`training.*`: every option, the data and the base, by content."""
        options = self.spec.model_dump(mode="json", exclude={"kind", "base"})
        return {
            "training.version": TRAINING_VERSION,
            "training.kind": self.spec.kind,
            "training.base_sha256": self.base.sha256,
            "training.train_digest": self.train.digest,
            "training.dev_digest": self.dev.digest if self.dev else None,
            "training.template": self.prompting.template,
            "training.max_length": self.evaluation.max_length,
            "training.precision": self.precision,
            "training.device": self.device.split(":", maxsplit=1)[0],
            **{
                f"training.{name}": json.dumps(value, sort_keys=True) if isinstance(value, list | dict) else value
                for name, value in options.items()
            },
        }

    @property
    def key(self) -> str:
        """Names the training in the cache."""
        return digest_of({**self.signature_fields(), "seed": self.seed})


@dataclass(frozen=True, slots=True)
class Sample:
    """tokens: what is read (context, answer without its last token). answer: what the last places must predict."""

    tokens: Tokens
    answer: Tokens


def make_samples(job: TrainingJob, checkpoint: Checkpoint) -> list[Sample]:
    """The training examples with their right answers. Raises DataError for one that cannot be encoded."""
    encoder = Encoder(checkpoint.tokenizer, reading_length(checkpoint, job.evaluation))
    samples = []
    for example in sorted(job.train.examples, key=lambda example: example.id):  # an order that content decides
        try:
            encoded = encoder.encode(job.prompting.solved(example, job.train.labels))
        except ValueError as error:
            raise DataError(f"training example {example.id!r}: {error}") from error
        (context,), (answer,) = encoded.contexts, encoded.continuations
        samples.append(Sample((*context, *answer[:-1]), answer))
    return samples


def load_base(job: TrainingJob) -> Checkpoint:
    """The base of a training. What is trained is held in fp32 whatever the precision computed in; a frozen base is
    held in that precision."""
    precision = job.precision if isinstance(job.spec, Peft) else "fp32"
    return load_checkpoint(job.base.path, precision=precision, device=job.device)


def make_optimizer(model: Any, spec: TrainedSpec) -> torch.optim.Optimizer:
    """AdamW over what is trainable; norms and biases do not decay."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": spec.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=spec.learning_rate, fused=True)


def make_schedule(optimizer: torch.optim.Optimizer, spec: TrainedSpec, total_steps: int) -> Any:
    """Linear warm-up, then the suite's schedule down to 0 (constant: no way down)."""
    name = "constant_with_warmup" if spec.schedule == "constant" else spec.schedule
    return get_scheduler(name, optimizer, math.ceil(spec.warmup_ratio * total_steps), total_steps)
