"""What a training is made of: its options and data, and the model, optimiser and schedule that follow from them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import torch
from transformers import get_scheduler

from mlbaseline.assets import FetchedAsset
from mlbaseline.engine.encoding import Encoder, Tokens, windows
from mlbaseline.engine.scoring import reading_length
from mlbaseline.errors import DataError
from mlbaseline.models.checkpoint import Checkpoint, Precision, load_checkpoint, quiet_transformers
from mlbaseline.records import Scalar, TaskData, digest_of
from mlbaseline.suite import ALL_LINEAR, ChoiceTask, Evaluation, GenerateTask, Peft, PerplexityTask, Task, TrainedSpec
from mlbaseline.tasks.prompting import Prompt, Prompting

TRAINING_VERSION = 1
"""Part of every signature: raised when the same options lead to other weights."""


@dataclass(frozen=True)
class TrainingJob:
    """All that decides which weights come out.

    base_source: how the suite names the base. prompting: without few-shot prefix. dev: the epoch that scores best on
    it by `spec.select` is taken; without it the last one.
    """

    task: Task
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
            **({} if isinstance(self.task, ChoiceTask) else {"training.task": self.task.kind}),
            "training.max_length": self.evaluation.max_length,
            "training.precision": self.precision,
            "training.device": self.device.split(":", maxsplit=1)[0],
            **{
                f"training.{name}": json.dumps(value) if isinstance(value, list) else value
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


def make_samples(job: TrainingJob, checkpoint: Checkpoint, data: TaskData) -> list[Sample]:
    """The examples of a split with what is to be learnt of them: the right choice; the wanted text and the token that
    ends it; or a whole text, in windows that do not overlap. Raises DataError for one that cannot be encoded."""
    encoder = Encoder(checkpoint.tokenizer, reading_length(checkpoint, job.evaluation))
    end = checkpoint.tokenizer.eos_token_id
    ends = (end,) if isinstance(job.task, GenerateTask) and end is not None else ()
    samples = []
    for example in sorted(data.examples, key=lambda example: example.id):  # an order that content decides
        try:
            if isinstance(job.task, PerplexityTask):
                samples += _text_samples(encoder, job.prompting.prompt(example).context)
            else:
                samples.append(_answer_sample(encoder, job.prompting.solved(example, data.labels), ends))
        except ValueError as error:
            raise DataError(f"{data.split} example {example.id!r}: {error}") from error
    return samples


def _answer_sample(encoder: Encoder, solved: Prompt, ends: Tokens) -> Sample:
    encoded = encoder.encode(solved)
    (context,), (answer,) = encoded.contexts, encoded.continuations
    answer = (*answer, *ends)
    return Sample((*context, *answer[:-1])[-encoder.max_length :], answer)


def _text_samples(encoder: Encoder, text: str) -> list[Sample]:
    start, tokens = encoder.encode_text(text)
    found = windows(start, tokens, encoder.max_length, encoder.max_length)
    return [Sample((*context, *predicted[:-1]), predicted) for context, predicted in found]


def load_base(job: TrainingJob) -> Checkpoint:
    """The base of a training. What is trained is held in fp32 whatever the precision computed in; a frozen base is
    held in that precision."""
    precision = job.precision if isinstance(job.spec, Peft) else "fp32"
    return load_checkpoint(job.base.path, precision=precision, device=job.device)


def add_adapter(model: Any, spec: Peft, base_source: str) -> Any:
    """The model with LoRA matrices, in fp32, as its only trainable parameters."""
    from peft import LoraConfig, get_peft_model

    n_layers = model.config.get_text_config().num_hidden_layers
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=spec.rank,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        target_modules=_target_modules(model, spec),
        layers_to_transform=None if spec.last_layers is None else list(range(n_layers)[-spec.last_layers :]),
    )
    with quiet_transformers():
        adapted = get_peft_model(model, config)
    # Else the adapter would name a folder of this machine.
    adapted.peft_config["default"].base_model_name_or_path = base_source
    return adapted


def _target_modules(model: Any, spec: Peft) -> str | list[str]:
    if spec.target_modules == ALL_LINEAR:
        # peft 0.21 knows this word too, but not together with layers_to_transform.
        output = model.get_output_embeddings()
        linear = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and m is not output]
        return sorted({name.rpartition(".")[2] for name in linear})
    return spec.target_modules if isinstance(spec.target_modules, str) else list(spec.target_modules)


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
