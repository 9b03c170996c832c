"""Commands about registered models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlbaseline.cli.command import SIGN, SUITE, command

if TYPE_CHECKING:
    from mlbaseline.workflows import CommandResult


@command()
@SUITE
@click.option("--comparison", metavar="RUN_ID", help="The comparison to promote from; default: the suite's newest.")
@click.option("--dry-run", is_flag=True, help="Say what would be registered, and register nothing.")
@click.option(
    "--verify/--no-verify",
    default=True,
    show_default=True,
    help="Derive the comparison again from its tables first; refuse it where it differs.",
)
@click.option("--allow-rolled-back", is_flag=True, help="Promote a model again that was rolled back before.")
@SIGN
def promote(suite: str, **options: Any) -> CommandResult:
    """Register the winner of a comparison and move the champion alias to it."""
    from mlbaseline import workflows

    return workflows.promote(suite, **options)


@command()
@click.argument("model")
def rollback(model: str, **options: Any) -> CommandResult:
    """Swap the champion of a registered MODEL with the version before it."""
    from mlbaseline import workflows

    return workflows.rollback(model, **options)


@command()
@click.argument("model")
@click.option("--version", metavar="N", help="Start at this version, whatever its aliases.")
@click.option("--alias", default="champion", show_default=True, help="Start at the version that holds this alias.")
def lineage(model: str, **options: Any) -> CommandResult:
    """Walk from a version of a registered MODEL back to every run, dataset and rule that it stands on."""
    from mlbaseline import workflows

    return workflows.lineage(model, **options)


@command()
@click.argument("model")
def verify(model: str, **options: Any) -> CommandResult:
    """Recompute and check every link of a version of a registered model; exit 1 where one is missing or wrong.

    MODEL is models:/NAME@ALIAS or models:/NAME/VERSION; a name alone stands for its champion.
    """
    from mlbaseline import workflows

    return workflows.verify(model, **options)
