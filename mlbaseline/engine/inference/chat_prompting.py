"""How a task's examples are put to a model: as plain text, or through the model's chat template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlbaseline.models.tokenizer import ChatTemplate
from mlbaseline.records import Example
from mlbaseline.suite import LmEvalTask, PerplexityTask, Task
from mlbaseline.tasks.chat import ChatPrompting
from mlbaseline.tasks.prompting import Prompting, answer_text, render, shots_text


def make_prompting(
    task: Task, model: Path, *, shots: Sequence[Example] = (), labels: Sequence[str] = ()
) -> Prompting | ChatPrompting:
    """model: whose chat template is used where the task says so. shots: solved examples to show; labels: of their task.

    Raises AssetError where a chat template is asked for and the model has none.
    """
    if isinstance(task, PerplexityTask | LmEvalTask) or not task.chat_template:
        return Prompting(task.prompt, shots_text(task.prompt, shots, labels), len(shots))
    turns = tuple((render(task.prompt, shot.fields), answer_text(shot, labels)) for shot in shots)
    plain = Prompting(
        task.prompt, "" if task.fewshot_as_multiturn else shots_text(task.prompt, shots, labels), len(shots)
    )
    return ChatPrompting(plain, ChatTemplate(model), task.system, turns if task.fewshot_as_multiturn else ())
