"""The group of all commands, and the process around them: signals, logs, errors and exit codes."""

from __future__ import annotations

import _thread
import gc
import logging
import signal
import sys
import threading
from threading import Timer
from types import FrameType
from typing import NoReturn

import click

from mlbaseline.cli.answer_commands import export, import_
from mlbaseline.cli.audit_commands import audit, explain
from mlbaseline.cli.cluster_commands import cluster_file
from mlbaseline.cli.decision_commands import canary, drift, replay, watch
from mlbaseline.cli.ladder_commands import evaluate, run
from mlbaseline.cli.monitor_commands import ingest, mix, retrain, snapshot
from mlbaseline.cli.preparation_commands import doctor, init, schema, suites, validate
from mlbaseline.cli.registry_commands import lineage, promote, rollback, verify
from mlbaseline.cli.result_commands import examples, report, table
from mlbaseline.cli.verdict_commands import compare, gate, power
from mlbaseline.errors import WEIGHT_PACKAGES, MlbaselineError
from mlbaseline.version import __version__

_AGAIN_S = 0.05
"""The callback that an interrupt was lost in is over by then."""


@click.group(context_settings={"auto_envvar_prefix": "MLBASELINE", "help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Is the fine-tuned model really better than what you already had?

    SUITE is a path to a suite file or the name of a packaged suite.

    \b
    Exit codes: 0 done, gate passed · 1 error · 2 wrong usage · 3 gate failed, breach · 4 inconclusive · 5 invalid.
    """


_COMMANDS = (
    *(run, evaluate, cluster_file),
    *(import_, export),
    *(compare, gate, power),
    *(audit, explain),
    *(promote, rollback, lineage, verify),
    *(report, examples, table),
    *(ingest, mix, snapshot, retrain),
    *(canary, drift, replay, watch),
    *(init, suites, validate, doctor, schema),
)
for _command in _COMMANDS:
    cli.add_command(_command)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line; errors that the user can act on become one message and their exit code."""
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    logging.getLogger("mlbaseline").setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, _interrupt)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
        signal.signal(signal.SIGHUP, _interrupt)
    sys.unraisablehook = _interrupt_again
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
    """End a command as Ctrl-C does when it is told to stop, or its terminal closes: open runs are closed as killed."""
    raise KeyboardInterrupt


def _interrupt_again(lost: sys.UnraisableHookArgs) -> None:
    """Interrupt once more where Python has dropped it: it only prints what the callback of a weak reference raises."""
    if isinstance(lost.exc_value, KeyboardInterrupt):
        Timer(_AGAIN_S, _stop_main_thread).start()
    else:
        sys.__unraisablehook__(lost)


def _stop_main_thread() -> None:
    """Send SIGTERM to the main thread, so that it also leaves a call of the system in which it waits."""
    main_thread = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main_thread is not None:
        signal.pthread_kill(main_thread, signal.SIGTERM)
    else:  # Windows
        _thread.interrupt_main(signal.SIGTERM)
