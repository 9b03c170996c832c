"""What long work moves forward while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import replace
from threading import Event, Thread
from time import monotonic
from types import TracebackType
from typing import TypeVar

from typing_extensions import Self

from mlbaseline.progress.displays import Display, current_display
from mlbaseline.progress.event import Progress, Title

T = TypeVar("T")
_SHOWN_EVERY_S = 0.1
_TICK_S = 1.0
"""Seconds between updates of a bar of unknown length. A thread makes them, as the work may report only its end."""


class ProgressBar:
    """Counts what is done within a block, and shows it ten times a second at most."""

    def __init__(self, progress: Progress, display: Display | None, clock: Callable[[], float] = monotonic) -> None:
        """Show nothing yet.

        Args:
            progress: At the beginning.
            display: Where it is shown; None: nowhere.
            clock: Gives the time in seconds.
        """
        self._progress, self._display, self._clock = progress, display, clock
        self._started_s = self._shown_s = clock()
        self._done, self._note = progress.done, progress.note
        self._is_over = Event()
        self._ticking: Thread | None = None

    def __enter__(self) -> Self:
        """Show that the work begins."""
        if self._display is not None:
            self._display.show(self._progress)
            if self._progress.total is None:
                self._ticking = Thread(target=self._tick, name="progress", daemon=True)
                self._ticking.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show the last state, and that the work is over."""
        self._is_over.set()
        if self._ticking is not None:
            self._ticking.join()
        if self._display is not None:
            self._show()
            self._display.end(self._progress)

    @property
    def is_due(self) -> bool:
        """Whether a new state would be shown, so that one that takes time to find out is worth it."""
        return self._display is not None and self._clock() - self._shown_s >= _SHOWN_EVERY_S

    def update(self, n: int = 1, note: str | None = None) -> None:
        """Count further units.

        Args:
            n: How many are done since the last call.
            note: What else is known now; None: no more than before.
        """
        self._done += n
        self._note = self._note if note is None else note
        if self.is_due:
            self._show()

    def reach(self, done: int) -> None:
        """Say how many units are done in all."""
        self.update(done - self._done)

    def _tick(self) -> None:
        while not self._is_over.wait(_TICK_S):
            self._show()

    def _show(self) -> None:
        assert self._display is not None
        self._shown_s = self._clock()
        elapsed_s = self._shown_s - self._started_s
        self._progress = replace(self._progress, done=self._done, note=self._note, elapsed_s=elapsed_s)
        self._display.show(self._progress)


def progress_bar(
    total: int | None, unit: str, title: Title | None, *, start: int = 0, is_brief: bool = False
) -> ProgressBar:
    """Make the bar of some work, for the length of a block.

    Args:
        total: Number of units; None where it is not known.
        unit: In the singular, such as "step"; "B" for bytes.
        title: Of the work; None: it is not shown.
        start: Units that were done before.
        is_brief: Whether it is a preparation: its bar comes late, and goes with it.
    """
    progress = Progress(title or "", unit, total, start, start, is_brief=is_brief)
    return ProgressBar(progress, None if title is None else current_display())


def preparing(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """Yield the items, with a bar that disappears at their end. total: needed where `items` has no length."""
    if total is None:
        assert isinstance(items, Sized)
        total = len(items)
    with progress_bar(total, "example", title, is_brief=True) as bar:
        for item in items:
            yield item
            bar.update()
