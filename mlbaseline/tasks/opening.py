"""A suite file ─▶ a suite that can be run: a task of lm-eval becomes the kind of task that it is."""

from __future__ import annotations

from pathlib import Path

from mlbaseline.errors import SuiteError
from mlbaseline.suite import ChoiceTask, LmEvalTask, Suite
from mlbaseline.suite_file import load_suite, with_task
from mlbaseline.tasks.lm_eval.task import HarnessTask, load_harness_task


def open_suite(reference: str | Path) -> Suite:
    """Like `load_suite`, with the concrete task in the place of one of lm-eval's.

    Raises SuiteError, and DataError where lm-eval's task cannot be had.
    """
    suite = load_suite(reference)
    harness = harness_of(suite)
    if harness is None:
        return suite
    assert isinstance(suite.task, LmEvalTask)  # it is what the harness was loaded for
    options: dict[str, object] = {"slices": suite.task.slices}
    if isinstance(harness.task, ChoiceTask):
        options["normalisation"] = suite.task.normalisation
    elif suite.task.normalisation != "none":
        raise SuiteError("task.normalisation", [f"is of choices; {harness.name} is a task of kind {harness.task.kind}"])
    return with_task(suite, harness.task.model_copy(update=options))


def harness_of(suite: Suite) -> HarnessTask | None:
    """The task of lm-eval that a suite is about, None for a task of our own. Loaded once a process."""
    task = suite.written.task
    return load_harness_task(task, suite.root) if isinstance(task, LmEvalTask) else None
