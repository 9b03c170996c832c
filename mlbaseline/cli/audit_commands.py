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


@command()
@SUITE
@click.option("--baseline", metavar="NAME", help="The rung; default: the first with two sources of randomness, or one.")
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Vary this source alone; may be given again.")
@click.option("--levels", type=click.IntRange(min=2), default=3, show_default=True, help="Seeds of each source.")
@click.option("--metric", metavar="NAME", help="Default: that of the first primary contrast.")
@click.option(
    "--examples", "n_examples", type=click.IntRange(min=2), help="How many are answered; default: all of dev."
)
@click.option(
    "--se", "standard_error", type=float, default=0.01, show_default=True, help="Wanted, of a mean over seeds."
)
def variance(suite: str, *, standard_error: float, tracking_uri: str | None, **options: Any) -> CommandResult:
    """Run a rung with every combination of seeds of its sources of randomness: how much does each add?

    Sources are initialisation, order (of the data, with dropout), shots and decoding. Examples of dev are answered. A
    run of its own keeps what was found; no result of an evaluation is used or changed.
    """
    from mlbaseline import workflows

    design = workflows.VarianceDesign(**options)
    return workflows.audit_variance(suite, design=design, standard_error=standard_error, tracking_uri=tracking_uri)


audit.add_command(determinism)
audit.add_command(variance)
