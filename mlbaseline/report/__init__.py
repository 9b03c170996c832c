"""Render an assessment as a page, as Markdown, as plots, for a terminal, and for CI systems."""

from mlbaseline.report.example_files import counts_document, examples_csv, examples_jsonl, examples_text
from mlbaseline.report.html import render_fragment, render_html
from mlbaseline.report.junit import render_junit
from mlbaseline.report.markdown import render_markdown, render_note, render_summary
from mlbaseline.report.paper_table import TableFormat, render_paper_table
from mlbaseline.report.plot_files import Drawing, draw_plot, render_plots
from mlbaseline.report.terminal import render_terminal, wants_colour
from mlbaseline.report.view_builder import summarise

__all__ = [
    "Drawing",
    "TableFormat",
    "counts_document",
    "draw_plot",
    "examples_csv",
    "examples_jsonl",
    "examples_text",
    "render_fragment",
    "render_html",
    "render_junit",
    "render_markdown",
    "render_note",
    "render_paper_table",
    "render_plots",
    "render_summary",
    "render_terminal",
    "summarise",
    "wants_colour",
]
