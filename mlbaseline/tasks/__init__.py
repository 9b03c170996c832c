"""Data, prompts, and the kinds of task."""

from mlbaseline.tasks.kinds import ServedColumn, TaskKind, kind_of, kind_of_suite
from mlbaseline.tasks.loading import Fetch, LoadedTask
from mlbaseline.tasks.opening import load_task, open_suite

__all__ = [
    "Fetch",
    "LoadedTask",
    "ServedColumn",
    "TaskKind",
    "kind_of",
    "kind_of_suite",
    "load_task",
    "open_suite",
]
