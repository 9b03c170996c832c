"""What a node does with a task: it opens the suite, reads models by content, and writes to the tracking server."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mlbaseline import store
from mlbaseline.engine import hardware
from mlbaseline.engine.rungs import RungContext, build_rungs
from mlbaseline.errors import MlbaselineError, TrackingError
from mlbaseline.tasks import open_suite
from mlbaseline.version import __version__
from mlbaseline.workflows.evaluations.evaluation_result import Evaluated
from mlbaseline.workflows.evaluations.executors.executor import LocalExecutor, SplitEvaluation
from mlbaseline.workflows.evaluations.executors.rung_task import LadderAddress, RungTask
from mlbaseline.workflows.evaluations.ladder_run import LadderRun
from mlbaseline.workflows.evaluations.opening import open_context
from mlbaseline.workflows.judging import open_judging

if TYPE_CHECKING:
    from mlbaseline.engine.inference.execution import SharedBatches
    from mlbaseline.engine.inference.joint_model import StartHelpers

log = logging.getLogger("mlbaseline")


@dataclass(frozen=True)
class RungOutcome:
    """What became of a task.

    Attributes:
        evaluated: One for each seed; none where an optional baseline does not exist yet.
        warnings: What was warned of meanwhile.
        node: Where it was evaluated.
    """

    evaluated: tuple[Evaluated, ...]
    warnings: tuple[str, ...]
    node: str


def evaluate_task(task: RungTask, node: str, start_helpers: StartHelpers | None = None) -> RungOutcome:
    """Evaluate the rungs of a task on this node.

    Args:
        task: What is evaluated.
        node: Name of this node, for messages.
        start_helpers: Starts processes that compute a part of the batches; None: this node computes all.

    Raises:
        MlbaselineError: The message names the node.
    """
    with _naming(task, node), _recorded_warnings() as warnings:
        hardware.set_threads(task.threads)
        ladder, opened = _open(task.ladder)
        context = replace(opened, fresh=task.fresh, start_helpers=start_helpers)
        split = SplitEvaluation(ladder, context, open_judging(context, ladder.tracker, fresh=task.fresh))
        evaluated = tuple(LocalExecutor().evaluate(split, {task.baseline: task.seeds}))
    return RungOutcome(evaluated, tuple(warnings), node)


def help_with(task: RungTask, shared: SharedBatches, node: str) -> None:
    """Compute batches of a rung that another node evaluates, as long as there are any.

    Args:
        task: What is evaluated.
        shared: The batches; is given their results.
        node: Name of this node, for messages.

    Raises:
        MlbaselineError: The message names the node.
    """
    with _naming(task, node), TemporaryDirectory() as folder:
        hardware.set_threads(task.threads)
        _, opened = _open(task.ladder)
        context = replace(opened, shared=shared, results_folder=Path(folder) if task.fresh else None)
        for rung in build_rungs(context.evaluated_with(latency_sample=0), task.baseline, task.seeds):
            if rung.open is not None:
                for _ in rung.open().model.answer(context.data.examples):
                    pass


_opened: dict[LadderAddress, tuple[LadderRun, RungContext]] = {}
"""Kept by the process for the next task of the same ladder: reading the data can take longer than a small task."""


def _open(address: LadderAddress) -> tuple[LadderRun, RungContext]:
    if address not in _opened:
        _opened.clear()
        _opened[address] = _open_anew(address)
    return _opened[address]


def _open_anew(address: LadderAddress) -> tuple[LadderRun, RungContext]:
    if address.version != __version__:
        raise MlbaselineError(f"expected mlbaseline {address.version}, as on the driver; there is {__version__}")
    suite = open_suite(address.suite)
    _check_same("suite", address.suite_digest, suite.digest)
    tracker = store.connect(address.tracking_uri, suite.name)
    try:
        ladder = LadderRun(suite, store.find_run(tracker, address.run_id))
    except TrackingError as error:
        raise TrackingError(
            f"{error}\nAll nodes and the driver need the same tracking server: a file of SQLite only does where all of "
            "them see it under the same path, else start `mlflow server` and choose it with --tracking-uri."
        ) from error
    context = replace(open_context(ladder), split=address.split)
    _check_same(f"split {address.split}", address.data_digest, context.data.digest)
    return ladder, context


def _check_same(what: str, expected: str, got: str) -> None:
    if expected != got:
        raise MlbaselineError(
            f"the {what} is another one than on the driver: expected digest {expected[:12]}…, got {got[:12]}…. Put the "
            "same files on every node, or on a file system that all of them share."
        )


@contextmanager
def _naming(task: RungTask, node: str) -> Iterator[None]:
    try:
        yield
    except MlbaselineError as error:
        # A plain one: an exception with arguments of its own cannot be pickled.
        raise MlbaselineError(f"{task.name}, on {node}: {error}") from None


@contextmanager
def _recorded_warnings() -> Iterator[list[str]]:
    warnings: list[str] = []

    class Recorder(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            warnings.append(record.getMessage())

    recorder = Recorder(logging.WARNING)
    log.addHandler(recorder)
    try:
        yield warnings
    finally:
        log.removeHandler(recorder)
