"""Nodes of a Ray cluster that compute batches of a rung which another node evaluates."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mlbaseline.engine.inference.requests import RequestResult
from mlbaseline.engine.inference.result_cache import pack_results
from mlbaseline.progress import shown_on
from mlbaseline.progress.relay import Relay
from mlbaseline.workflows.evaluations.executors.on_node import help_with
from mlbaseline.workflows.evaluations.executors.ray_cluster import start_beside, this_node
from mlbaseline.workflows.evaluations.executors.rung_task import RungTask

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

    from mlbaseline.engine.training.cached import PackedTraining

log = logging.getLogger("mlbaseline")
_LOOK_EVERY_S = 0.2
T = TypeVar("T")
_EVALUATING = 0
"""Number of the process that puts the results together; helpers count from 1."""


class BatchBoard:
    """An actor that knows who computes which batch, and has the results of helpers until they are fetched."""

    def __init__(self) -> None:
        """Begin with no batch taken."""
        self._taken: set[str] = set()
        self._computing: set[int] = set()
        self._results: list[bytes] = []

    def take(self, key: str, who: int) -> bool:
        """Take a batch, unless another process has it. A process asks again when its last batch is done."""
        is_free = key not in self._taken
        self._taken.add(key)
        self._computing.discard(who)
        if is_free:
            self._computing.add(who)
        return is_free

    def add(self, packed: bytes) -> None:
        """Keep the results of a helper until they are fetched."""
        self._results.append(packed)

    def fetch(self) -> list[bytes]:
        """Return the results since the last time."""
        results, self._results = self._results, []
        return results

    def computing(self) -> set[int]:
        """Return who computes a batch."""
        return self._computing


@dataclass(frozen=True)
class RemoteBatches:
    """The shared batches, as a helper takes them."""

    board: ActorHandle[Any]
    who: int

    def take(self, key: str) -> bool:
        """See `SharedBatches`."""
        return bool(_reply(self.board.take.remote(key, self.who)))

    def add(self, results: Mapping[str, RequestResult]) -> None:
        """See `SharedBatches`."""
        _reply(self.board.add.remote(pack_results(results)))


@dataclass(frozen=True)
class RayHelpers:
    """Helpers as tasks of Ray. One that is lost or fails costs its batch at hand, which is computed here.

    Attributes:
        board: Knows who computes which batch.
        tasks: Number of each helper ─▶ its task. Those that have ended are dropped.
    """

    board: ActorHandle[Any]
    tasks: dict[int, ObjectRef[Any]]

    def take(self, key: str) -> bool:
        """See `joint_model.Helpers`."""
        return self._ask(True, "take", key, _EVALUATING)

    def arrived(self) -> Sequence[bytes]:
        """See `joint_model.Helpers`."""
        return self._ask(list[bytes](), "fetch")

    def wait(self) -> None:
        """See `joint_model.Helpers`. Those that have not begun are not waited for."""
        import ray

        while computing := self._ask(set[int](), "computing") & self.tasks.keys():
            ray.wait([self.tasks[who] for who in computing], timeout=_LOOK_EVERY_S)
            self.drop_ended()

    def _ask(self, without_board: T, method: str, *arguments: str | int) -> T:
        """Ask the board. It can be lost, and this process goes on alone: perhaps its own node is about to end."""
        import ray

        try:
            reply: T = _reply(getattr(self.board, method).remote(*arguments))
        except ray.exceptions.RayActorError:
            return without_board
        return reply

    def drop_ended(self) -> None:
        """Drop the helpers that have ended; warn of those that failed."""
        import ray

        for who, task in list(self.tasks.items()):
            if not ray.wait([task], timeout=0)[0]:
                continue
            del self.tasks[who]
            try:
                ray.get(task)
            except ray.exceptions.RayTaskError as error:
                log.warning("%s\nIt does not help with this rung, which goes on without it.", error.cause)
            except ray.exceptions.RayError as error:
                log.info("Ray lost a helper: %s", type(error).__name__)


@contextmanager
def ray_helpers(
    task: RungTask, n: int, slot: Mapping[str, float], training: PackedTraining | None = None
) -> Iterator[RayHelpers]:
    """Let Ray start helpers as soon as it has room for them; those that are left at the end of the block are cancelled.

    Args:
        task: What is evaluated.
        n: Number of helpers at most.
        slot: The resources of each, as options of a Ray task.
        training: What their copy of the model comes from, if it was trained.
    """
    import ray

    board = start_beside(BatchBoard)
    sent = None if training is None else ray.put(training)
    # Not started again elsewhere: what it has not computed, others compute.
    help_ = ray.remote(_help_on_node).options(**slot, max_retries=0, name=f"{task.name}, helper")
    helpers = RayHelpers(board, {who: help_.remote(task, board, who, sent) for who in range(1, n + 1)})
    try:
        yield helpers
        helpers.drop_ended()
    finally:
        for left in helpers.tasks.values():
            ray.cancel(left)
        ray.kill(board)


def _help_on_node(task: RungTask, board: ActorHandle[Any], who: int, training: PackedTraining | None) -> None:
    if training is not None:
        training.unpack()
    with shown_on(Relay(lambda _: None)):  # the evaluating node shows how far the rung is
        help_with(task, RemoteBatches(board, who), this_node())


def _reply(reference: ObjectRef[Any]) -> Any:
    """Wait for the reply of an actor. While `ray.get` waits, Ray would give the CPUs of this task to another one."""
    return reference.future().result()
