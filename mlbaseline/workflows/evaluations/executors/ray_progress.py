"""Progress of the nodes of a Ray cluster, on the display of the driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from mlbaseline.progress import Stage, progress_bar
from mlbaseline.progress.relay import Message

if TYPE_CHECKING:
    from ray.actor import ActorHandle

_WITHIN_S = 5.0


class Mailbox:
    """An actor that keeps what nodes send until the driver asks for it."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._messages: list[Message] = []

    def put(self, message: Message) -> None:
        """Keep it."""
        self._messages.append(message)

    def take(self) -> list[Message]:
        """Return what has come since the last time."""
        messages, self._messages = self._messages, []
        return messages


@contextmanager
def block_bars(totals: Mapping[Stage, int]) -> Iterator[Callable[[Stage], None]]:
    """Show how many blocks of each rung there are by now, until its last one is there.

    Args:
        totals: Number of blocks of each rung.

    Yields:
        A function that counts a block.
    """
    left = dict(totals)
    with ExitStack() as stack:
        ends = {stage: stack.enter_context(ExitStack()) for stage in totals}
        bars = {stage: ends[stage].enter_context(progress_bar(n, "block", stage)) for stage, n in totals.items()}

        def count(stage: Stage) -> None:
            bars[stage].update()
            left[stage] -= 1
            if not left[stage]:
                ends[stage].close()

        yield count


def open_mailbox() -> ActorHandle[Any]:
    """Start the mailbox on the node of this process, where it takes no CPU from the models."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    started: ActorHandle[Any] = ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()
    return started


def show_mail(mailbox: ActorHandle[Any], receive: Callable[[Message], None]) -> None:
    """Pass on what the nodes have sent since the last time; nothing where the mailbox cannot be reached."""
    import ray

    try:
        messages: list[Message] = ray.get(mailbox.take.remote(), timeout=_WITHIN_S)
    except ray.exceptions.RayError:
        return
    for message in messages:
        receive(message)
