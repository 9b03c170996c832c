"""Evaluations as tasks of a Ray cluster, which runs those of a lost node again elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbaseline import store
from mlbaseline.errors import MlbaselineError, SuiteError
from mlbaseline.progress import shown_on
from mlbaseline.progress.relay import Relay, receiving
from mlbaseline.suite.reading import SuiteReference, packaged_suites
from mlbaseline.workflows.evaluations.evaluation_result import Evaluated, metrics_text
from mlbaseline.workflows.evaluations.executors.executor import Executor, LocalExecutor, SplitEvaluation, tell_left_out
from mlbaseline.workflows.evaluations.executors.on_node import RungOutcome, evaluate_task
from mlbaseline.workflows.evaluations.executors.ray_cluster import (
    Slot,
    choose_slot,
    connected,
    live_nodes,
    start_beside,
    this_node,
)
from mlbaseline.workflows.evaluations.executors.ray_helpers import ray_helpers
from mlbaseline.workflows.evaluations.executors.ray_progress import Mailbox, show_mail
from mlbaseline.workflows.evaluations.executors.rung_task import (
    LadderAddress,
    RungTask,
    computes,
    count_helpers,
    split_seeds,
    training_processes,
)

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

    from mlbaseline.engine.inference.joint_model import StartHelpers

log = logging.getLogger("mlbaseline")
_RETRIES = 5
"""How often a task of a lost node is run again: one that brings its nodes down must end some time."""
_LOOK_EVERY_S, _CANCEL_S = 1.0, 15.0


@contextmanager
def open_ray(address: str, suite: SuiteReference) -> Iterator[Executor]:
    """Connect with a cluster for the length of the block. Tasks that have not ended by then are cancelled.

    Args:
        address: `auto`, or that of the cluster's head.
        suite: What the nodes open, too.

    Raises:
        SuiteError: The suite is no file.
        MlbaselineError: ray is not installed, or there is no such cluster.
    """
    reference = _from_anywhere(suite)
    with connected(address):
        slot = choose_slot()
        slots = sum(slot.count_on(node) for node in live_nodes())
        gpus = f", {slot.gpus} GPU" if slot.gpus else ""
        log.info("Ray: %d models at a time, %d threads%s each", slots, slot.threads, gpus)
        executor = RayExecutor(reference, slot, slots, start_beside(Mailbox))
        try:
            yield executor
        finally:
            executor.cancel()


def _from_anywhere(suite: SuiteReference) -> str:
    """Return the reference so that it holds from any folder."""
    if isinstance(suite, Mapping):
        raise SuiteError("ray", ["takes a suite that the nodes can open: a path or the name of a packaged suite"])
    is_name = str(suite) in packaged_suites() and not Path(suite).is_file()
    return str(suite) if is_name else str(Path(suite).absolute())


@dataclass(frozen=True)
class RayExecutor:
    """Evaluates on the nodes of a cluster what takes a model; the rest, which takes none, on this machine.

    Attributes:
        suite: What the nodes open.
        slot: What one task takes of a node.
        slots: How many of them the cluster has.
        mailbox: Has what the nodes tell of their progress.
        running: Tasks that have not ended.
    """

    suite: str
    slot: Slot
    slots: int
    mailbox: ActorHandle[Any]
    running: dict[ObjectRef[Any], RungTask] = field(default_factory=dict)

    @property
    def processes(self) -> int:
        """One of this machine: what takes a model runs elsewhere."""
        return 1

    def evaluate(self, split: SplitEvaluation, seeds: Mapping[str, Sequence[int]]) -> Iterator[Evaluated]:
        """Evaluate baselines, in the order in which they complete. See `Executor`."""
        suite = split.context.suite
        address = LadderAddress(
            self.suite,
            suite.digest,
            split.context.data.digest,
            split.context.split,
            store.absolute_uri(split.ladder.tracker.uri),
            split.ladder.run_id,
        )
        tasks = [
            RungTask(title, address, name, part, split.context.fresh, self.slot.threads)
            for name, of_baseline in seeds.items()
            if computes(suite, name) and of_baseline
            for title, part in split_seeds(suite, name, of_baseline).items()
        ]
        n_examples = len(split.context.data.examples)
        for task in tasks:
            slot = self._slot_of(task.name, training_processes(suite, task.baseline))
            self._submit(task, slot, count_helpers(suite, task.baseline, n_examples, self.slots))
        yield from LocalExecutor().evaluate(split, {n: each for n, each in seeds.items() if not computes(suite, n)})
        yield from self._evaluated()

    def _slot_of(self, name: str, processes: int) -> Slot:
        slot = self.slot.times(processes)
        if processes > 1 and not any(map(slot.count_on, live_nodes())):
            raise MlbaselineError(
                f"{name}: {processes} processes train it together, which takes {slot.gpus} GPUs of one node; no node "
                "of the cluster has as many"
            )
        return slot

    def _submit(self, task: RungTask, slot: Slot, n_helpers: int) -> None:
        import ray

        spread = ray.remote(_evaluate_on_node).options(
            **slot.options(), max_retries=_RETRIES, scheduling_strategy="SPREAD", name=task.name
        )
        start_helpers = partial(ray_helpers, task, n_helpers, self.slot.options()) if n_helpers else None
        self.running[spread.remote(task, self.mailbox, start_helpers)] = task

    def _evaluated(self) -> Iterator[Evaluated]:
        """Yield what became of each task, as they end, and show how far the others are."""
        import ray

        has_warned = False
        with receiving() as receive:
            while self.running:
                ended, _ = ray.wait(list(self.running), num_returns=1, timeout=_LOOK_EVERY_S)
                show_mail(self.mailbox, receive)
                for ref in ended:
                    task = self.running.pop(ref)
                    yield from _told(task, _outcome(task, ref))
                if not ended and not has_warned and not any(map(self.slot.count_on, live_nodes())):
                    log.warning("Ray: no node is left that has room for a model; waiting for one")
                    has_warned = True

    def cancel(self) -> None:
        """Cancel what has not ended, as Ctrl-C would on its node, so that its run is closed."""
        import ray

        refs = list(self.running)
        for ref in refs:
            ray.cancel(ref)
        if refs:
            _, left = ray.wait(refs, num_returns=len(refs), timeout=_CANCEL_S)
            for ref in left:
                ray.cancel(ref, force=True)
        self.running.clear()


def _evaluate_on_node(task: RungTask, mailbox: ActorHandle[Any], start_helpers: StartHelpers | None) -> RungOutcome:
    with shown_on(Relay(mailbox.put.remote)):
        return evaluate_task(task, this_node(), start_helpers)


def _outcome(task: RungTask, ref: ObjectRef[Any]) -> RungOutcome:
    import ray

    try:
        outcome: Any = ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, MlbaselineError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[0]
        raise MlbaselineError(
            f"{task.name}: Ray gave it up after {_RETRIES} repetitions, or could not start it: {type(error).__name__}: "
            f"{reason}\nWhat is complete is kept. `ray status` and the logs of the node tell more."
        ) from error
    assert isinstance(outcome, RungOutcome)
    return outcome


def _told(task: RungTask, outcome: RungOutcome) -> Iterator[Evaluated]:
    for warning in outcome.warnings:
        log.warning("%s", warning)
    if not outcome.evaluated:
        tell_left_out(task.baseline)
    for each in outcome.evaluated:
        how = f"reused, run {each.run_id} has its signature" if each.reused else f"evaluated on {outcome.node}"
        log.info("%s: %s: %s", task.name, how, metrics_text(each.metrics))
        yield each
