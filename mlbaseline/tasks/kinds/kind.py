"""What a kind of task decides: its data, its prompts, what its answers depend on, and what is made of them.

What the engine has to compute for a kind is its output type; the engine has a model for each of these.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mlbaseline.records import Answer, Example, OutputType, Scalar, TaskData
from mlbaseline.suite import Evaluation, Normalisation, PromptedTask, Shots, Suite, TaskSpec
from mlbaseline.tasks.chat import ChatPrompting, Template
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.loading import Fetch, LoadedTask, load_files
from mlbaseline.tasks.prompting import Prompting, TrainingPromptFormat, answer_text, choose_shots, render, shots_text
from mlbaseline.tasks.targets import TargetReader, TextTargets, UsableRows

SpecT = TypeVar("SpecT", bound=TaskSpec)
PromptedT = TypeVar("PromptedT", bound=PromptedTask)
LoadTemplate = Callable[[], Template]
"""Loads the chat template of a model. Raises AssetError where it has none."""


@dataclass(frozen=True, slots=True)
class ServedColumn:
    """A column of what a served model answers. type: `string` or `double`."""

    name: str
    type: str


class TaskKind(ABC, Generic[SpecT]):
    """One task, with what its kind decides. The methods below are those of most kinds; a kind overrides the others."""

    def __init__(self, task: SpecT) -> None:
        self.task = task

    @classmethod
    def open(cls, suite: Suite) -> Suite:
        """Return the suite with the task that is evaluated; a kind whose task has to be loaded first puts it in."""
        return suite

    @classmethod
    def of_suite(cls, suite: Suite) -> TaskKind[Any]:
        """Return the task of a suite whose file names this kind."""
        return cls(suite.task)  # type: ignore[arg-type]  # the suite's type of task belongs to this kind

    # What the examples are

    def load(self, suite: Suite, fetch: Fetch) -> LoadedTask:
        """Load the examples of every split. Raises AssetError and DataError, as `load_task` does."""
        return load_files(suite, fetch, self.target_reader)

    def target_reader(self, rows: UsableRows) -> TargetReader:
        """Return the reader of the target column. rows: all usable ones."""
        del rows
        return TextTargets(self.task)

    # What a model is shown

    def prompting(
        self, load_template: LoadTemplate, *, shots: Sequence[Example] = (), labels: Sequence[str] = ()
    ) -> TrainingPromptFormat:
        """Return how examples become prompts.

        Args:
            load_template: Loads the chat template of the model; called only where the task has one.
            shots: Solved examples to show.
            labels: Of the task, in the order of the examples' choices.

        Raises:
            AssetError: The task asks for a chat template and the model has none.
        """
        del load_template
        return Prompting(self.task.prompt, shots_text(self.task.prompt, shots, labels), len(shots))

    def few_shot_prompting(
        self, shots: Shots | None, seed: int | None, load_train: Callable[[], TaskData], load_template: LoadTemplate
    ) -> tuple[TrainingPromptFormat, tuple[Example, ...] | None]:
        """Return how examples become prompts behind solved ones, and these; None where each prompt shows others.

        Args:
            shots: How many, and how they are chosen; None for none.
            seed: Of the draw, where they are drawn.
            load_train: Gives the training split, which is needed only where there are shots.
            load_template: As of `prompting`.
        """
        chosen = choose_shots(shots, load_train(), seed or 0) if shots else ()
        return self.prompting(load_template, shots=chosen, labels=self.task.labels), tuple(chosen)

    def imported_prompting(self, shots: int, seed: int | None) -> Prompting:
        """Return the prompts that another tool has shown if it prompted as this suite does, without a chat template.

        Args:
            shots: Number of solved examples that the tool reports.
            seed: Of its few-shot sampler; None where it is not known.
        """
        del shots, seed
        return Prompting(self.task.prompt)

    # What an answer depends on

    @property
    def decoding(self) -> Decoding | None:
        """How texts are generated; None where none are."""
        return None

    @property
    def normalisation(self) -> Normalisation:
        """How the log-likelihoods of choices are normalised before the most likely one is taken."""
        return "none"

    @property
    def stride(self) -> int | None:
        """Number of tokens that a window of a whole text adds to the one before; None: as many as it holds."""
        return None

    @property
    def counts_tokens(self) -> bool:
        """Whether scores are per token, and so comparable only between models with one tokenizer."""
        return False

    def signature_fields(self) -> dict[str, Scalar]:
        """Return what of the task decides the scores of every baseline, however it answers."""
        return {}

    def answer_fields(self, evaluation: Evaluation) -> dict[str, Scalar]:
        """Return what of the task decides the answers of a language model, beside data and prompt."""
        del evaluation
        return {} if self.decoding is None else self.decoding.signature_fields()

    def training_fields(self) -> dict[str, Scalar]:
        """Return what of the task decides what is learnt, beside data and prompt."""
        return {"training.task": self.task.kind}

    def check_trainable(self) -> None:
        """Raise DataError where no model can be trained on the task."""

    # What becomes of the answers

    def conclude(self, answers: Iterable[Answer], examples: Sequence[Example], *, is_raw: bool) -> Iterator[Answer]:
        """Turn the answers of a model into answers to the task.

        Args:
            answers: As the model gave them.
            examples: That were answered.
            is_raw: Whether the answers are a language model's own output, or were made for the task elsewhere.
        """
        del examples, is_raw
        return iter(answers)

    def choose(self, loglik_nats: Sequence[float], choices: Sequence[str]) -> int | None:
        """Return the position of the predicted choice by the log-likelihoods (nats) that another tool reports.

        None leaves the choice to the tool. choices: their texts.

        Raises:
            DataError: The task chooses by something that the log-likelihoods alone do not say.
        """
        del loglik_nats, choices
        return None

    @abstractmethod
    def served_columns(self) -> tuple[ServedColumn, ...]:
        """Return the columns of what a served model answers, without `error`."""

    @abstractmethod
    def served_row(self, answer: Answer) -> dict[str, str | float | None]:
        """Return one answer of a served model, by column."""

    def describe(self) -> dict[str, str]:
        """Return what `doctor` tells of the task, by the name of the check."""
        return {}

    @property
    def output_type(self) -> OutputType:
        """What is asked of a model."""
        assert self.task.output_type is not None, self.task.kind
        return self.task.output_type


class PromptedKind(TaskKind[PromptedT]):
    """A task with a prompt, which may be written by the model's chat template."""

    def prompting(
        self, load_template: LoadTemplate, *, shots: Sequence[Example] = (), labels: Sequence[str] = ()
    ) -> TrainingPromptFormat:
        """See `TaskKind.prompting`."""
        task = self.task
        if not task.chat_template:
            return super().prompting(load_template, shots=shots, labels=labels)
        as_turns = task.fewshot_as_multiturn
        plain = Prompting(task.prompt, "" if as_turns else shots_text(task.prompt, shots, labels), len(shots))
        turns = tuple((render(task.prompt, shot.fields), answer_text(shot, labels)) for shot in shots)
        return ChatPrompting(plain, load_template(), task.system, turns if as_turns else ())
