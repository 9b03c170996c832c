"""What a training is made of: its options and data, and the model, optimiser and schedule that follow from them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch

from mlbaseline.assets import FetchedAsset
from mlbaseline.engine.answering import AnsweringSpec
from mlbaseline.engine.generation.stop_criteria import end_tokens
from mlbaseline.engine.inference.tokenization import (
    Encoder,
    TargetSequence,
    Tokens,
    make_encoder,
    split_into_windows,
)
from mlbaseline.engine.training.signature_fields import data_fields, option_fields, prompt_fields
from mlbaseline.errors import DataError
from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from mlbaseline.models.checkpoints.precision import Precision, computed_in
from mlbaseline.records import OutputType, Scalar, TaskData, digest_of
from mlbaseline.suite import Evaluation, Peft, Task, TrainedSpec
from mlbaseline.tasks import kind_of
from mlbaseline.tasks.prompting import Prompt, TrainingPromptFormat

TRAINING_VERSION: dict[Precision, int] = {"fp32": 2, "fp16": 3, "bf16": 5}
"""By what steps are computed in. Part of every signature: raised when the same options lead to other weights."""


@dataclass(frozen=True)
class TrainingJob:
    """All that decides which weights come out.

    base_source: how the suite names the base. prompting: without few-shot prefix. dev: the epoch that scores best on
    it by `spec.select` is taken; without it the last one. initialisation_seed, order_seed: of the first weights of an
    adapter, and of the order of the data with dropout; None: `seed` is theirs, too.
    """

    task: Task
    spec: TrainedSpec
    seed: int
    base: FetchedAsset
    base_source: str
    train: TaskData
    dev: TaskData | None
    prompting: TrainingPromptFormat
    evaluation: Evaluation
    precision: Precision
    device: str
    initialisation_seed: int | None = None
    order_seed: int | None = None

    @property
    def answering(self) -> AnsweringSpec:
        """How the model answers dev while it is trained."""
        return AnsweringSpec(self.task, self.evaluation, self.precision, self.device, self.seed)

    @property
    def compute(self) -> Precision:
        """What steps are computed in."""
        return computed_in(self.precision, self.device)

    def signature_fields(self) -> dict[str, Scalar]:
        """`training.*`: every option, the data and the base, by content."""
        prompt = self.prompting.signature_fields()
        return {
            "training.version": TRAINING_VERSION[self.compute],
            "training.base_sha256": self.base.sha256,
            **data_fields(self.spec, self.train, self.dev, prompt),
            **prompt_fields(prompt),
            **kind_of(self.task).training_fields(),
            "training.max_length": self.evaluation.max_length,
            "training.precision": self.precision,
            **({} if self.compute == self.precision else {"training.compute_precision": self.compute}),
            "training.device": self.device.split(":", maxsplit=1)[0],
            **option_fields(self.spec),
        }

    @property
    def reading_key(self) -> str:
        """Names what the base reads, and how, which is the same for every seed and whatever is trained."""
        of_training = {"version", "kind", "dev_digest", *type(self.spec).model_fields}
        fields = self.signature_fields().items()
        return digest_of({name: value for name, value in fields if name.removeprefix("training.") not in of_training})

    @property
    def key(self) -> str:
        """Names the training in the cache."""
        own = {"initialisation_seed": self.initialisation_seed, "order_seed": self.order_seed}
        known = {name: seed for name, seed in own.items() if seed is not None}
        return digest_of({**self.signature_fields(), "seed": self.seed, **known})


def make_sequences(job: TrainingJob, checkpoint: Checkpoint, data: TaskData) -> list[TargetSequence]:
    """Make what is learnt of the examples of a split.

    That is the right choice, the wanted text with its end token, or a whole text in windows that do not overlap.

    Raises:
        DataError: an example cannot be encoded.
    """
    encoder = make_encoder(checkpoint, job.evaluation)
    cached = _cached_sequences(digest_of([job.reading_key, data.split, data.digest, encoder.max_length]))
    if not cached:
        cached += _encode(job, checkpoint, data, encoder)
    return list(cached)


@lru_cache(maxsize=2)
def _cached_sequences(_: str) -> list[TargetSequence]:
    """Of the last two splits, which the next seed learns from and is measured on, too."""
    return []


def _encode(job: TrainingJob, checkpoint: Checkpoint, data: TaskData, encoder: Encoder) -> list[TargetSequence]:
    end = _end(job, checkpoint) if job.task.output_type is OutputType.GENERATE_UNTIL else ()
    sequences: list[TargetSequence] = []
    for example in sorted(data.examples, key=lambda example: example.id):  # an order that content decides
        try:
            if job.task.output_type is OutputType.LOGLIKELIHOOD_ROLLING:
                start, tokens = encoder.encode_text(job.prompting.prompt(example).context)
                sequences += split_into_windows(start, tokens, encoder.max_length, encoder.max_length)
            else:
                sequences.append(_encode_answer(encoder, job.prompting.solved(example, data.labels), end))
        except ValueError as error:
            raise DataError(f"{data.split} example {example.id!r}: {error}") from error
    return sequences


def _end(job: TrainingJob, checkpoint: Checkpoint) -> Tokens:
    """Return the token that ends an answer.

    It is the first that the chat template writes behind an answer, if that ends a text for this model, else the
    tokenizer's end token.
    """
    written = checkpoint.tokenizer(job.prompting.ending, add_special_tokens=False)["input_ids"][:1]
    if written and written[0] in end_tokens(checkpoint):
        return tuple(written)
    own = checkpoint.tokenizer.eos_token_id
    return () if own is None else (own,)


def _encode_answer(encoder: Encoder, solved: Prompt, end: Tokens) -> TargetSequence:
    encoded = encoder.encode(solved)
    (context,), (answer,) = encoded.contexts, encoded.continuations
    sequence = TargetSequence.join(context, (*answer, *end))
    return replace(sequence, input_tokens=sequence.input_tokens[-encoder.max_length :])


def load_base(job: TrainingJob) -> Checkpoint:
    """Load the base of a training: in the precision of the job if it is frozen, in fp32 if it is trained."""
    precision = job.precision if isinstance(job.spec, Peft) else "fp32"
    return load_checkpoint(job.base.path, precision=precision, device=job.device)


def trainable(model: Any) -> dict[str, torch.nn.Parameter]:
    """Give the parameters of a model that learn, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def make_optimizer(parameters: Iterable[torch.nn.Parameter], spec: TrainedSpec) -> torch.optim.Optimizer:
    """Make AdamW over parameters; norms and biases do not decay."""
    trained = list(parameters)
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": spec.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=spec.learning_rate, fused=True)


def make_schedule(optimizer: torch.optim.Optimizer, spec: TrainedSpec, total_steps: int) -> Any:
    """Linear warm-up, then the suite's schedule down to 0 (constant: no way down)."""
    name = "constant_with_warmup" if spec.schedule == "constant" else spec.schedule
    # Seconds to import, which torchrun's agent and a ladder that trains nothing need not spend.
    from transformers import get_scheduler

    return get_scheduler(name, optimizer, math.ceil(spec.warmup_ratio * total_steps), total_steps)
