"""What is asked: the kinds of task."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from mlbaseline.suite.data import Columns, DataSource, Slicing, SplitSizes, TextColumns
from mlbaseline.suite.nodes import MetricName, Name, Node


class _AnyTask(Node):
    """What every kind of task has: slices of its data."""

    slices: dict[Name, Slicing] = Field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """What an answer may be; () where it may be anything."""
        return ()

    @property
    def is_random(self) -> bool:
        """Whether a model that is the same answers differently with another seed."""
        return False


class _Task(_AnyTask):
    """A task over data of our own.

    default_metric, selects_by: what a suite reports, and an epoch is chosen by, where it does not say.
    """

    default_metric: ClassVar[MetricName]
    selects_by: ClassVar[MetricName]

    data: DataSource
    split: SplitSizes | None = None

    @model_validator(mode="after")
    def _split_with_source(self) -> _Task:
        if (self.data.source is None) == (self.split is not None):
            raise ValueError(
                "`split` divides `data.source`: give it with one source, leave it out with a file per split"
            )
        return self


class _PromptedTask(_Task):
    """What is asked by a prompt.

    chat_template: the prompt is what a user says, and the model's own template writes it down; system: said before.
    fewshot_as_multiturn: solved examples are earlier turns of the conversation, and no text in front of the prompt.
    """

    columns: Columns
    prompt: Annotated[str, Field(min_length=1)]
    chat_template: bool = False
    system: Annotated[str, Field(min_length=1)] | None = None
    fewshot_as_multiturn: bool = False

    @model_validator(mode="after")
    def _conversation(self) -> _PromptedTask:
        if not self.chat_template and (self.system is not None or self.fewshot_as_multiturn):
            raise ValueError("`system` and `fewshot_as_multiturn` are of a conversation: set `chat_template: true`")
        return self


class ChoiceTask(_PromptedTask):
    """One of several choices is right; what is scored is how likely each of them is.

    normalisation: the choice predicted is the one with the highest log-likelihood as it is, per byte, per token, or
    minus that of the choice without a prompt.
    """

    default_metric = "accuracy"
    selects_by = "accuracy"

    kind: Literal["choice"]
    choices: Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    normalisation: Literal["none", "byte", "token", "unconditional"] = "none"

    @model_validator(mode="after")
    def _consistent(self) -> ChoiceTask:
        if (self.choices is None) == (self.columns.choices is None):
            raise ValueError("give either `choices` (the same for all examples) or `columns.choices` (their columns)")
        if self.choices is not None and len(set(self.choices)) != len(self.choices):
            raise ValueError(f"choices must differ from each other, got {list(self.choices)}")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """What an answer may be: the choices themselves, or their positions where they differ by example."""
        if self.choices is not None:
            return self.choices
        return tuple(str(position) for position in range(len(self.columns.choices or ())))


class GenerateTask(_PromptedTask):
    """A text is to be written; it is right if it is one of the accepted answers.

    The column `target` holds the answer, or a list of answers of which the first is the one to learn. stop: the text is
    cut where the first of these begins. extract: regular expression; its first match is the answer, or that match's
    first group. temperature: 0 takes the most likely token each time; above it, `samples` texts are drawn. k: of
    pass@k.
    """

    default_metric = "exact_match"
    selects_by = "nll_nats"

    kind: Literal["generate"]
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    max_new_tokens: PositiveInt = 64
    temperature: Annotated[float, Field(ge=0, le=10)] = 0.0
    samples: PositiveInt = 1
    k: PositiveInt = 1
    extract: str | None = None

    @field_validator("extract")
    @classmethod
    def _compiles(cls, extract: str | None) -> str | None:
        try:
            re.compile(extract or "")
        except re.error as error:
            raise ValueError(f"not a regular expression ({error}): {extract!r}") from error
        return extract

    @model_validator(mode="after")
    def _samples_differ(self) -> GenerateTask:
        if self.columns.choices is not None:
            raise ValueError("`columns.choices` goes with kind `choice`")
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(f"samples ({self.samples}) would all be the same at temperature 0; raise it")
        if self.k > self.samples:
            raise ValueError(f"k ({self.k}) of pass@k must not exceed the samples ({self.samples})")
        return self

    @property
    def is_random(self) -> bool:
        return self.temperature > 0


class PerplexityTask(_Task):
    """How likely is each text? Read in windows of `evaluation.max_length` tokens.

    stride: tokens that a window adds to the one before, the rest of it being context; without it, windows do not
    overlap.
    """

    default_metric = "byte_perplexity"
    selects_by = "nll_nats"

    kind: Literal["perplexity"]
    columns: TextColumns
    stride: PositiveInt | None = None

    @property
    def prompt(self) -> str:
        """What a model reads: the text, with nothing around it."""
        return "{text}"


HARNESS_TARGET, HARNESS_ID, HARNESS_CONTEXT = "lm_eval.target", "lm_eval.id", "lm_eval.context"
"""Columns beside those of a document."""


class LmEvalTask(_AnyTask):
    """A task of lm-evaluation-harness: its documents, prompts, choices, filters and few-shot sampler.

    Before anything is asked it becomes one of the other kinds, by its output type (`tasks.opening`).

    folder: where tasks of your own lie as YAML, beside those of lm-eval's registry. limit: only the first documents.
    filter: the pipeline whose result is the answer of a generation; by default the task's first. normalisation: of
    choices, as in `ChoiceTask`; `none` is lm-eval's acc, `byte` its acc_norm. slices: by columns of the documents.
    """

    kind: Literal["lm_eval"]
    name: Annotated[str, Field(min_length=1)]
    folder: Annotated[str, Field(min_length=1)] | None = None
    limit: PositiveInt | None = None
    filter: str | None = None
    normalisation: Literal["none", "byte", "token", "unconditional"] = "none"

    @property
    def data(self) -> DataSource:
        return DataSource(test=f"lm-eval:{self.name}")

    @property
    def split(self) -> None:
        return None

    @property
    def columns(self) -> Columns:
        return Columns.model_validate({"target": HARNESS_TARGET, "id": HARNESS_ID, "context": HARNESS_CONTEXT})

    @property
    def prompt(self) -> str:
        """The context as lm-eval builds it, without solved examples."""
        return "{context}"


Task = Annotated[ChoiceTask | GenerateTask | PerplexityTask | LmEvalTask, Field(discriminator="kind")]
TASKS: dict[str, type[ChoiceTask | GenerateTask | PerplexityTask]] = {
    "choice": ChoiceTask,
    "generate": GenerateTask,
    "perplexity": PerplexityTask,
}
TASK_KINDS = (*TASKS, "lm_eval")
