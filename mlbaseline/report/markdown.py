"""Assessment ─▶ GitHub-flavoured Markdown, complete without its plots: deltas are drawn with characters."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import replace

from mlbaseline.formats import counted
from mlbaseline.records import Assessment, PromotionState
from mlbaseline.report.plots.forest_plot import ForestPlot
from mlbaseline.report.plots.plot import Plot
from mlbaseline.report.plots.text_plot import interval_lines
from mlbaseline.report.view import Block, Cell, Column, ExampleList, ExampleView, Row, Steps, Table, View
from mlbaseline.report.view_builder import build_view
from mlbaseline.untrusted import escape_markdown as _text

_SUMMARY = ("primary", "guardrail", "findings", "audit", "next")
_LONGEST_SENTENCE, _LONGEST_FACT = 1_500, 400
"""Characters: MLflow refuses a note that is too long."""
_NOTE = ("Audit", "Classes never answered", "Slices found worse", "Runs differ in")
_MAX_EXAMPLES = 10


def render_markdown(assessment: Assessment) -> str:
    """Render the whole report; ends with a newline."""
    return markdown_of(build_view(assessment))


def render_summary(assessment: Assessment, promotion: PromotionState = PromotionState.OPEN) -> str:
    """Render the short form for the page of a CI job: verdict, registered contrasts, findings, what to do next."""
    view = build_view(assessment, promotion=promotion)
    return markdown_of(replace(view, sections=tuple(section for section in view.sections if section.key in _SUMMARY)))


def render_note(assessment: Assessment) -> str:
    """Render the decision, the sentence that explains it, and what the audit holds against it, for a run's note."""
    view = build_view(assessment)
    facts = [f"{_text(fact.label)}: {_text(fact.text[:_LONGEST_FACT])}." for fact in view.facts if fact.label in _NOTE]
    return "\n\n".join([f"**{_text(view.title)}.** {_text(view.sentence[:_LONGEST_SENTENCE])}", *facts])


def markdown_of(view: View) -> str:
    why = _text(f"Why: {view.reason}") if view.reason else ""
    parts = [f"# {_text(view.title)}", _text(view.sentence), why, f"{view.subject} {_code(view.suite)}"]
    parts.append("\n".join(f"- {_text(fact.label)}: **{_text(fact.text)}**" for fact in view.facts))
    for section in view.sections:
        parts.append(f"## {_text(section.title)}")
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, str):
        return _text(block)
    if isinstance(block, Steps):
        return "\n".join(f"{number}. {_text(step)}" for number, step in enumerate(block.items, start=1))
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, ExampleList):
        return _table(_examples(block))
    return _plot(block)


def _examples(block: ExampleList) -> Table:
    """Show the first examples of each change as a folded table."""
    names = [answer.rung for answer in block.items[0].answers]
    columns = (Column("Change"), Column("Example", code=True), Column("Input"), Column("Right"), *map(Column, names))
    shown = [item for group in range(len(block.groups)) for item in _first(block, group)]
    rows = tuple(
        Row(
            (
                Cell(item.label),
                Cell(item.example_id),
                Cell(" ".join(item.input.split())),
                Cell(item.target),
                *(Cell(answer.text, f"({answer.note})") for answer in item.answers),
            )
        )
        for item in shown
    )
    return Table(f"{block.caption}: {block.summary}", columns, rows, collapsed=True)


def _first(block: ExampleList, group: int) -> list[ExampleView]:
    return [item for item in block.items if item.group == group][:_MAX_EXAMPLES]


def _plot(plot: Plot) -> str:
    drawing = ""
    if isinstance(plot, ForestPlot):
        # A longer fence than any run of backticks inside cannot be closed from there.
        lines = "\n\n".join("\n".join(interval_lines(panel)) for panel in plot.panels)
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", lines)), default=0))
        drawing = f"{fence}text\n{lines}\n{fence}"
    return "\n\n".join(part for part in (f"**{_text(plot.title)}**", drawing, _text(plot.caption)) if part)


def _table(table: Table) -> str:
    header = _line(_text(column.title) for column in table.columns)
    rule = _line("---:" if column.numeric else "---" for column in table.columns)
    lines = "\n".join([header, rule, *(_row(table.columns, row) for row in table.rows)])
    notes = "\n\n".join(f"<sub>{_text(note)}</sub>" for note in table.notes)
    body = f"{lines}\n\n{notes}" if notes else lines
    if table.collapsed:
        # Up to the blank line GitHub reads HTML, where a backslash escapes nothing.
        summary = html.escape(f"{table.caption} ({counted(len(table.rows), 'row')})")
        return f"<details>\n<summary>{summary}</summary>\n\n{body}\n\n</details>"
    return f"**{_text(table.caption)}**\n\n{body}"


def _row(columns: tuple[Column, ...], row: Row) -> str:
    texts = []
    for position, (column, cell) in enumerate(zip(columns, row.cells, strict=True)):
        text = _code(cell.text) if column.code else _text(cell.text)
        text = f"[{text}]({cell.link})" if cell.link else text
        text = f"**{text}**" if row.emphasis and position == 0 else text
        texts.append(f"{text} {_text(cell.detail)}" if cell.detail else text)
    return _line(texts)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _code(text: str) -> str:
    """Make a code span. In a table a pipe ends the cell even there, so it is escaped as GitHub requires."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}".replace("|", "\\|")
