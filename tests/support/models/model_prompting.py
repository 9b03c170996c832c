"""How a task's examples are put to a model, as its rung makes it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mlbaseline.models.checkpoints.tokenizer import ChatTemplate
from mlbaseline.records import Example
from mlbaseline.suite import Task
from mlbaseline.tasks import kind_of
from mlbaseline.tasks.prompting import TrainingPromptFormat


def make_prompting(
    task: Task, model: Path, *, shots: Sequence[Example] = (), labels: Sequence[str] = ()
) -> TrainingPromptFormat:
    """The prompts of a task. model: whose chat template is used if the task says so. shots: solved examples."""
    return kind_of(task).prompting(partial(ChatTemplate, model), shots=shots, labels=labels)
