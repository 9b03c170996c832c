"""Plot ─▶ SVG."""

from __future__ import annotations

from functools import lru_cache

from mlbaseline.report.plots import svg
from mlbaseline.report.plots.plot import Plot


@lru_cache(maxsize=64)  # a report and the files beside it show the same plots
def render_plot(plot: Plot) -> str:
    """Draw one plot as a self-contained SVG, for a file or inline; equal plots give equal text."""
    with svg.style():
        return svg.to_svg(plot.draw(), name=plot.name, title=plot.title, description=plot.alt)
