"""Data: reading, splitting, slicing and prompting."""

from mlbaseline.tasks.loading import LoadedTask, load_task

__all__ = ["LoadedTask", "load_task"]
