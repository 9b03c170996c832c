"""Assessment ─▶ text for a terminal: the ladder, the contrasts and the verdict."""

from __future__ import annotations

import io
import os
from typing import IO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from mlbaseline.documentation import explanations
from mlbaseline.records import Assessment, PromotionState
from mlbaseline.report.view import Cell, Column, Row, Steps, Table, Tone, View
from mlbaseline.report.view_builder import build_view

_STYLES: dict[Tone, str] = {"better": "blue", "worse": "red", "open": "yellow", "": ""}
_SECTIONS = (
    *("ladder", "fine-tunes", "primary", "guardrail", "looks", "judges", "published", "findings", "warnings"),
    *("guardrails", "split", "watched", "cost-of-traffic", "replay", "next"),
)
_CAUTIONS = ("worse", "open")
"""Tones of facts that stand on lines of their own."""
_NAME_WIDTH = 24
_GAP = 2


def wants_colour(stream: IO[str]) -> bool:
    """Tell whether `stream` is a terminal that shows colour; not where NO_COLOR is set (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def render_terminal(
    assessment: Assessment, *, colour: bool, width: int, promotion: PromotionState = PromotionState.OPEN
) -> str:
    """Render what a person wants to see at the end of a run; ends with a newline.

    Columns that do not fit are left out, the least important first, and so are tables that a page would fold. The
    verdict comes last, where the prompt returns.

    Args:
        assessment: what a comparison found.
        colour: whether to write ANSI colours.
        width: of the terminal, in characters; no line is longer.
        promotion: what has become of the winner by now.
    """
    return terminal_of(build_view(assessment, promotion=promotion), colour=colour, width=width)


def text_console(*, colour: bool, width: int) -> Console:
    """Make a console that prints into a text: what it prints is taken literally, and nothing depends on the machine."""
    return Console(
        file=io.StringIO(),
        width=width,
        color_system="standard" if colour else None,
        force_terminal=colour,
        no_color=not colour,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )


def terminal_of(view: View, *, colour: bool, width: int) -> str:
    """Render a view; see `render_terminal`."""
    console = text_console(colour=colour, width=width)
    console.print(Text(f"{view.subject} {view.suite}", style="bold"))
    for key in _SECTIONS:
        section = view.section(key)
        if section is None:
            continue
        for block in section.blocks:
            if isinstance(block, Table) and key != "next" and not block.collapsed:
                _print_table(console, block, f"{section.title}: {block.caption}", width)
            elif isinstance(block, Steps):
                _print_steps(console, block)
    _print_verdict(console, view)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in printed.splitlines()) + "\n"


def _print_verdict(console: Console, view: View) -> None:
    console.print()
    console.print(Text(view.title, style=f"bold {_STYLES[view.tone]}"))
    console.print(Text(view.sentence))
    if view.reason:
        console.print(Text(f"Why: {view.reason}", style="dim"))
    cautions = [fact for fact in view.facts if fact.tone in _CAUTIONS]
    others = [fact for fact in view.facts if fact not in cautions]
    console.print(Text(" · ".join(f"{fact.label}: {fact.text}" for fact in others), style="dim"))
    for fact in cautions:
        console.print(Text.assemble((f"{fact.label}: ", _STYLES[fact.tone]), fact.text))
    if codes := _open_codes(view):
        console.print(Text(f"What these codes mean: mlbaseline explain {' '.join(codes)}", style="dim"))


def _open_codes(view: View) -> list[str]:
    """Codes of what failed or is undecided in gates and audit, each once: those that a documentation page explains."""
    sections = filter(None, map(view.section, ("findings", "audit")))
    tables = [block for section in sections for block in section.blocks if isinstance(block, Table)]
    shown = [row.cells[0].text for table in tables if not table.collapsed for row in table.rows]
    return [code for code in dict.fromkeys(shown) if code in explanations()]


def _print_steps(console: Console, steps: Steps) -> None:
    console.print()
    for number, step in enumerate(steps.items, start=1):
        console.print(Text(f"{number}. {step}"))


def _print_table(console: Console, table: Table, heading: str, width: int) -> None:
    positions = _fitting(table, width)
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False, header_style="dim")
    for position in positions:
        column = table.columns[position]
        grid.add_column(
            Text(column.title),
            justify="right" if column.numeric else "left",
            no_wrap=not column.wide,
            overflow="ellipsis" if not column.wide else "fold",
            max_width=None if column.wide else _NAME_WIDTH if column.code else None,
        )
    for row in table.rows:
        grid.add_row(*(_styled(row.cells[position], row) for position in positions))
    console.print()
    console.print(Text(heading, style="bold"))
    console.print(grid)


def _styled(cell: Cell, row: Row) -> Text:
    style = _STYLES[cell.tone] + (" bold" if row.emphasis else "")
    text = Text(cell.text, style=style.strip())
    return text.append(f" {cell.detail}", style="dim") if cell.detail else text


def _fitting(table: Table, width: int) -> list[int]:
    """Give the positions of the columns to show: by rank, as long as they fit."""
    positions: list[int] = []
    used = 0
    for position in sorted(range(len(table.columns)), key=lambda position: table.columns[position].rank):
        need = _width_of(table, position) + _GAP
        if used + need > width and table.columns[position].rank > 0:
            continue
        positions.append(position)
        used += need
    return sorted(positions)


def _width_of(table: Table, position: int) -> int:
    column: Column = table.columns[position]
    cells = [row.cells[position] for row in table.rows]
    widest = max((cell_len(f"{cell.text} {cell.detail}".strip()) for cell in cells), default=0)
    limit = 30 if column.wide else _NAME_WIDTH if column.code else widest
    return max(cell_len(column.title), min(widest, limit))
