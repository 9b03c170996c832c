"""A ladder in the terminal while it runs: one table of rungs and seeds, updated in place, over what is at work."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import RLock
from time import monotonic
from typing import IO

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar as Bar
from rich.table import Table
from rich.text import Text

from mlbaseline.progress.displays import BRIEF_S, shown_on
from mlbaseline.progress.event import Progress, RungEvent, RungState, Stage, Title, time_text

_REFRESHED_PER_S = 4
_NAME_WIDTH, _WIDEST_CELL, _NARROWEST_CELL = 24, 24, 9
_STYLES = {
    RungState.DONE: "green",
    RungState.REUSED: "cyan",
    RungState.FAILED: "bold red",
    RungState.LEFT_OUT: "dim",
}
"""Of the states in which nothing goes on."""
_LINES_AROUND = 5
"""Lines of the screen that no row of the table takes: heading, title, what is left out, and the cursor's own."""


@dataclass
class _SeedProgress:
    """What is known of a rung with one seed. state: None before it begins. ended: the last stage that is over."""

    state: RungState | None = None
    score: float | None = None
    ended: str = ""


class LiveLadder:
    """A `Display` that keeps all rungs of a ladder in one table."""

    def __init__(
        self, console: Console, title: str, plan: Mapping[str, Sequence[int | None]], clock: Callable[[], float]
    ) -> None:
        """Show nothing yet.

        Args:
            console: Where it is drawn.
            title: Of the ladder.
            plan: Rung ─▶ the seeds that it will probably run with; None where it has none.
            clock: Gives the time in seconds.
        """
        self._console, self._title, self._clock = console, title, clock
        self._started_s = clock()
        self._rungs = {name: {seed: _SeedProgress() for seed in seeds} for name, seeds in plan.items()}
        self._at_work: dict[Title, tuple[Progress, float]] = {}
        self._lock = RLock()  # the terminal is drawn by another thread

    def show(self, progress: Progress) -> None:
        """Keep how far a piece of work is."""
        with self._lock:
            self._at_work[progress.title] = progress, self._clock() - progress.elapsed_s

    def end(self, progress: Progress) -> None:
        """Forget a piece of work."""
        with self._lock:
            self._at_work.pop(progress.title, None)
            if isinstance(progress.title, Stage):
                self._cell(progress.title.rung, progress.title.seed).ended = progress.title.name

    def tell(self, event: RungEvent) -> None:
        """Keep what became of a rung."""
        with self._lock:
            cell = self._cell(event.rung, event.seed)
            cell.state = event.state
            cell.score = cell.score if event.score is None else event.score

    def _cell(self, rung: str, seed: int | None) -> _SeedProgress:
        cells = self._rungs.setdefault(rung, {})
        if seed not in cells and (seed is None or None in cells):
            cells.clear()  # the plan was wrong: only a loaded rung is sure to have seeds or none
        return cells.setdefault(seed, _SeedProgress())

    def __rich__(self) -> RenderableType:
        """Draw the ladder as it is now, in the width and height that the terminal has now."""
        with self._lock:
            now_s = self._clock()
            lines = [
                self._line(progress, now_s - began_s)
                for progress, began_s in self._at_work.values()
                if not progress.is_brief or now_s - began_s >= BRIEF_S
            ]
            lines = lines[: max(1, self._console.height // 3)]
            rows = max(1, self._console.height - len(lines) - _LINES_AROUND)
            return Group(self._heading(), self._table(rows), *lines)

    def _heading(self) -> Text:
        states = [cell.state for cells in self._rungs.values() for cell in cells.values()]
        n_reused, n_failed = states.count(RungState.REUSED), states.count(RungState.FAILED)
        n_all = len(states) - states.count(RungState.LEFT_OUT)
        parts = [f"{states.count(RungState.DONE) + n_reused} of {n_all} done"]
        parts += [f"{n_reused} reused"] if n_reused else []
        parts += [f"{n_failed} failed"] if n_failed else []
        parts.append(time_text(self._clock() - self._started_s))
        return Text(f"{self._title}: {', '.join(parts)}", style="bold", no_wrap=True, overflow="ellipsis")

    def _table(self, n_rows: int) -> Table:
        seeds = list(dict.fromkeys(seed for cells in self._rungs.values() for seed in cells))
        seeds.sort(key=lambda seed: (seed is not None, seed))
        names = self._visible(n_rows)
        name_width = min(_NAME_WIDTH, self._console.width // 4, max(map(len, self._rungs), default=4))
        room = self._console.width - name_width - 1
        n_fitting = max(1, room // (_NARROWEST_CELL + 1))
        shown = seeds if len(seeds) <= n_fitting else seeds[: n_fitting - 1]
        hidden = seeds[len(shown) :]
        width = max(1, min(_WIDEST_CELL, room // max(1, len(shown) + bool(hidden)) - 1))
        grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
        grid.add_column("rung", width=name_width, no_wrap=True, overflow="ellipsis")
        for seed in shown:
            grid.add_column("no seed" if seed is None else f"seed {seed}", width=width, no_wrap=True)
        if hidden:
            grid.add_column(f"{len(hidden)} more", width=width, no_wrap=True)
        for name in names:
            cells = self._rungs[name]
            row = [self._content(name, seed, cells[seed], width) if seed in cells else "" for seed in shown]
            grid.add_row(Text(name), *row, *([_count(cells, hidden)] if hidden else []))
        if len(names) < len(self._rungs):
            grid.add_row(Text(f"… {len(self._rungs) - len(names)} more rungs", style="dim"))
        return grid

    def _visible(self, n_rows: int) -> list[str]:
        """Choose the rungs that the screen has room for: from a little before the first that is not done."""
        names = list(self._rungs)
        over = {RungState.DONE, RungState.REUSED, RungState.LEFT_OUT}
        is_open = [any(cell.state not in over for cell in self._rungs[name].values()) for name in names]
        first = is_open.index(True) if True in is_open else len(names)
        start = max(0, min(first - 2, len(names) - n_rows))
        return names[start : start + n_rows]

    def _content(self, rung: str, seed: int | None, cell: _SeedProgress, width: int) -> RenderableType:
        if cell.state in _STYLES:
            score = "" if cell.score is None else f"{cell.score:.3f}"
            word = "" if score and cell.state is RungState.DONE else cell.state.value
            return Text(f"{score} {word}".strip(), style=_STYLES[cell.state])
        at_work = [
            progress
            for title, (progress, _) in self._at_work.items()
            if isinstance(title, Stage) and (title.rung, title.seed) == (rung, seed)
        ]
        if at_work:
            return _running(at_work[-1], width)
        if cell.ended:
            return Text(f"✓ {cell.ended}", style="dim", overflow="ellipsis")
        return Text("running", style="yellow") if cell.state is RungState.RUNNING else Text("waiting", style="dim")

    def _line(self, progress: Progress, elapsed_s: float) -> Text:
        # What cannot tell how far it is at least shows that time goes by.
        known = progress if progress.total is not None else replace(progress, elapsed_s=elapsed_s)
        return Text(known.text(), style="dim", no_wrap=True, overflow="ellipsis")


def _running(progress: Progress, width: int) -> RenderableType:
    """Draw a bar and the time left, or write the share that is done where a cell has no room for a bar."""
    if progress.total is None:
        return Text("running", style="yellow")
    left = "" if progress.left_s is None else time_text(progress.left_s)
    share = progress.done / progress.total if progress.total else 1.0
    if width < len(left) + 6:
        return Text(f"{share:.0%} {left}" if width >= len(left) + 5 else f"{share:.0%}", style="yellow")
    cell = Table.grid(padding=(0, 1, 0, 0))
    cell.add_row(Bar(total=1.0, completed=share, width=width - len(left) - 1), Text(left))
    return cell


def _count(cells: Mapping[int | None, _SeedProgress], seeds: Sequence[int | None]) -> Text:
    states = [cells[seed].state for seed in seeds if seed in cells]
    n_done = states.count(RungState.DONE) + states.count(RungState.REUSED)
    failed = f", {states.count(RungState.FAILED)} failed" if RungState.FAILED in states else ""
    return Text(f"{n_done} done{failed}" if states else "", style="dim", overflow="ellipsis")


@contextmanager
def showing_ladder(title: str, plan: Mapping[str, Sequence[int | None]]) -> Iterator[None]:
    """Show a ladder in the terminal for the length of the block; elsewhere, show progress as always.

    The table goes where the block ends well and its result is printed below; else it stays, and shows what failed.

    Args:
        title: Of the ladder.
        plan: Rung ─▶ the seeds that it will probably run with; None where it has none.
    """
    stream = sys.stderr
    if not stream.isatty() or os.environ.get("TERM") in ("dumb", "unknown"):
        yield
        return
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    ladder = LiveLadder(console, title, plan, monotonic)
    shares_stdout = sys.stdout.isatty()  # elsewhere stdout is a result's alone
    live = Live(
        ladder, console=console, refresh_per_second=_REFRESHED_PER_S, redirect_stdout=shares_stdout, transient=False
    )
    with live, shown_on(ladder), _logs_on(stream):
        yield
        live.transient = shares_stdout


@contextmanager
def _logs_on(stream: IO[str]) -> Iterator[None]:
    """Let the lines that are logged to `stream` appear above what `rich.live` draws there, which `sys.stderr` does."""
    loggers = [logging.root, *(each for each in logging.root.manager.loggerDict.values())]
    handlers = {
        handler
        for logger in loggers
        if isinstance(logger, logging.Logger)
        for handler in logger.handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is stream
    }
    for handler in handlers:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        for handler in handlers:
            handler.setStream(stream)
