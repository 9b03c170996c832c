"""The command line: parse, call one workflow, print, exit code. Nothing is decided here."""

from __future__ import annotations

import gc
import logging
import shutil
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from mlbaseline.errors import WEIGHT_PACKAGES, MlbaselineError
from mlbaseline.version import __version__

if TYPE_CHECKING:
    from mlbaseline.workflows import CommandResult

Command = TypeVar("Command", bound=Callable[..., Any])

SUITE = click.argument("suite", default="tweets")
BASELINES = click.option(
    "--baseline", "baselines", multiple=True, metavar="NAME", help="Only this baseline; repeatable."
)
SEEDS = click.option("--seed", "seeds", multiple=True, type=int, metavar="N", help="Only this seed; repeatable.")
FRESH = click.option("--fresh", is_flag=True, help="Evaluate again even where a completed run could be reused.")
PROCESSES = click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Processes that answer together, each with a model of its own; on GPUs, one for each.",
)


def command(group: click.Group, name: str | None = None) -> Callable[[Command], click.Command]:
    """A command with the options that all commands share, whose function returns an CommandResult."""

    def register(function: Command) -> click.Command:
        @group.command(name or function.__name__)
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

                width = min(120, shutil.get_terminal_size((100, 24)).columns)
                click.echo(outcome.text(wants_colour(sys.stdout), width).rstrip())
            sys.exit(outcome.exit_code)

        return invoke

    return register


@click.group(context_settings={"auto_envvar_prefix": "MLBASELINE", "help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Is the fine-tuned model really better than what you already had?

    SUITE is a path to a suite file or the name of a packaged suite.

    \b
    Exit codes: 0 done, gate passed · 1 error · 2 wrong usage · 3 gate failed · 4 inconclusive · 5 not comparable.
    """


@command(cli)
@SUITE
@BASELINES
@SEEDS
@FRESH
@PROCESSES
@click.option("--no-promote", is_flag=True, help="Stop after the comparison: no gate, no registration.")
def run(suite: str, **options: Any) -> CommandResult:
    """The whole ladder, then compare, gate and promote."""
    from mlbaseline import workflows

    return workflows.run(suite, **options)


@command(cli)
@SUITE
@click.option("--kind", help="Only baselines of this kind.")
@BASELINES
@SEEDS
@FRESH
@PROCESSES
def evaluate(suite: str, **options: Any) -> CommandResult:
    """Evaluate baselines of the suite, every seed."""
    from mlbaseline import workflows

    return workflows.evaluate(suite, **options)


@command(cli, "import")
@click.argument("format", type=click.Choice(["lm-eval", "inspect", "mlflow", "csv", "tsv", "jsonl", "parquet"]))
@click.argument("path")
@SUITE
@click.option("--as", "baseline", metavar="NAME", required=True, help="The baseline of the suite that it is.")
@click.option("--seed", type=int, metavar="N", help="The seed of all answers, where the file names none.")
@click.option("--task", metavar="NAME", help="lm-eval: which task, in a folder with samples of several.")
@click.option("--filter", metavar="NAME", help="lm-eval: which filter, where the samples have several.")
@click.option("--epoch", type=int, metavar="N", help="inspect: only this epoch; without it, each is one of the seeds.")
@click.option(
    "--id", "id_field", metavar="FIELD", help="The field of an item (document, metadata, input) that is its id."
)
@click.option(
    "--score", metavar="NAME[=METRIC]", help="Count this verdict of the source as METRIC; default: the first."
)
def import_(format: str, path: str, suite: str, **options: Any) -> CommandResult:
    """Make answers that were computed elsewhere an evaluation of the suite.

    PATH is a file; of lm-eval and inspect also a folder; of mlflow the id of a run. For a baseline of kind human, a
    table with the columns example_id, annotator and label is what annotators said.
    """
    from mlbaseline import workflows

    return workflows.import_results(format, path, suite, **options)


@command(cli)
@SUITE
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="FILE.csv")
@click.option("--split", default="test", show_default=True, help="Which items: train, dev or test.")
def export(suite: str, **options: Any) -> CommandResult:
    """Write the items of a split, without targets, as a sheet for annotators."""
    from mlbaseline import workflows

    return workflows.export(suite, **options)


@command(cli)
@SUITE
@click.option("--ladder", metavar="RUN_ID", help="Compare the runs of this ladder; default: the newest of each rung.")
def compare(suite: str, **options: Any) -> CommandResult:
    """Query the server for the suite's runs, pair them by example and write a comparison run."""
    from mlbaseline import workflows

    return workflows.compare(suite, **options)


@command(cli)
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


@command(cli)
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
def promote(suite: str, **options: Any) -> CommandResult:
    """Register the winner of a comparison and move the champion alias to it."""
    from mlbaseline import workflows

    return workflows.promote(suite, **options)


@command(cli)
@click.argument("model")
def rollback(model: str, **options: Any) -> CommandResult:
    """Swap the champion of a registered MODEL with the version before it."""
    from mlbaseline import workflows

    return workflows.rollback(model, **options)


@command(cli)
@click.argument("model")
@click.option("--version", metavar="N", help="Start at this version, whatever its aliases.")
@click.option("--alias", default="champion", show_default=True, help="Start at the version that holds this alias.")
def lineage(model: str, **options: Any) -> CommandResult:
    """Walk from a version of a registered MODEL back to every run, dataset and rule that it stands on."""
    from mlbaseline import workflows

    return workflows.lineage(model, **options)


@command(cli)
@click.argument("comparison", default="")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="FILE.html or FILE.md"
)
@click.option("--suite", default="tweets", show_default=True, help="Whose newest comparison, where no run is named.")
def report(comparison: str, **options: Any) -> CommandResult:
    """Write the report of a COMPARISON run to a file."""
    from mlbaseline import workflows

    return workflows.report(comparison or None, **options)


@command(cli)
@SUITE
@click.option("--candidate", metavar="NAME", required=True, help="The rung whose answers are looked at.")
@click.option("--baseline", metavar="NAME", required=True, help="The rung that it is compared with.")
@click.option("--metric", metavar="NAME", help="Which answer is better, by this metric; default: the suite's first.")
@click.option("--won", is_flag=True, help="Only examples that the candidate answers better.")
@click.option("--lost", is_flag=True, help="Only examples that the baseline answers better.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="FILE.csv or FILE.jsonl")
def examples(suite: str, **options: Any) -> CommandResult:
    """Show which examples a candidate wins and loses against a baseline. Exploratory."""
    from mlbaseline import workflows

    return workflows.examples(suite, **options)


@command(cli)
@SUITE
@click.option("--comparison", metavar="RUN_ID", help="The comparison to show; default: the suite's newest.")
@click.option(
    "--format",
    "table_format",
    type=click.Choice(["latex", "markdown", "csv"]),
    default="markdown",
    show_default=True,
    help="LaTeX needs the package booktabs; CSV is unrounded.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file.")
def table(suite: str, **options: Any) -> CommandResult:
    """Write the scores of every rung as a table for a paper."""
    from mlbaseline import workflows

    return workflows.table(suite, **options)


@command(cli)
@SUITE
@click.option("--candidate", metavar="NAME", help="Only contrasts of this candidate.")
@click.option("--baseline", metavar="NAME", help="Only contrasts over this baseline.")
@click.option("--delta", type=float, help="The true difference to plan for; default: what was observed.")
def power(suite: str, **options: Any) -> CommandResult:
    """How small a difference the suite can detect, and how many examples a difference needs."""
    from mlbaseline import workflows

    return workflows.power(suite, **options)


@command(cli)
@click.argument("suite", required=False)
def doctor(suite: str | None, **options: Any) -> CommandResult:
    """What this machine, tracking server and suite can and cannot do."""
    from mlbaseline import workflows

    return workflows.doctor(suite, **options)


@command(cli)
def schema(**_: Any) -> CommandResult:
    """The suite's JSON Schema, for editors."""
    from mlbaseline import workflows

    return workflows.schema()


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line; errors that the user can act on become one message and their exit code."""
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    logging.getLogger("mlbaseline").setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, _interrupt)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
        signal.signal(signal.SIGHUP, _interrupt)
    # Importing torch and mlflow, and reading a table, makes objects by the million and hardly any garbage. By default
    # Python looks for garbage after every 700 of them, which is a sixth of the time that the imports take.
    gc.set_threshold(20_000)
    try:
        cli.main(arguments, prog_name="mlbaseline", standalone_mode=False)
    except MlbaselineError as error:
        click.echo(f"mlbaseline: {error}", err=True)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in WEIGHT_PACKAGES:
            raise
        click.echo(
            f"mlbaseline: training and answering with a model's weights need {package}, which is not installed: "
            "pip install mlbaseline",
            err=True,
        )
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("mlbaseline: interrupted; what is complete is kept, the same command goes on from there", err=True)
        sys.exit(1)
    sys.exit(0)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    """A polite kill, or a terminal that closes, ends a command as Ctrl-C does: open runs are closed as killed."""
    raise KeyboardInterrupt
