"""How a model of ours answers a task: the one description of it, with its signature fields and the model it makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from mlbaseline.engine.generation.vllm_package import vllm_requirement
from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from mlbaseline.models.checkpoints.gguf import CONVERSION
from mlbaseline.models.checkpoints.placement import Placement, load_placed
from mlbaseline.models.checkpoints.precision import (
    Precision,
    computed_in,
    default_device,
    precision_fields,
    resolve_precision,
)
from mlbaseline.models.checkpoints.quantization import packages_of
from mlbaseline.models.checkpoints.tokenizer import tokenizer_sha256
from mlbaseline.records import Model, OutputType, Scalar
from mlbaseline.suite import Evaluation, Task
from mlbaseline.tasks import TaskKind, kind_of
from mlbaseline.tasks.prompting import PromptFormat

if TYPE_CHECKING:
    from mlbaseline.engine.inference.execution import Execution


@dataclass(frozen=True)
class AnsweringSpec:
    """How a causal language model answers a task.

    Baselines, the measurement on dev, the served model and the registered champion all answer by one of these.

    Attributes:
        task: What the model answers.
        evaluation: Batching, maximum length, what generates texts, and how many queries are timed.
        precision: Of the weights.
        device: On which the model computes, such as `cpu` or `cuda`.
        seed: Of what is drawn; None where nothing is.
        compute_precision: In which quantised weights are multiplied; None: in the one that suits the device.
    """

    task: Task
    evaluation: Evaluation
    precision: Precision
    device: str
    seed: int | None = None
    compute_precision: Precision | None = None

    @classmethod
    def on_this_machine(
        cls,
        task: Task,
        evaluation: Evaluation,
        *,
        seed: int | None = None,
        compute_precision: Precision | None = None,
    ) -> AnsweringSpec:
        """Resolve precision and device for this machine.

        Raises:
            MlbaselineError: The precision needs a package that is not installed.
        """
        placement = Placement.of(evaluation)
        device = placement.device if placement else default_device()
        precision = resolve_precision(evaluation.precision, device)
        return cls(task, evaluation, precision, device, seed, compute_precision)

    @property
    def compute(self) -> Precision:
        """The precision that is computed in."""
        return self.compute_precision or computed_in(self.precision, self.device)

    @property
    def untimed(self) -> AnsweringSpec:
        """The same without timing any query alone."""
        return replace(self, evaluation=self.evaluation.model_copy(update={"latency_sample": 0}))

    @property
    def placement(self) -> Placement | None:
        """Where the parts of a model lie; None where all of it lies on `device`."""
        return Placement.of(self.evaluation)

    @property
    def is_by_vllm(self) -> bool:
        """Whether vLLM answers, in processes of its own."""
        return self.kind.output_type is OutputType.GENERATE_UNTIL and self.evaluation.generate_with == "vllm"

    def engine_fields(self) -> dict[str, Scalar]:
        """Return the `engine.*` fields of a signature: how answers are computed, whatever the task."""
        from mlbaseline.engine.scoring.choices import ENGINE_VERSION

        return {
            "engine.version": ENGINE_VERSION[self.precision],
            "engine.batch_tokens": self.evaluation.batch_tokens,
            "engine.max_length": self.evaluation.max_length,
            **precision_fields(self.precision, self.compute),
            "engine.device": self.device,
            **({"engine.invariant": "vllm" if self.is_by_vllm else True} if self.evaluation.invariant else {}),
        }

    def task_fields(self) -> dict[str, Scalar]:
        """Return what of the task decides an answer, beside data and prompt, as fields of a signature."""
        fields = self.kind.answer_fields(self.evaluation)
        if self.kind.output_type is OutputType.GENERATE_UNTIL:
            fields |= {"engine.generate_with": self.evaluation.generate_with, **_generation_version()}
        return fields

    def tokenizer_fields(self, model: Path) -> dict[str, Scalar]:
        """Return which tokenizer counts, where scores are per token. model: a folder or file with the tokenizer."""
        return {"model.tokenizer_sha256": tokenizer_sha256(model)} if self.kind.counts_tokens else {}

    def signature_fields(self, model: Path) -> dict[str, Scalar]:
        """Return everything of this that decides an answer, as fields of a signature.

        Args:
            model: A folder or file with the model's tokenizer.
        """
        placed: dict[str, Scalar] = {"engine.device_map": str(self.placement)} if self.placement else {}
        return {**self.engine_fields(), **placed, **self.task_fields(), **self.tokenizer_fields(model)}

    def cache_fields(self, weights_sha256: str) -> dict[str, Scalar]:
        """Return what decides the results that are cached, beside the requests themselves.

        Args:
            weights_sha256: Names the model by content.
        """
        packages = ("torch", "transformers", "peft", *packages_of(self.precision))
        fields: dict[str, Scalar] = {"weights": weights_sha256, "conversion": CONVERSION, **self.engine_fields()}
        fields |= {f"software.{package}": metadata.version(package) for package in packages}
        if self.is_by_vllm:
            fields["software.vllm"] = " ".join(vllm_requirement() or ())
        decoding = self.kind.decoding
        if decoding is not None:
            fields |= replace(decoding, extract=None).signature_fields()  # what is extracted is extracted anew
            fields |= {"with": self.evaluation.generate_with, **_generation_version(), "seed": self.seed}
        return fields

    def loader(self, path: Path, base: Path | None = None) -> Callable[..., Checkpoint]:
        """Return a function that loads the model in this precision; other processes may call it, too.

        Args:
            path: As for `load_checkpoint`.
            base: Of an adapter.
        """
        if self.placement is not None:
            return partial(load_placed, path, base=base, precision=self.precision, placement=self.placement)
        return partial(
            load_checkpoint, path, base=base, precision=self.precision, compute=self.compute, device=self.device
        )

    def build(self, checkpoint: Checkpoint, prompting: PromptFormat, execution: Execution | None = None) -> Model:
        """Make the model that answers the task.

        Args:
            checkpoint: The loaded model.
            prompting: How examples become prompts.
            execution: Cache, worker processes and progress bar, none of which changes an answer.
        """
        from mlbaseline.engine.inference.batched_model import LOCAL

        return _MODELS[self.kind.output_type](self, checkpoint, prompting, execution or LOCAL)

    @property
    def kind(self) -> TaskKind[Task]:
        """The task, with what its kind decides."""
        return kind_of(self.task)


def _make_choice_model(
    spec: AnsweringSpec, checkpoint: Checkpoint, prompting: PromptFormat, execution: Execution
) -> Model:
    from mlbaseline.engine.inference.tokenization import make_encoder
    from mlbaseline.engine.scoring.choices import ChoiceScorer
    from mlbaseline.engine.scoring.normalization import NormalisedChoices, Unconditional

    normalisation, labels, evaluation = spec.kind.normalisation, spec.task.labels, spec.evaluation
    scorer = ChoiceScorer(checkpoint, prompting, labels, evaluation, execution)
    if normalisation == "none":
        return scorer
    silent = replace(execution, description=None)
    without_prompt = ChoiceScorer(checkpoint, Unconditional(prompting), labels, spec.untimed.evaluation, silent)
    return NormalisedChoices(
        scorer,
        prompting,
        make_encoder(checkpoint, evaluation),
        labels,
        by=normalisation,
        unconditional=without_prompt if normalisation == "unconditional" else None,
    )


def _make_generator(
    spec: AnsweringSpec, checkpoint: Checkpoint, prompting: PromptFormat, execution: Execution
) -> Model:
    from mlbaseline.engine.generation.generator import Generator

    decoding = spec.kind.decoding
    assert decoding is not None  # every kind that generates says how
    return Generator(checkpoint, prompting, decoding, spec.evaluation, execution, seed=spec.seed)


def _make_text_scorer(
    spec: AnsweringSpec, checkpoint: Checkpoint, prompting: PromptFormat, execution: Execution
) -> Model:
    from mlbaseline.engine.scoring.perplexity import TextScorer

    return TextScorer(checkpoint, prompting, spec.evaluation, execution, stride=spec.kind.stride)


_MODELS: dict[OutputType, Callable[[AnsweringSpec, Checkpoint, PromptFormat, Execution], Model]] = {
    OutputType.MULTIPLE_CHOICE: _make_choice_model,
    OutputType.GENERATE_UNTIL: _make_generator,
    OutputType.LOGLIKELIHOOD_ROLLING: _make_text_scorer,
}
"""Output type ─▶ what makes its model."""


def _generation_version() -> dict[str, Scalar]:
    from mlbaseline.engine.generation.generator import GENERATION_VERSION

    return {"generation.version": GENERATION_VERSION}
