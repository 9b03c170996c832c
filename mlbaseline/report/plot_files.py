"""Assessment ─▶ its plots as SVG, for files and for notebooks."""

from __future__ import annotations

from dataclasses import dataclass

from mlbaseline.records import Assessment
from mlbaseline.report.plots.render import render_plot
from mlbaseline.report.plots.svg import palette
from mlbaseline.report.view_builder import build_view


@dataclass(frozen=True, slots=True)
class Drawing:
    """A plot of a report. svg: the text of an SVG file. alt: says the same in words."""

    name: str
    svg: str
    alt: str

    def _repr_html_(self) -> str:
        """Show it in a notebook, on its own paper: the notebook may be light where the reader's system is dark."""
        paper = "max-width: 34rem; background: var(--mlb-paper)"
        return f'<div class="mlb" style="{paper}"><style>{palette()}</style>{self.svg}</div>'


def draw_plot(assessment: Assessment, name: str) -> Drawing:
    """Draw one plot of the report.

    Args:
        assessment: What a comparison found.
        name: As in the names of the plots' files.

    Raises:
        ValueError: The report has no plot of that name.
    """
    plots = {plot.name: plot for plot in build_view(assessment).plots}
    if name not in plots:
        raise ValueError(f"no plot {name!r}; this comparison has: {', '.join(plots) or 'none'}")
    return Drawing(name, render_plot(plots[name]), plots[name].alt)


def render_plots(assessment: Assessment) -> dict[str, str]:
    """Render the plots of the report.

    Args:
        assessment: what a comparison found.

    Returns:
        SVG text by plot name; equal assessments give equal text.
    """
    return {plot.name: render_plot(plot) for plot in build_view(assessment).plots}
