"""Commands for before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlbaseline.cli.command import command

if TYPE_CHECKING:
    from mlbaseline.workflows import CommandResult


@command()
@click.argument("suite", required=False)
@click.option("--fix", is_flag=True, help="Clear what killed processes left: runs, moves of aliases, versions, cache.")
def doctor(suite: str | None, **options: Any) -> CommandResult:
    """Show what this machine, tracking server and suite can and cannot do, and what killed processes left.

    Without SUITE, leftovers are looked for on the whole server.
    """
    from mlbaseline import workflows

    return workflows.doctor(suite, **options)


@command()
def schema(**_: Any) -> CommandResult:
    """Print the suite's JSON Schema, for editors."""
    from mlbaseline import workflows

    return workflows.schema()
