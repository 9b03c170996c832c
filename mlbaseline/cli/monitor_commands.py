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


@command()
@SUITE
@LEDGER
@click.option("--slice", "slicing", metavar="NAME", required=True, help="The slice, one of monitor.slices.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="Count requests from this time on (UTC); default: all.",
)
def mix(suite: str, **options: Any) -> CommandResult:
    """Print the mix of a slice in recorded traffic, as weights to register in the suite."""
    from mlbaseline import workflows

    return workflows.mix(suite, **options)


@command()
@SUITE
@LEDGER
def snapshot(suite: str, **options: Any) -> CommandResult:
    """Compare the champion with the reference on labelled items of live traffic; exit 3 at a breach.

    Once for each closed period of monitor.holdout.refresh; a period that has its snapshot is not evaluated again.
    """
    from mlbaseline import workflows

    return workflows.snapshot(suite, **options)


@command()
@SUITE
@LEDGER
@click.option("--apply", is_flag=True, help="Train; without it, the command says what it would do.")
@click.option(
    "--project", metavar="URI", default=".", show_default=True, help="Folder or address of the MLflow Project."
)
def retrain(suite: str, **options: Any) -> CommandResult:
    """Train again after an alarm, and promote the result if it passes the gates.

    Once for each alarm, with the cooldown and the monthly maximum of monitor.retrain.
    """
    from mlbaseline import workflows

    return workflows.retrain(suite, **options)
