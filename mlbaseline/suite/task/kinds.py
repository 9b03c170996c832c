"""The kinds of task: one type each, with the facts of the kind that a suite file is checked by."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from mlbaseline.records import OutputType
from mlbaseline.suite.data import Columns, DataSource, TextColumns
from mlbaseline.suite.task.base import OwnDataTask, PromptedTask, TaskSpec

Normalisation = Literal["none", "byte", "token", "unconditional"]


class ChoiceTask(PromptedTask):
    """One of several choices is right; the model scores the log-likelihood of each."""

    output_type = OutputType.MULTIPLE_CHOICE
    default_metric = "accuracy"
    selects_by = "accuracy"
    trivial_strategies = ("majority", "uniform", "stratified", "keyword", "constant", "callable")

    added_later = frozenset({"target_map"})

    kind: Literal["choice"]
    """One of several choices is right. The model scores the log-likelihood of each."""
    choices: Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    """The choices, the same for all examples. Quote `yes` and `no`, which YAML reads as truth values."""
    target_map: dict[str, str] = Field(default_factory=dict)
    """Value of the target column ─▶ the choice that it stands for, such as `{"Positive ": positive, pos: positive}`."""
    normalisation: Normalisation = "none"
    """How the log-likelihood that decides is normalised: not at all, per byte, per token, or minus that of the choice
    without the prompt (`unconditional`).
    """

    @model_validator(mode="after")
    def _consistent(self) -> ChoiceTask:
        if (self.choices is None) == (self.columns.choices is None):
            raise ValueError("give either `choices` (the same for all examples) or `columns.choices` (their columns)")
        if self.choices is not None and len(set(self.choices)) != len(self.choices):
            raise ValueError(f"choices must differ from each other, got {list(self.choices)}")
        for value, choice in self.target_map.items():
            if self.choices is None or choice not in self.choices:
                raise ValueError(f"target_map.{value}: expected one of `choices`, got {choice!r}")
            if value in self.choices:
                raise ValueError(f"target_map.{value}: is a choice itself; leave it out")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """What an answer may be: the choices themselves, or their positions where they differ by example."""
        if self.choices is not None:
            return self.choices
        return tuple(str(position) for position in range(len(self.columns.choices or ())))


class GenerateTask(PromptedTask):
    """The model generates a text, which is right if it is one of the accepted answers.

    The column `target` holds the answer, or a list of answers of which the first is the one to learn.
    """

    output_type = OutputType.GENERATE_UNTIL
    default_metric = "exact_match"
    selects_by = "nll_nats"
    trivial_strategies = ("majority", "stratified", "keyword", "constant", "callable")

    kind: Literal["generate"]
    """The model generates a text, which is compared with the accepted answers."""
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Stop sequences: the text is cut where the first of these begins."""
    max_new_tokens: PositiveInt = 64
    """Largest number of generated tokens."""
    temperature: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Sampling temperature. 0 takes the most likely token each time (greedy)."""
    samples: PositiveInt = 1
    """Number of texts per example. More than 1 needs a temperature above 0."""
    k: PositiveInt = 1
    """The k of pass@k, at most `samples`."""
    extract: str | None = None
    """Regular expression. Its first match, or that match's first group, is the answer."""

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

    def check_generation(self, generate_with: str) -> None:
        if generate_with == "transformers" and (self.temperature or self.samples > 1):
            raise ValueError(
                "evaluation.generate_with: what transformers draws depends on the batch; expected temperature 0 and "
                "one sample, or another engine"
            )


class PerplexityTask(OwnDataTask):
    """The model scores the likelihood of each text, in windows of `evaluation.max_length` tokens."""

    output_type = OutputType.LOGLIKELIHOOD_ROLLING
    default_metric = "byte_perplexity"
    selects_by = "nll_nats"
    trivial_strategies = ("uniform", "stratified")
    prompt_may_show_target = True
    trivial_is_random = False
    chat_template: ClassVar[bool] = False
    system: ClassVar[None] = None

    kind: Literal["perplexity"]
    """The model scores the likelihood of each text."""
    columns: TextColumns
    """Roles of the data's columns."""
    stride: PositiveInt | None = None
    """Number of tokens that a window adds to the one before. The rest of the window is context. Without it, windows do
    not overlap.
    """

    @property
    def prompt(self) -> str:
        """What a model reads: the text, with nothing around it."""
        return "{text}"


LM_EVAL_TARGET, LM_EVAL_ID, LM_EVAL_CONTEXT = "lm_eval.target", "lm_eval.id", "lm_eval.context"
"""Columns beside those of a document."""


class LmEvalTask(TaskSpec):
    """A task of lm-evaluation-harness: its documents, prompts, choices, filters and few-shot sampler.

    Before evaluation it becomes one of the other kinds, by its output type.
    """

    chat_template: ClassVar[bool] = False
    system: ClassVar[None] = None

    kind: Literal["lm_eval"]
    """A task of lm-evaluation-harness (extra `lm-eval`)."""
    name: Annotated[str, Field(min_length=1)]
    """Name of the task in lm-eval's registry or in `folder`."""
    folder: Annotated[str, Field(min_length=1)] | None = None
    """Folder with tasks of your own as YAML files."""
    limit: PositiveInt | None = None
    """Use only the first documents, this many."""
    filter: str | None = None
    """Name of the filter pipeline whose result is the answer of a generation. Without it, the task's first."""
    normalisation: Normalisation = "none"
    """For choices: `none` is lm-eval's acc, `byte` its acc_norm. See the task kind `choice`."""

    @property
    def data(self) -> DataSource:
        return DataSource(test=f"lm-eval:{self.name}")

    @property
    def split(self) -> None:
        return None

    @property
    def columns(self) -> Columns:
        return Columns.model_validate({"target": LM_EVAL_TARGET, "id": LM_EVAL_ID, "context": LM_EVAL_CONTEXT})

    @property
    def prompt(self) -> str:
        """The context as lm-eval builds it, without solved examples."""
        return "{context}"

    def check_generation(self, generate_with: str) -> None:
        """Leave the check to the loaded task, which knows whether it generates texts."""


TASKS: dict[str, type[TaskSpec]] = {
    "choice": ChoiceTask,
    "generate": GenerateTask,
    "perplexity": PerplexityTask,
    "lm_eval": LmEvalTask,
}
"""Kind of task ─▶ its type."""
