"""One task of each kind, answered by a checkpoint: what must not depend on how the answers are computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from mlbaseline.engine.answering import AnsweringSpec
from mlbaseline.engine.inference.batched_model import LOCAL
from mlbaseline.engine.inference.execution import Execution
from mlbaseline.models.checkpoints.checkpoint import Checkpoint
from mlbaseline.records import Answer, Model
from mlbaseline.suite import Evaluation, GenerateTask, PerplexityTask, Task
from mlbaseline.tasks.prompting import Prompting
from tests.support.ladders.choice_task import PHRASES, SHOTS, TASK, TEMPLATE, make_examples

EVALUATION = Evaluation(batch_tokens=128, max_length=200, latency_sample=2)
UNTIMED = EVALUATION.model_copy(update={"latency_sample": 0})
EXAMPLES = make_examples(PHRASES, n=40)
TEXT = {"data": {"test": "test.csv"}, "columns": {"text": "text"}}
TASKS: dict[str, Task] = {
    "choice": TASK,
    "perplexity": PerplexityTask.model_validate({"kind": "perplexity", **TEXT}),
    "generate": GenerateTask.model_validate(
        {
            "kind": "generate",
            "data": TEXT["data"],
            "columns": {"text": "text", "target": "target"},
            "prompt": TEMPLATE,
            "max_new_tokens": 5,
            "temperature": 0.8,
            "samples": 2,
        }
    ),
}


@contextmanager
def counting_forward_passes(model: Any) -> Iterator[list[None]]:
    passes: list[None] = []
    hook = model.get_input_embeddings().register_forward_hook(lambda *_: passes.append(None))
    try:
        yield passes
    finally:
        hook.remove()


def model_of(
    checkpoint: Checkpoint, task: Task, evaluation: Evaluation = EVALUATION, execution: Execution = LOCAL
) -> Model:
    """What answers the task by the checkpoint."""
    prompting = Prompting("{text}") if task.kind == "perplexity" else Prompting(TEMPLATE, SHOTS)
    answering = AnsweringSpec(task, evaluation, checkpoint.precision, checkpoint.device, seed=3)
    return answering.build(checkpoint, prompting, execution)


def answers_of(model: Model, *, n_timed: int = EVALUATION.latency_sample) -> list[Answer]:
    """By id, without the times, which differ every time. n_timed: how many must have been timed alone."""
    answers = sorted(model.answer(EXAMPLES), key=lambda answer: answer.example_id)
    assert sum(answer.latency_s is not None for answer in answers) == n_timed
    return [replace(answer, compute_s=0.0, latency_s=None, batch=None, reference_s=None) for answer in answers]
