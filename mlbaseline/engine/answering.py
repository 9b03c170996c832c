"""Which model answers a task with a checkpoint: one for each kind of task."""

from __future__ import annotations

from collections.abc import Sequence

from mlbaseline.engine.generation import Generator
from mlbaseline.engine.scoring import ChoiceScorer
from mlbaseline.engine.texts import TextScorer
from mlbaseline.models.checkpoint import Checkpoint
from mlbaseline.records import Model
from mlbaseline.suite import Evaluation, GenerateTask, PerplexityTask, Task
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import Prompting


def answering_model(
    task: Task,
    checkpoint: Checkpoint,
    prompting: Prompting,
    labels: Sequence[str],
    evaluation: Evaluation,
    *,
    seed: int | None = None,
    description: str | None = None,
) -> Model:
    """The model that answers `task`. labels: of its data. seed: for what is drawn. description: of the progress bar."""
    if isinstance(task, GenerateTask):
        return Generator(checkpoint, prompting, Decoding.of(task), evaluation, seed=seed, description=description)
    if isinstance(task, PerplexityTask):
        return TextScorer(checkpoint, prompting, evaluation, stride=task.stride, description=description)
    return ChoiceScorer(checkpoint, prompting, labels, evaluation, description=description)
