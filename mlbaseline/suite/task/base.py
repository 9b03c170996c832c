"""What every kind of task has, and what the kinds over data of our own have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, model_validator

from mlbaseline.records import OutputType
from mlbaseline.suite.data import Columns, DataSource, Slicing, SplitSizes, TextColumns
from mlbaseline.suite.node import METRIC_NAMES, MetricName, Name, Node


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


class OwnDataTask(TaskSpec):
    """A task over data of our own."""

    data: DataSource
    """Files with the examples."""
    split: SplitSizes | None = None
    """Sizes of train, dev and test. Goes with `data.source`; leave it out with a file per split."""

    @model_validator(mode="after")
    def _split_with_source(self) -> OwnDataTask:
        if (self.data.source is None) == (self.split is not None):
            raise ValueError(
                "`split` divides `data.source`: give it with one source, leave it out with a file per split"
            )
        return self


class PromptedTask(OwnDataTask):
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
