"""Plot ─▶ SVG."""

from __future__ import annotations

from mlbaseline.report.plots import svg
from mlbaseline.report.plots.forest_plot import draw_forest
from mlbaseline.report.plots.plot_types import ForestPlot, Plot
from mlbaseline.report.plots.tradeoff_plot import draw_tradeoff


def render_plot(plot: Plot) -> str:
    """Draw one plot as a self-contained SVG, for a file or inline; equal plots give equal text."""
    with svg.style():
        figure = draw_forest(plot) if isinstance(plot, ForestPlot) else draw_tradeoff(plot)
        return svg.to_svg(figure, name=plot.name, title=plot.title, description=plot.alt)
