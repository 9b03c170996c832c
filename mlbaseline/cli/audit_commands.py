"""Commands that look at how far a result can be relied on, and explain what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlbaseline.cli.command import SUITE, command

if TYPE_CHECKING:
    from mlbaseline.workflows import CommandResult


@command()
@click.argument("codes", metavar="[CODE]...", nargs=-1)
def explain(codes: tuple[str, ...], **_: Any) -> CommandResult:
    """Explain codes of audit checks and gates (MLB305, superiority); without CODE, list all.

    Nothing is fetched: the texts are part of the package.
    """
    from mlbaseline import workflows

    return workflows.explain(codes)


@click.group()
def audit() -> None:
    """Look at how far results can be relied on."""


@command()
@SUITE
@click.option("--baseline", metavar="NAME", help="The rung that is repeated; default: the first pretrained one.")
@click.option(
    "--examples", "n_examples", type=click.IntRange(min=2), default=60, show_default=True, help="How many are answered."
)
def determinism(suite: str, **options: Any) -> CommandResult:
    """Repeat a rung with other batches, order, company and processes, and count what differs.

    Examples of dev are answered. A run of its own keeps what was found; no result of an evaluation is used or changed.
    """
    from mlbaseline import workflows

    return workflows.audit_determinism(suite, **options)


audit.add_command(determinism)
