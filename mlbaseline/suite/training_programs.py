"""Fine-tunes that somebody else's program trains: a command, or an MLflow Project, run once a seed."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from mlbaseline.suite.node import Baseline, MetricName, Name, Node

PLACEHOLDERS = ("seed", "train_file", "dev_file", "base_model", "output_dir")
"""What a command is told: `{seed}` and so on in its words, and `MLBASELINE_SEED` and so on in its environment."""
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


def _check_placeholders(text: str) -> str:
    try:
        parsed = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{error} in {text!r}; write a literal brace as {{{{ or }}}}") from None
    for _, name, form, conversion in parsed:
        if name is not None and (name not in PLACEHOLDERS or form or conversion):
            raise ValueError(
                f"unknown placeholder {{{name}}} in {text!r}; there are: "
                f"{', '.join(f'{{{known}}}' for known in PLACEHOLDERS)}; write a literal brace as {{{{ or }}}}"
            )
    return text


class TrainingProgram(Node, ABC):
    """What the two ways to train have in common."""

    files: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Further files and folders of the code, relative to the suite file. A change in one of them is another training.
    """
    environment: tuple[VariableName, ...] = ()
    """Names of further environment variables that the program is given, such as `WANDB_API_KEY`."""

    @property
    @abstractmethod
    def texts(self) -> tuple[str, ...]:
        """Every text that may hold placeholders."""

    def uses(self, placeholder: str) -> bool:
        """Tell whether a placeholder stands in one of the texts."""
        return any(name == placeholder for text in self.texts for _, name, _, _ in Formatter().parse(text))


class TrainingCommand(TrainingProgram):
    """A training by a command. It runs without a shell, in the folder of the suite file."""

    command: str | tuple[Annotated[str, Field(min_length=1)], ...]
    """The command, as a text or as a list of words, with `{seed}`, `{train_file}`, `{dev_file}`, `{base_model}` and
    `{output_dir}` in it. Files that it names are a part of the code.
    """

    @field_validator("command")
    @classmethod
    def _is_a_command(cls, command: str | tuple[str, ...]) -> str | tuple[str, ...]:
        try:
            words = shlex.split(command) if isinstance(command, str) else command
        except ValueError as error:
            raise ValueError(f"expected words as in a shell, got {command!r}: {error}") from None
        if not words:
            raise ValueError("expected a command, got none")
        for word in words:
            _check_placeholders(word)
        return command

    @property
    def words(self) -> tuple[str, ...]:
        """The command, split as a shell would."""
        return tuple(shlex.split(self.command)) if isinstance(self.command, str) else self.command

    @property
    def texts(self) -> tuple[str, ...]:
        return self.words


class TrainingProject(TrainingProgram):
    """A training by an entry point of an MLflow Project."""

    project: Annotated[str, Field(min_length=1)]
    """The project: a folder, relative to the suite file, or the address of a Git repository."""
    version: Annotated[str, Field(min_length=1)] | None = None
    """Commit of a Git repository."""
    entry_point: Annotated[str, Field(min_length=1)] = "main"
    """Entry point of the project."""
    parameters: dict[Name, str | int | float | bool] = Field(default_factory=dict)
    """Parameters of the entry point. Texts may have `{seed}`, `{train_file}`, `{dev_file}`, `{base_model}` and
    `{output_dir}` in them.
    """
    env_manager: Literal["local", "virtualenv", "uv", "conda"] = "local"
    """Environment that the project runs in: the present one, or one that MLflow makes from the project's own files."""

    @field_validator("parameters")
    @classmethod
    def _has_placeholders(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        for value in parameters.values():
            _check_placeholders(str(value))
        return parameters

    @model_validator(mode="after")
    def _is_pinned(self) -> TrainingProject:
        if self.is_remote and self.version is None:
            raise ValueError("a project in a Git repository needs `version`, a commit: its code decides the training")
        if not self.is_remote and self.version is not None:
            raise ValueError("`version` is of a Git repository; a folder is known by its files")
        return self

    @property
    def is_remote(self) -> bool:
        """Whether the project is fetched from a Git repository."""
        return "://" in self.project or self.project.startswith("git@")

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(str(value) for value in self.parameters.values())


BY_COMMAND, BY_PROJECT = "by-command", "by-project"


def _tag_of(content: Any) -> str:
    """Give what tells the two ways to train apart. A mapping that names neither is told that `command` is missing."""
    fields = content if isinstance(content, Mapping) else getattr(content, "__dict__", {})
    return BY_PROJECT if "project" in fields else BY_COMMAND


class TrainedByProgram(Baseline):
    """A fine-tune of another baseline's model that a program of your own trains."""

    base: Name
    """Name of the pretrained baseline whose model is fine-tuned."""
    train: Annotated[
        Annotated[TrainingCommand, Tag(BY_COMMAND)] | Annotated[TrainingProject, Tag(BY_PROJECT)],
        Discriminator(_tag_of),
    ]
    """The program that trains: `{command: …}` or `{project: …}`. It runs once a seed."""
    select: MetricName = "accuracy"
    """Metric on `dev` that is measured after the training, and by which the seed that stands for the rung is chosen."""

    @property
    def is_random(self) -> bool:
        return True


class ProgramAdapter(TrainedByProgram):
    """An adapter that a program of your own trains."""

    kind: Literal["peft"]
    """A parameter-efficient fine-tune: the program leaves an adapter of the library peft."""

    @property
    def method_name(self) -> str:
        """How a report calls it."""
        return "adapter, by program"


class ProgramModel(TrainedByProgram):
    """A checkpoint of all weights that a program of your own trains."""

    kind: Literal["full"]
    """A fine-tune of all weights: the program leaves a checkpoint."""

    @property
    def method_name(self) -> str:
        """How a report calls it."""
        return "full, by program"


ProgramSpec = ProgramAdapter | ProgramModel
