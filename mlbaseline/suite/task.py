"""What is asked: one type for each kind of task, with the facts of the kind that a suite file is checked by.

How a kind is prompted, answered and concluded stands in `tasks.kinds`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, GetCoreSchemaHandler, PositiveInt, field_validator, model_validator
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from mlbaseline.records import OutputType
from mlbaseline.suite.data import Columns, DataSource, Slicing, SplitSizes, TextColumns
from mlbaseline.suite.node import METRIC_NAMES, MetricName, Name, Node

Normalisation = Literal["none", "byte", "token", "unconditional"]


class TaskSpec(Node):
    """What every kind of task has."""

    output_type: ClassVar[OutputType | None] = None
    """What is asked of a model; None where only the loaded task says it."""
    default_metric: ClassVar[MetricName]
    """What a suite reports where it names no metrics."""
    selects_by: ClassVar[MetricName]
    """What a training chooses its epoch by where the suite does not say."""
    trivial_strategies: ClassVar[tuple[str, ...]] = ()
    """Strategies of trivial baselines that can answer."""
    prompt_may_show_target: ClassVar[bool] = False
    trivial_is_random: ClassVar[bool] = True
    """Whether the trivial strategies `uniform` and `stratified` draw their answers."""

    slices: dict[Name, Slicing] = Field(default_factory=dict)
    """Name ─▶ how the examples are cut into groups."""

    if TYPE_CHECKING:  # each kind has these as a key of the file, or as a property

        @property
        def kind(self) -> str: ...
        @property
        def data(self) -> DataSource: ...
        @property
        def split(self) -> SplitSizes | None: ...
        @property
        def columns(self) -> Columns | TextColumns: ...
        @property
        def prompt(self) -> str: ...
        @property
        def chat_template(self) -> bool: ...
        @property
        def system(self) -> str | None: ...

    @property
    def labels(self) -> tuple[str, ...]:
        """What an answer may be; () where it may be anything."""
        return ()

    @property
    def is_random(self) -> bool:
        """Whether a model that is the same answers differently with another seed."""
        return False

    @classmethod
    def metric_names(cls) -> tuple[MetricName, ...]:
        """Metrics that a suite with this kind of task may report."""
        return METRIC_NAMES[cls.output_type] if cls.output_type else ()

    def check_generation(self, generate_with: str) -> None:
        """Raise ValueError where the task cannot be answered with this `evaluation.generate_with`."""
        if generate_with != "engine":
            raise ValueError(f"evaluation.generate_with: a task of kind {self.kind} generates no texts; leave it out")


class _Task(TaskSpec):
    """A task over data of our own."""

    data: DataSource
    """Files with the examples."""
    split: SplitSizes | None = None
    """Sizes of train, dev and test. Goes with `data.source`; leave it out with a file per split."""

    @model_validator(mode="after")
    def _split_with_source(self) -> _Task:
        if (self.data.source is None) == (self.split is not None):
            raise ValueError(
                "`split` divides `data.source`: give it with one source, leave it out with a file per split"
            )
        return self


class PromptedTask(_Task):
    """A task with a prompt."""

    columns: Columns
    """Roles of the data's columns. Any further key renames a column into a prompt field: `text: tweet_body`."""
    prompt: Annotated[str, Field(min_length=1)]
    r"""Prompt template with prompt fields in braces, such as `"Tweet: {text}\nSentiment:"`. Write `{{` and `}}` for
    literal braces.
    """
    chat_template: bool = False
    """If true, the prompt is a user message in the model's own chat template."""
    system: Annotated[str, Field(min_length=1)] | None = None
    """System message before the prompt. Needs `chat_template`."""
    fewshot_as_multiturn: bool = False
    """If true, solved examples are earlier turns of the conversation. Needs `chat_template`."""

    @model_validator(mode="after")
    def _conversation(self) -> PromptedTask:
        if not self.chat_template and (self.system is not None or self.fewshot_as_multiturn):
            raise ValueError("`system` and `fewshot_as_multiturn` are of a conversation: set `chat_template: true`")
        return self


class ChoiceTask(PromptedTask):
    """One of several choices is right; the model scores the log-likelihood of each."""

    output_type = OutputType.MULTIPLE_CHOICE
    default_metric = "accuracy"
    selects_by = "accuracy"
    trivial_strategies = ("majority", "uniform", "stratified", "keyword", "constant", "callable")

    kind: Literal["choice"]
    """One of several choices is right. The model scores the log-likelihood of each."""
    choices: Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    """The choices, the same for all examples. Quote `yes` and `no`, which YAML reads as truth values."""
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


class PerplexityTask(_Task):
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


class _ByKind:
    """Lets pydantic read a task by the type that `TASKS` has for its kind. Editors are told of the four above."""

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        kinds = ChoiceTask | GenerateTask | PerplexityTask | LmEvalTask
        return core_schema.no_info_wrap_validator_function(
            lambda content, _: _read_task(content),
            handler.generate_schema(Annotated[kinds, Field(discriminator="kind")]),
            serialization=core_schema.wrap_serializer_function_ser_schema(
                lambda task, write: write(task), schema=core_schema.any_schema()
            ),
        )


def _read_task(content: Any) -> TaskSpec:
    if isinstance(content, TaskSpec):
        return content
    if not isinstance(content, Mapping):
        raise PydanticKnownError("model_attributes_type")
    if "kind" not in content:
        raise PydanticKnownError("union_tag_not_found", {"discriminator": "'kind'"})
    kind = content["kind"]
    if not isinstance(kind, str) or kind not in TASKS:
        expected = ", ".join(map(repr, TASKS))
        raise PydanticKnownError(
            "union_tag_invalid", {"discriminator": "'kind'", "tag": str(kind), "expected_tags": expected}
        )
    return TASKS[kind].model_validate(content)


Task = Annotated[TaskSpec, _ByKind()]
