"""Data: reading, splitting, slicing and prompting."""

from mlbaseline.tasks.loading import LoadedTask, load_task
from mlbaseline.tasks.opening import harness_of, open_suite

__all__ = ["LoadedTask", "harness_of", "load_task", "open_suite"]
