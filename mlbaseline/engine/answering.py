"""Which model answers a task with a checkpoint: one for each kind of task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlbaseline.engine.generation.generator import Generator
from mlbaseline.engine.inference.result_cache import PassCache
from mlbaseline.engine.inference.tokenization import Encoder
from mlbaseline.engine.inference.worker_pool import Crew
from mlbaseline.engine.scoring.choices import ChoiceScorer, reading_length
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
    cache: PassCache | None = None,
    crew: Crew | None = None,
    description: str | None = None,
) -> Model:
    """The model that answers `task`. labels: of its data. seed: for what is drawn. cache: of what was computed before.
    crew: other processes that help. description: of the progress bar."""
    helped: dict[str, Any] = {"cache": cache, "crew": crew}
    if isinstance(task, GenerateTask):
        return Generator(
            checkpoint, prompting, Decoding.of(task), evaluation, seed=seed, description=description, **helped
        )
    if isinstance(task, PerplexityTask):
        return TextScorer(checkpoint, prompting, evaluation, stride=task.stride, description=description, **helped)
    scorer = ChoiceScorer(checkpoint, prompting, labels, evaluation, description=description, **helped)
    if task.normalisation == "none":
        return scorer
    without_prompt = ChoiceScorer(checkpoint, Unconditional(prompting), labels, _untimed(evaluation), **helped)
    return NormalisedChoices(
        scorer,
        prompting,
        Encoder(checkpoint.tokenizer, reading_length(checkpoint, evaluation)),
        labels,
        by=task.normalisation,
        unconditional=without_prompt if task.normalisation == "unconditional" else None,
    )


def _untimed(evaluation: Evaluation) -> Evaluation:
    return evaluation.model_copy(update={"latency_sample": 0})
