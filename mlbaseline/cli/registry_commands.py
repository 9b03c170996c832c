"""Commands about registered models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlbaseline.cli.command import SIGN, SUITE, command

if TYPE_CHECKING:
    from mlbaseline.workflows import CommandResult

VERSION = click.option("--version", metavar="N", help="This version of MODEL, whatever its aliases.")
ALIAS = click.option("--alias", metavar="NAME", help="The version that holds this alias; default: champion.")


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
@VERSION
@ALIAS
def lineage(model: str, **options: Any) -> CommandResult:
    """Walk from a version of a registered model back to every run, dataset and rule that it stands on.

    MODEL is a name, models:/NAME@ALIAS or models:/NAME/VERSION.
    """
    from mlbaseline import workflows

    return workflows.lineage(model, **options)


@command()
@click.argument("model")
@VERSION
@ALIAS
def verify(model: str, **options: Any) -> CommandResult:
    """Recompute and check every link of a version of a registered model; exit 1 where one is missing or wrong.

    MODEL is a name, models:/NAME@ALIAS or models:/NAME/VERSION.
    """
    from mlbaseline import workflows

    return workflows.verify(model, **options)
