"""What all commands share: their options, and how a result is printed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from mlbaseline.workflows import CommandResult

Command = TypeVar("Command", bound=Callable[..., Any])

SUITE = click.argument("suite", default="tweets")
BASELINES = click.option(
    "--baseline", "baselines", multiple=True, metavar="NAME", help="Only this baseline; repeatable."
)
SEEDS = click.option("--seed", "seeds", multiple=True, type=int, metavar="N", help="Only this seed; repeatable.")
FRESH = click.option("--fresh", is_flag=True, help="Evaluate again even where a completed run could be reused.")
UNTIL_SETTLED = click.option(
    "--until-settled",
    is_flag=True,
    help="Stop answering at the first look of the suite (matrix.looks) that settles every candidate.",
)
SIGN = click.option(
    "--sign",
    metavar="KEY",
    help="Sign the verdict with this private key (a PEM file; its password is in MLBASELINE_SIGN_PASSWORD).",
)
PROCESSES = click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Processes that answer together, each with a model of its own; on GPUs, one for each.",
)

RAY = click.option(
    "--ray",
    metavar="auto|ADDRESS",
    help="Train and answer on the nodes of this Ray cluster; auto: the one that runs on this machine.",
)


def terminal_width() -> int:
    """Return the columns that a result may take: those of the terminal, and 120 at most."""
    return min(120, shutil.get_terminal_size((100, 24)).columns)


def command(name: str | None = None) -> Callable[[Command], click.Command]:
    """Make a command of a function that returns a CommandResult, with the options that all commands share."""

    def register(function: Command) -> click.Command:
        @click.command(name or function.__name__)
        @click.option("--tracking-uri", metavar="URI", help="The MLflow server; default is MLflow's own.")
        @click.option(
            "--json", "as_json", is_flag=True, help="Print one JSON document on stdout and nothing else there."
        )
        @wraps(function)
        def invoke(*, as_json: bool, **options: Any) -> None:
            outcome: CommandResult = function(**options)
            if as_json:
                from mlbaseline.workflows.command_result import document_json

                click.echo(document_json(outcome.document).rstrip())
            else:
                from mlbaseline.report import wants_colour

                click.echo(outcome.text(wants_colour(sys.stdout), terminal_width()).rstrip())
            sys.exit(outcome.exit_code)

        return invoke

    return register
