"""Where progress is shown: bars at a terminal, a line a minute in a file or a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from mlbaseline.progress.event import Progress, RungEvent, RungState, Title

if TYPE_CHECKING:
    from tqdm import tqdm

BRIEF_S = 1.0
"""The bar of a preparation appears after this time: small files are prepared sooner."""
_LINE_EVERY_S = 60.0
_FIRST_LINE_S = 10.0
"""What takes less than this has no line at all."""


class Display(Protocol):
    """Shows work in progress; several pieces of work may be shown at the same time, by several threads."""

    def show(self, progress: Progress) -> None:
        """Show how far a piece of work is."""
        ...

    def end(self, progress: Progress) -> None:
        """Show a piece of work no more."""
        ...

    def tell(self, event: RungEvent) -> None:
        """Show what became of a rung."""
        ...


class TerminalBars:
    """Bars on stderr, with speed and time left."""

    def __init__(self) -> None:
        self._bars: dict[Title, tqdm[Any]] = {}

    def show(self, progress: Progress) -> None:
        """Make the bar, or move it."""
        bar = self._bars.get(progress.title)
        if bar is None:
            bar = self._bars[progress.title] = _make_bar(progress)
        bar.set_postfix_str(progress.note, refresh=False)
        bar.update(progress.done - bar.n)

    def end(self, progress: Progress) -> None:
        """Close the bar: it stays where it is full, unless it is of a preparation."""
        bar = self._bars.pop(progress.title, None)
        if bar is not None:  # a bar of unknown length has no truth value
            bar.close()

    def tell(self, event: RungEvent) -> None:
        """Show nothing: the log has it."""


def _make_bar(progress: Progress) -> tqdm[Any]:
    from tqdm import tqdm

    return tqdm(
        total=progress.total,
        initial=progress.start,
        unit=f" {progress.unit}s" if progress.unit != "B" else "B",
        unit_scale=progress.unit == "B",
        desc=str(progress.title),
        file=sys.stderr,
        dynamic_ncols=True,
        delay=BRIEF_S if progress.is_brief else 0.0,
        leave=not progress.is_brief,
        bar_format="{desc}: {elapsed}{postfix}" if progress.total is None else None,
    )


class MinuteLines:
    """A line of plain text on stderr for each piece of work, once a minute."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Write nothing yet. clock: gives the time in seconds."""
        self._clock = clock
        self._written_s: float | None = None
        self._shown: dict[Title, Progress] = {}
        self._lock = Lock()

    def show(self, progress: Progress) -> None:
        """Write a line for all work in progress where a minute is over."""
        with self._lock:
            self._shown[progress.title] = progress
            now_s = self._clock()
            is_due = self._written_s is None or now_s - self._written_s >= _LINE_EVERY_S
            if is_due and progress.elapsed_s >= _FIRST_LINE_S:
                self._written_s = now_s
                print(*(each.text() for each in self._shown.values()), sep="\n", file=sys.stderr, flush=True)

    def end(self, progress: Progress) -> None:
        """Write no more lines about it."""
        with self._lock:
            self._shown.pop(progress.title, None)

    def tell(self, event: RungEvent) -> None:
        """Write nothing: the log has it."""


_TERMINAL_BARS, _MINUTE_LINES = TerminalBars(), MinuteLines()
_chosen: list[Display] = []


def current_display() -> Display:
    """Return where progress is shown now."""
    if _chosen:
        return _chosen[-1]
    return _TERMINAL_BARS if sys.stderr.isatty() else _MINUTE_LINES


@contextmanager
def shown_on(display: Display) -> Iterator[None]:
    """Show on this display, and on no other, whatever makes progress in the block and in this process."""
    _chosen.append(display)
    try:
        yield
    finally:
        _chosen.remove(display)


def has_terminal_to_itself() -> bool:
    """Tell whether another library may draw on the terminal: there is one, and no display of ours holds it."""
    return not _chosen and sys.stderr.isatty()


def tell(rung: str, seed: int | None, state: RungState, score: float | None = None) -> None:
    """Tell the display what became of a rung."""
    current_display().tell(RungEvent(rung, seed, state, score))


@contextmanager
def working_on(rung: str, seed: int | None) -> Iterator[None]:
    """Tell the display that a rung is at work in the block, and that it failed where the block does."""
    tell(rung, seed, RungState.RUNNING)
    try:
        yield
    except Exception:
        tell(rung, seed, RungState.FAILED)
        raise
