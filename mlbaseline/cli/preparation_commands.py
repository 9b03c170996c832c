"""Commands for before anything runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlbaseline.cli.command import BASELINES, SEEDS, SUITE, command

if TYPE_CHECKING:
    from mlbaseline.workflows import CommandResult


@command()
@click.argument("data", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="The suite; default: NAME.yaml")
@click.option("--encoding", metavar="NAME", help="Character encoding of a text file, such as cp1252; default: UTF-8.")
@click.option("--delimiter", metavar="CHAR", help="Between the cells of a text table; default: that of the header.")
@click.option("--sheet", metavar="NAME", help="The sheet of an Excel file; default: the only one that holds something.")
@click.option("--text", metavar="COLUMN", help="The column that the model reads.")
@click.option("--target", metavar="COLUMN", help="The column with the right answer.")
@click.option("--kind", type=click.Choice(["choice", "generate", "perplexity"]), help="Kind of task.")
@click.option("--model", metavar="SOURCE", help="The model to fine-tune: a folder, a GGUF file, hf://… and others.")
@click.option("--production", metavar="URI", help="What is in production today, such as models:/NAME@champion.")
@click.option("--name", help="Name of the suite; default: that of the file.")
@click.option("--force", is_flag=True, help="Write over a suite that is there.")
@click.option("--yes", is_flag=True, help="Ask nothing: let all guesses stand. So it is without a terminal.")
def init(data: Path, yes: bool, **options: Any) -> CommandResult:
    """Write a commented suite for a data file (csv, tsv, json, jsonl, parquet or xlsx), which runs at once.

    Columns, kind of task, choices, slices and splits are guessed from the file; the output says why.
    """
    from mlbaseline import workflows

    options.pop("tracking_uri")  # nothing runs yet
    asks = sys.stdin.isatty() and not yes
    return workflows.init(data, ask=_ask if asks else None, **options)


def _ask(question: str, default: str) -> str:
    return str(click.prompt(question, default=default, err=True))


@command()
@click.argument("suite", required=False)
@click.option("--fix", is_flag=True, help="Clear what killed processes left: runs, moves of aliases, versions, cache.")
def doctor(suite: str | None, **options: Any) -> CommandResult:
    """Show what this machine, tracking server and suite can and cannot do, and what killed processes left.

    Without SUITE, leftovers are looked for on the whole server.
    """
    from mlbaseline import workflows

    return workflows.doctor(suite, **options)


@command()
@SUITE
@BASELINES
@SEEDS
def validate(suite: str, **options: Any) -> CommandResult:
    """Estimate time, memory and money of the ladder, from a few timed examples and training steps.

    No run is logged, no result is kept, and no endpoint is asked.
    """
    from mlbaseline import workflows

    return workflows.validate(suite, **options)


@command()
def suites(**_: Any) -> CommandResult:
    """List the packaged suites, which `mlbaseline run NAME` runs from any folder."""
    from mlbaseline import workflows

    return workflows.suites()


@command()
@click.argument("suites", metavar="[SUITE]...", nargs=-1)
def schema(suites: tuple[str, ...], **_: Any) -> CommandResult:
    """Print the suite's JSON Schema, for editors; with SUITEs, check these instead, for hooks.

    All problems are named, and end with exit code 1. Nothing is fetched.
    """
    from mlbaseline import workflows

    return workflows.schema(suites)
