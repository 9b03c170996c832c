"""Commands that show and write what a comparison came to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlbaseline.cli.command import SUITE, command

if TYPE_CHECKING:
    from mlbaseline.workflows import CommandResult


_RUN_ID = re.compile(r"[0-9a-f]{32}")
"""How MLflow names runs."""


@command()
@click.argument("subject", metavar="[SUITE|RUN_ID]", default="")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="FILE.html or FILE.md"
)
@click.option("--comparison", metavar="RUN_ID", help="The comparison to show; default: the suite's newest.")
@click.option("--suite", help="The same as the argument SUITE.")
def report(subject: str, *, comparison: str | None, suite: str | None, **options: Any) -> CommandResult:
    """Write the report of a comparison to a file: that of RUN_ID, or the newest of SUITE.

    Without either, it is the newest comparison of the server.
    """
    from mlbaseline import workflows

    if _RUN_ID.fullmatch(subject):
        comparison = comparison or subject
    else:
        suite = subject or suite
    return workflows.report(comparison, suite=suite, **options)


@command()
@SUITE
@click.option("--candidate", metavar="NAME", required=True, help="The rung whose answers are looked at.")
@click.option("--baseline", metavar="NAME", required=True, help="The rung that it is compared with.")
@click.option("--metric", metavar="NAME", help="Which answer is better, by this metric; default: the suite's first.")
@click.option("--won", is_flag=True, help="Only examples that the candidate answers better.")
@click.option("--lost", is_flag=True, help="Only examples that the baseline answers better.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="FILE.csv or FILE.jsonl")
def examples(suite: str, **options: Any) -> CommandResult:
    """Show which examples a candidate wins and loses against a baseline. Exploratory."""
    from mlbaseline import workflows

    return workflows.examples(suite, **options)


@command()
@SUITE
@click.option("--comparison", metavar="RUN_ID", help="The comparison to show; default: the suite's newest.")
@click.option(
    "--format",
    "table_format",
    type=click.Choice(["latex", "markdown", "csv"]),
    help="LaTeX needs the package booktabs; CSV is unrounded. Default: by the ending of FILE, else markdown.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="FILE.tex, FILE.md or FILE.csv")
def table(suite: str, **options: Any) -> CommandResult:
    """Write the scores of every rung as a table for a paper."""
    from mlbaseline import workflows

    return workflows.table(suite, **options)
