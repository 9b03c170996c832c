"""The report as one HTML file that needs nothing else: no network, no scripts, its plots inline."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mlbaseline.records import Assessment
from mlbaseline.report.assembly import view_of
from mlbaseline.report.figures import Figure
from mlbaseline.report.plots import draw
from mlbaseline.report.svg import palette
from mlbaseline.report.view import Steps, Table, View


def render_html(assessment: Assessment) -> str:
    """The whole report; every name in it is escaped."""
    return html_of(view_of(assessment))


def html_of(view: View) -> str:
    drawings = {figure.name: Markup(draw(figure)) for figure in view.figures}
    return _environment().get_template("report.html.j2").render(view=view, drawings=drawings, palette=Markup(palette()))


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
    environment.tests["prose"] = lambda block: isinstance(block, str)
    environment.tests["table"] = lambda block: isinstance(block, Table)
    environment.tests["steps"] = lambda block: isinstance(block, Steps)
    environment.tests["figure"] = lambda block: isinstance(block, Figure)
    return environment
