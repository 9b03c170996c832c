"""Commands that compare, plan a comparison and judge one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlbaseline.cli.command import SIGN, SUITE, command

if TYPE_CHECKING:
    from mlbaseline.workflows import CommandResult


@command()
@SUITE
@click.option("--ladder", metavar="RUN_ID", help="Compare the runs of this ladder; default: the newest of each rung.")
@SIGN
def compare(suite: str, **options: Any) -> CommandResult:
    """Query the server for the suite's runs, pair them by example and write a comparison run."""
    from mlbaseline import workflows

    return workflows.compare(suite, **options)


@command()
@SUITE
@click.option("--comparison", metavar="RUN_ID", help="The comparison to judge; default: the suite's newest.")
@click.option("--verify", is_flag=True, help="Derive the comparison again from its tables; refuse it where it differs.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json", "junit", "markdown"]),
    default="text",
    show_default=True,
    help="JUnit XML and a Markdown summary are for CI systems.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file.")
def gate(suite: str, **options: Any) -> CommandResult:
    """Judge a comparison by the suite's rules; the exit code is the verdict."""
    from mlbaseline import workflows

    return workflows.gate(suite, **options)


@command()
@SUITE
@click.option("--candidate", metavar="NAME", help="Only contrasts of this candidate.")
@click.option("--baseline", metavar="NAME", help="Only contrasts over this baseline.")
@click.option("--delta", type=float, help="The true difference to plan for; default: what was observed.")
@click.option(
    "--discordance",
    type=click.FloatRange(0.0, 1.0, min_open=True),
    metavar="SHARE",
    help="Plan before any run: the share of examples on which two rungs are assumed to score differently.",
)
@click.option("--simulate", is_flag=True, help="Draw tests from the rows of the runs, and judge each as compare does.")
@click.option("--simulations", type=click.IntRange(min=20), default=200, show_default=True, help="Tests of each size.")
@click.option(
    "--times",
    "factors",
    type=click.FloatRange(0.0, 100.0, min_open=True),
    multiple=True,
    default=(1.0, 2.0, 4.0),
    show_default=True,
    help="Size of the simulated tests, as a multiple of the present one.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the simulated tests.")
def power(
    suite: str,
    *,
    discordance: float | None,
    simulate: bool,
    simulations: int,
    factors: tuple[float, ...],
    seed: int,
    **options: Any,
) -> CommandResult:
    """Show what difference the suite can detect, how many examples one needs, and how often which verdict comes."""
    from mlbaseline import workflows

    if discordance is not None:
        if simulate:
            raise click.UsageError("--simulate draws from the rows of runs; --discordance plans without any: give one")
        del options["tracking_uri"]  # no run is read
        return workflows.assume_power(suite, discordance=discordance, **options)
    if simulate:
        chosen = workflows.SimulationOptions(simulations, factors, seed)
        return workflows.simulate_power(suite, options=chosen, **options)
    return workflows.power(suite, **options)
