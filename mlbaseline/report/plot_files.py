"""Assessment ─▶ its plots as SVG files."""

from __future__ import annotations

from mlbaseline.records import Assessment
from mlbaseline.report.plots.render import render_plot
from mlbaseline.report.view_builder import build_view


def render_plots(assessment: Assessment) -> dict[str, str]:
    """Render the plots of the report.

    Args:
        assessment: what a comparison found.

    Returns:
        SVG text by plot name; equal assessments give equal text.
    """
    return {plot.name: render_plot(plot) for plot in build_view(assessment).plots}
