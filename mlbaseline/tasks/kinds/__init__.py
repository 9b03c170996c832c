"""The kinds of task, by name. A new kind is one file here, its type in `suite.task`, and a line in both dicts."""

from __future__ import annotations

from typing import Any

from mlbaseline.suite import Suite, TaskSpec
from mlbaseline.tasks.kinds.choice import ChoiceKind
from mlbaseline.tasks.kinds.generate import GenerateKind
from mlbaseline.tasks.kinds.kind import ServedColumn, TaskKind
from mlbaseline.tasks.kinds.lm_eval import LmEvalKind
from mlbaseline.tasks.kinds.perplexity import PerplexityKind

__all__ = ["TASK_KINDS", "ServedColumn", "TaskKind", "kind_of", "kind_of_suite"]

TASK_KINDS: dict[str, type[TaskKind[Any]]] = {
    "choice": ChoiceKind,
    "generate": GenerateKind,
    "perplexity": PerplexityKind,
    "lm_eval": LmEvalKind,
}
"""Kind of task, as `suite.TASKS` has it ─▶ what it decides."""


def kind_of(task: TaskSpec) -> TaskKind[Any]:
    """Return a task that can be evaluated, with what its kind decides."""
    return TASK_KINDS[task.kind](task)


def kind_of_suite(suite: Suite) -> TaskKind[Any]:
    """Return the task of a suite, with what the kind decides that its file names."""
    return TASK_KINDS[suite.written.task.kind].of_suite(suite)
