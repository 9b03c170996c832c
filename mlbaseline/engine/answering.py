"""Which model answers a task with a checkpoint: one for each kind of task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mlbaseline.engine.generation.generator import Generator
from mlbaseline.engine.inference.batched_model import LOCAL
from mlbaseline.engine.inference.execution import Execution
from mlbaseline.engine.inference.tokenization import make_encoder
from mlbaseline.engine.scoring.choices import ChoiceScorer
from mlbaseline.engine.scoring.normalization import NormalisedChoices, Unconditional
from mlbaseline.engine.scoring.perplexity import TextScorer
from mlbaseline.models.checkpoint import Checkpoint
from mlbaseline.records import Model
from mlbaseline.suite import Evaluation, GenerateTask, PerplexityTask, Task
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import Asks


def answering_model(
    task: Task,
    checkpoint: Checkpoint,
    prompting: Asks,
    labels: Sequence[str],
    evaluation: Evaluation,
    *,
    seed: int | None = None,
    execution: Execution = LOCAL,
) -> Model:
    """Make the model that answers `task`.

    Args:
        task: decides what is computed.
        checkpoint: causal language model.
        prompting: makes the prompts.
        labels: of the task's data.
        evaluation: batch size, maximum length, latency sample.
        seed: of what is drawn.
        execution: cache, worker processes, progress bar.
    """
    if isinstance(task, GenerateTask):
        return Generator(checkpoint, prompting, Decoding.of(task), evaluation, execution, seed=seed)
    if isinstance(task, PerplexityTask):
        return TextScorer(checkpoint, prompting, evaluation, execution, stride=task.stride)
    scorer = ChoiceScorer(checkpoint, prompting, labels, evaluation, execution)
    if task.normalisation == "none":
        return scorer
    untimed, silent = evaluation.model_copy(update={"latency_sample": 0}), replace(execution, description=None)
    without_prompt = ChoiceScorer(checkpoint, Unconditional(prompting), labels, untimed, silent)
    return NormalisedChoices(
        scorer,
        prompting,
        make_encoder(checkpoint, evaluation),
        labels,
        by=task.normalisation,
        unconditional=without_prompt if task.normalisation == "unconditional" else None,
    )
