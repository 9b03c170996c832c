"""Where progress is shown: bars at a terminal, a line a minute in a file or a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from mlbaseline.progress.event import Progress

if TYPE_CHECKING:
    from tqdm import tqdm

_BRIEF_S = 1.0
"""The bar of a preparation appears after this time: small files are prepared sooner."""
_LINE_EVERY_S = 60.0
_FIRST_LINE_S = 10.0
"""What takes less than this has no line at all."""


class Display(Protocol):
    """Shows work in progress; several pieces of work may be shown at the same time."""

    def show(self, progress: Progress) -> None:
        """Show how far a piece of work is."""
        ...

    def end(self, progress: Progress) -> None:
        """Show a piece of work no more."""
        ...


class TerminalBars:
    """Bars on stderr, with speed and time left."""

    def __init__(self) -> None:
        self._bars: dict[str, tqdm[Any]] = {}

    def show(self, progress: Progress) -> None:
        """Make the bar, or move it."""
        bar = self._bars.get(progress.title)
        if bar is None:
            bar = self._bars[progress.title] = _make_bar(progress)
        bar.set_postfix_str(progress.note, refresh=False)
        bar.update(progress.done - bar.n)

    def end(self, progress: Progress) -> None:
        """Close the bar: it stays where it is full, unless it is of a preparation."""
        if bar := self._bars.pop(progress.title, None):
            bar.close()


def _make_bar(progress: Progress) -> tqdm[Any]:
    from tqdm import tqdm

    return tqdm(
        total=progress.total,
        initial=progress.start,
        unit=f" {progress.unit}s" if progress.unit != "B" else "B",
        unit_scale=progress.unit == "B",
        desc=progress.title,
        file=sys.stderr,
        dynamic_ncols=True,
        delay=_BRIEF_S if progress.is_brief else 0.0,
        leave=not progress.is_brief,
        bar_format="{desc}: {elapsed}{postfix}" if progress.total is None else None,
    )


class MinuteLines:
    """A line of plain text on stderr for each piece of work, once a minute."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Write nothing yet. clock: gives the time in seconds."""
        self._clock = clock
        self._written_s: float | None = None
        self._shown: dict[str, Progress] = {}

    def show(self, progress: Progress) -> None:
        """Write a line for all work in progress where a minute is over."""
        self._shown[progress.title] = progress
        now_s = self._clock()
        is_due = self._written_s is None or now_s - self._written_s >= _LINE_EVERY_S
        if is_due and progress.elapsed_s >= _FIRST_LINE_S:
            self._written_s = now_s
            print(*(each.text() for each in self._shown.values()), sep="\n", file=sys.stderr, flush=True)

    def end(self, progress: Progress) -> None:
        """Write no more lines about it."""
        self._shown.pop(progress.title, None)


_TERMINAL_BARS, _MINUTE_LINES = TerminalBars(), MinuteLines()


def current_display() -> Display:
    """Return where progress is shown now."""
    return _TERMINAL_BARS if sys.stderr.isatty() else _MINUTE_LINES
