"""An assessment as a page, as Markdown, as plots, and for a terminal: all drawn from one view."""

from mlbaseline.report.html import render_html
from mlbaseline.report.markdown import render_markdown
from mlbaseline.report.plots import plots
from mlbaseline.report.terminal import render_terminal, wants_colour

__all__ = ["plots", "render_html", "render_markdown", "render_terminal", "wants_colour"]
