"""Progress of the nodes of a Ray cluster, on the display of the driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

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


def show_mail(mailbox: ActorHandle[Any], receive: Callable[[Message], None]) -> None:
    """Pass on what the nodes have sent since the last time; nothing where the mailbox cannot be reached."""
    import ray

    try:
        messages: list[Message] = ray.get(mailbox.take.remote(), timeout=_WITHIN_S)
    except ray.exceptions.RayError:
        return
    for message in messages:
        receive(message)
