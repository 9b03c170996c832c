"""Commands that evaluate the rungs of a suite."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from mlbaseline.cli.command import (
    BASELINES,
    FRESH,
    PROCESSES,
    RAY,
    SEEDS,
    SIGN,
    SUITE,
    UNTIL_SETTLED,
    command,
    terminal_width,
)

if TYPE_CHECKING:
    from mlbaseline.workflows import CommandResult


@command()
@SUITE
@BASELINES
@SEEDS
@FRESH
@PROCESSES
@RAY
@UNTIL_SETTLED
@click.option("--no-promote", is_flag=True, help="Stop after the comparison: no gate, no registration.")
@click.option("--ask", is_flag=True, help="Show first what `validate` estimates, and ask whether to run.")
@SIGN
def run(suite: str, *, ask: bool, **options: Any) -> CommandResult:
    """Run the whole ladder, then compare, gate and promote."""
    from mlbaseline import workflows

    if ask:
        _ask(suite, **{name: options[name] for name in ("baselines", "seeds", "tracking_uri")})
    return workflows.run(suite, **options)


def _ask(suite: str, **options: Any) -> None:
    """Show the estimate on stderr, and end the command unless the answer is yes."""
    from mlbaseline import workflows
    from mlbaseline.report import wants_colour

    if not sys.stdin.isatty():
        raise click.UsageError("--ask needs a terminal to ask in; `mlbaseline validate` shows the estimate alone")
    click.echo(workflows.validate(suite, **options).text(wants_colour(sys.stderr), terminal_width()), err=True)
    click.confirm("Run it now?", abort=True, err=True)


@command()
@SUITE
@click.option("--kind", help="Only baselines of this kind.")
@BASELINES
@SEEDS
@FRESH
@PROCESSES
@RAY
@UNTIL_SETTLED
def evaluate(suite: str, **options: Any) -> CommandResult:
    """Evaluate baselines of the suite, every seed."""
    from mlbaseline import workflows

    return workflows.evaluate(suite, **options)
