"""Commands for what goes on after a promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlbaseline.cli.command import SUITE, command

if TYPE_CHECKING:
    from mlbaseline.workflows import CommandResult

LEDGER = click.option(
    "--ledger",
    metavar="URL",
    help="A SQLite file or any SQLAlchemy URL; default: beside the tracking database.",
)


@command()
@SUITE
@click.argument("events", nargs=-1, type=click.Path())
@LEDGER
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="Read traces from this time on (UTC); default: those that are new, or whose labels may still come.",
)
def ingest(suite: str, **options: Any) -> CommandResult:
    """Read live traffic into the ledger: files of EVENTS, or MLflow traces with their assessments.

    What the ledger has already does not count again.
    """
    from datetime import timezone

    from mlbaseline import workflows

    since = options.pop("since")
    return workflows.ingest(suite, since=since and since.replace(tzinfo=timezone.utc), **options)
