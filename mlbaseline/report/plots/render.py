"""Plot ─▶ SVG."""

from __future__ import annotations

from mlbaseline.report.plots import svg
from mlbaseline.report.plots.plot import Plot


def render_plot(plot: Plot) -> str:
    """Draw one plot as a self-contained SVG, for a file or inline; equal plots give equal text."""
    with svg.style():
        return svg.to_svg(plot.draw(), name=plot.name, title=plot.title, description=plot.alt)
