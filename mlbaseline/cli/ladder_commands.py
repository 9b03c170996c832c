"""Commands that evaluate the rungs of a suite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlbaseline.cli.command import BASELINES, FRESH, PROCESSES, RAY, SEEDS, SIGN, SUITE, UNTIL_SETTLED, command

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
@SIGN
def run(suite: str, **options: Any) -> CommandResult:
    """Run the whole ladder, then compare, gate and promote."""
    from mlbaseline import workflows

    return workflows.run(suite, **options)


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
