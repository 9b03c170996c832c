"""A task of lm-evaluation-harness by its name: found in its registry or in a folder, and loaded once a process."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

from mlbaseline.errors import DataError
from mlbaseline.records import OutputType
from mlbaseline.suggestions import nearest_names
from mlbaseline.suite import LmEvalTask
from mlbaseline.tasks.lm_eval.conversion import LoadedLmEvalTask, convert

INSTALL = "is a task of lm-eval, which is not installed: pip install 'mlbaseline[lm-eval]'"
_OUTPUT_TYPES = [output_type.value for output_type in OutputType]


def load_lm_eval_task(spec: LmEvalTask, root: Path) -> LoadedLmEvalTask:
    """Load the task that a suite names.

    Args:
        spec: The task as the suite names it.
        root: Folder from which the suite's relative paths start.

    Raises:
        DataError: lm-eval is not installed; the name is not that of a single task; the task's output type, data or
            prompts are not supported or cannot be had; the task does not have the filter.
    """
    folder = str(root / Path(spec.folder).expanduser()) if spec.folder else None
    return _load(spec.name, folder, spec.limit, spec.filter)


@lru_cache(maxsize=8)
def _load(name: str, folder: str | None, limit: int | None, filter: str | None) -> LoadedLmEvalTask:
    lm_eval_task = _find_task(name, folder)
    if lm_eval_task.OUTPUT_TYPE not in _OUTPUT_TYPES:
        raise DataError(
            f"{name}: its output type is {lm_eval_task.OUTPUT_TYPE}; what can be run here is "
            f"{', '.join(_OUTPUT_TYPES)}. Run it with lm-eval and `mlbaseline import lm-eval` its samples"
        )
    if getattr(lm_eval_task, "MULTIMODAL", False) or getattr(lm_eval_task, "UNSAFE_CODE", False):
        raise DataError(f"{name}: shows images or sound, or runs what the model writes; neither is supported")
    repeats = lm_eval_task.config.repeats
    if repeats not in (None, 1):
        raise DataError(f"{name}: repeats every document {repeats} times; only one answer each is supported")
    return convert(name, lm_eval_task, limit, filter)


def _find_task(name: str, folder: str | None) -> Any:
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise DataError(f"{name}: {INSTALL} ({error})") from error
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    if folder is not None and not any(Path(folder).rglob("*.yaml")):
        raise DataError(f"task.folder: {folder} is no folder with the YAML file of a task")
    # The registry holds thousands of tasks, and takes seconds to read: only where the folder does not have the name.
    manager = TaskManager(include_path=folder, include_defaults=folder is None)
    if folder is not None and name not in manager.task_index:
        manager = TaskManager(include_path=folder)
    if name not in manager.all_subtasks:
        raise DataError(f"task.name: {_no_task(name, manager)}")
    try:
        return manager.load(name)["tasks"][name]
    except Exception as error:  # of the YAML file, of its Python, of datasets and of the hub
        reason = str(error).splitlines()[0] if str(error) else "no reason given"
        raise DataError(
            f"{name}: lm-eval cannot load this task: {type(error).__name__}: {reason}\nWhere its data lie on the hub, "
            "check network and access (HF_TOKEN); without a network, give a folder with a task over local files "
            "(dataset_path: json, dataset_kwargs: {data_files: …})."
        ) from error


def _no_task(name: str, manager: Any) -> str:
    if name in manager.task_index:
        members = manager.task_index[name].cfg.get("task", ()) if manager.task_index[name].cfg else ()
        names = [m if isinstance(m, str) else str(m.get("task", m.get("group"))) for m in members]
        names = names or sorted(t for t in manager.all_subtasks if t.startswith(name))[:10]
        shown = f": {', '.join(names[:10])}{', …' * (len(names) > 10)}" if names else ""
        return f"{name!r} is a group of tasks; a suite holds one task, so name one of them{shown}"
    near = nearest_names(name, manager.all_subtasks, n=3)
    return f"lm-eval has no task {name!r}" + (f"; near it: {', '.join(near)}" if near else "")
