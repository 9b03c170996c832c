"""Progress of another process, or of another machine, on the display of this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from typing import TypeAlias

from mlbaseline.progress.displays import current_display
from mlbaseline.progress.event import Progress, RungEvent, Title


@dataclass(frozen=True)
class Ended:
    """A piece of work is over."""

    progress: Progress


Message: TypeAlias = Progress | Ended | RungEvent
"""What one process tells another."""


class Relay:
    """A `Display` that sends what it is told to where it is shown. Work goes on where nobody receives it any more."""

    def __init__(self, send: Callable[[Message], object]) -> None:
        """Send nothing yet. send: hands a message over, and raises OSError where nobody receives it."""
        self._send = send
        self._lock = Lock()  # a connection between processes takes one message at a time

    def show(self, progress: Progress) -> None:
        """Send how far a piece of work is."""
        self._hand_over(progress)

    def end(self, progress: Progress) -> None:
        """Send that a piece of work is over."""
        self._hand_over(Ended(progress))

    def tell(self, event: RungEvent) -> None:
        """Send what became of a rung."""
        self._hand_over(event)

    def _hand_over(self, message: Message) -> None:
        with self._lock, suppress(OSError):
            self._send(message)


@contextmanager
def receiving() -> Iterator[Callable[[Message], None]]:
    """Show on the display of this process what is received in the block.

    Yields:
        What takes a message. Work whose end was not received, as its process was ended, is over with the block.
    """
    display = current_display()
    at_work: dict[Title, Progress] = {}

    def receive(message: Message) -> None:
        match message:
            case Progress():
                at_work[message.title] = message
                display.show(message)
            case Ended():
                at_work.pop(message.progress.title, None)
                display.end(message.progress)
            case RungEvent():
                display.tell(message)

    try:
        yield receive
    finally:
        for progress in at_work.values():
            display.end(progress)
