"""Commands that decide about live traffic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlbaseline.cli.command import SUITE, command
from mlbaseline.cli.monitor_commands import LEDGER

if TYPE_CHECKING:
    from mlbaseline.workflows import CommandResult

RECORD = click.option(
    "--record/--no-record",
    default=True,
    show_default=True,
    help="Leave a run with the decision and its page; the same look again leaves no second one.",
)
WEBHOOK = click.option(
    "--webhook",
    metavar="URL",
    help="Tell this address of an alarm, once, signed with the key in MLBASELINE_WEBHOOK_SECRET.",
)


@command()
@SUITE
@LEDGER
@RECORD
@WEBHOOK
@click.option(
    "--apply",
    is_flag=True,
    help="Move the champion's alias back, or promote through the gates; without it, the command says what it would do.",
)
def canary(suite: str, **options: Any) -> CommandResult:
    """Decide about the candidate on live traffic; exit 0 continue or promote, 3 roll back or hold, 5 invalid split."""
    from mlbaseline import workflows

    return workflows.canary(suite, **options)


@command()
@SUITE
@LEDGER
@RECORD
@WEBHOOK
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="Start of the detector (UTC); default: the champion's promotion, or the first event where there is none.",
)
def drift(suite: str, **options: Any) -> CommandResult:
    """Compare the champion's loss on live traffic with its recorded one, slice by slice; exit 3 after an alarm."""
    from datetime import timezone

    from mlbaseline import workflows

    since = options.pop("since")
    return workflows.drift(suite, since=since and since.replace(tzinfo=timezone.utc), **options)


@command()
@SUITE
@click.argument("events", nargs=-1, type=click.Path())
@click.option("--power/--no-power", default=True, show_default=True, help="Simulate how soon effects would be found.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the page to FILE.html")
def replay(suite: str, **options: Any) -> CommandResult:
    """Take the same decisions over a recorded stream, at speed: choose thresholds before going live.

    EVENTS are Parquet, JSON Lines or CSV files. Without them, the packaged suite tweets has a stream of its own.
    """
    from mlbaseline import workflows

    return workflows.replay(suite, **options)


@click.command()
@SUITE
@LEDGER
@click.option("--tracking-uri", metavar="URI", help="The MLflow server; default is MLflow's own.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=int, default=8642, show_default=True, help="Port to listen at.")
@click.option("--every", "every_s", type=click.FloatRange(min=0.1), default=30.0, show_default=True, metavar="SECONDS")
@click.option("--apply", is_flag=True, help="Carry out what the canary decides, once it has been answered.")
def watch(suite: str, **options: Any) -> None:
    """Answer the decisions over HTTP: webhooks of Flagger, a metric for Argo Rollouts, gauges for Prometheus.

    Requests carry `Authorization: Bearer TOKEN` with the content of MLBASELINE_WATCH_TOKEN; without one, only
    loopback addresses may be listened at. The ledger is looked at every SECONDS.
    """
    from mlbaseline import workflows

    workflows.watch(suite, **options)
