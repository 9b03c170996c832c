"""Assessment ─▶ one HTML file that needs nothing else: no network, no scripts, its plots inline."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mlbaseline.records import Assessment
from mlbaseline.report.plots.forest_plot import FOREST
from mlbaseline.report.plots.plot import Plot
from mlbaseline.report.plots.render import render_plot
from mlbaseline.report.plots.svg import palette
from mlbaseline.report.view import ExampleList, Steps, Table, View
from mlbaseline.report.view_builder import build_view


def render_html(assessment: Assessment) -> str:
    """Render the whole report; every name in it is escaped."""
    return html_of(build_view(assessment))


def html_of(view: View) -> str:
    # Drawn by this package: the texts in a drawing are escaped where it is written.
    svgs = {plot.name: Markup(render_plot(plot)) for plot in view.plots}  # noqa: S704
    return _environment().get_template("report.html.j2").render(view=view, svgs=svgs, palette=Markup(palette()))  # noqa: S704


def render_fragment(assessment: Assessment) -> str:
    """Render verdict, registered contrasts and their plot as a piece of HTML for a notebook."""
    view = build_view(assessment)
    sections = [section for key in ("primary", "guardrail") if (section := view.section(key)) is not None]
    tables = [
        replace(block, caption=f"{section.title}: {block.caption}", notes=())
        for section in sections
        for block in section.blocks
        if isinstance(block, Table)
    ]
    drawing = next((plot for plot in view.plots if plot.name == FOREST), None)
    svg = Markup("" if drawing is None else render_plot(drawing))  # noqa: S704
    template = _environment().get_template("fragment.html.j2")
    return template.render(view=view, tables=tables, drawing=drawing, svg=svg, palette=Markup(palette()))  # noqa: S704


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mlbaseline.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.tests["text"] = lambda block: isinstance(block, str)
    environment.tests["table"] = lambda block: isinstance(block, Table)
    environment.tests["steps"] = lambda block: isinstance(block, Steps)
    environment.tests["examples"] = lambda block: isinstance(block, ExampleList)
    environment.tests["plot"] = lambda block: isinstance(block, Plot)
    return environment
