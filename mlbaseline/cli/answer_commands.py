"""Commands that exchange answers and items with other tools and people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlbaseline.cli.command import SUITE, command

if TYPE_CHECKING:
    from mlbaseline.workflows import CommandResult


@command("import")
@click.argument(
    "format",
    type=click.Choice(["lm-eval", "inspect", "mlflow", "mlflow-reviews", "nemo", "csv", "tsv", "jsonl", "parquet"]),
)
@click.argument("path")
@SUITE
@click.option("--as", "baseline", metavar="NAME", required=True, help="The baseline of the suite that it is.")
@click.option("--seed", type=int, metavar="N", help="The seed of all answers, where the file names none.")
@click.option("--task", metavar="NAME", help="lm-eval: which task, in a folder with samples of several.")
@click.option("--filter", metavar="NAME", help="lm-eval: which filter, where the samples have several.")
@click.option("--epoch", type=int, metavar="N", help="inspect, nemo: only this epoch; else each is one of the seeds.")
@click.option(
    "--id", "id_field", metavar="FIELD", help="The field of an item (document, metadata, input) that is its id."
)
@click.option(
    "--score", metavar="NAME[=METRIC]", help="Count this verdict of the source as METRIC; default: the first."
)
def import_(format: str, path: str, suite: str, **options: Any) -> CommandResult:
    """Make answers that were computed elsewhere an evaluation of the suite.

    PATH is a file; of lm-eval, inspect and nemo also a folder; of mlflow the id of a run. For a baseline of kind
    human, a table with the columns example_id, annotator and label is what annotators said, and so are the answers to a
    question (--score NAME) of a review queue: mlflow-reviews with the queue's name.
    """
    from mlbaseline import workflows

    return workflows.import_results(format, path, suite, **options)


@command()
@SUITE
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="FILE.csv")
@click.option("--split", default="test", show_default=True, help="Which items: train, dev or test.")
@click.option(
    "--labels",
    type=click.IntRange(min=1),
    metavar="N",
    help="The answers to N random test examples instead, for people to label by a judged metric.",
)
@click.option("--metric", metavar="NAME", help="With --labels: which judged metric, where there are several.")
def export(suite: str, **options: Any) -> CommandResult:
    """Write the items of a split, without targets, as a sheet for annotators; or answers, for people to label."""
    from mlbaseline import workflows

    return workflows.export(suite, **options)
