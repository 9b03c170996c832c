"""The figures of a report as SVG."""

from __future__ import annotations

from mlbaseline.records import Assessment
from mlbaseline.report import svg
from mlbaseline.report.assembly import view_of
from mlbaseline.report.figures import Figure, Forest
from mlbaseline.report.forest_plot import draw_forest
from mlbaseline.report.tradeoff_plot import draw_tradeoff


def plots(assessment: Assessment) -> dict[str, str]:
    """name ─▶ SVG, the plots of the report; equal assessments give equal text."""
    return {figure.name: draw(figure) for figure in view_of(assessment).figures}


def draw(figure: Figure) -> str:
    """One figure as a self-contained SVG, for a file or inline."""
    with svg.style():
        drawn = draw_forest(figure) if isinstance(figure, Forest) else draw_tradeoff(figure)
        return svg.to_svg(drawn, name=figure.name, title=figure.title, description=figure.alt)
