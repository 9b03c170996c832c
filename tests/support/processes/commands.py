"""The command line as a user runs it, in a process of its own; the seconds that its imports take are spent once.

Every command is a fork of one process that has imported everything and done nothing: with its own folder, environment,
output and exit code, and without a minute of `import torch` over a test file.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Client, Listener
from pathlib import Path
from subprocess import CompletedProcess
from threading import Thread

_PRELOADED = [
    "torch",
    "transformers.models.llama.modeling_llama",
    "peft",
    "accelerate",
    "mlbaseline.workflows",
    "mlbaseline.engine.scoring.choices",
    "mlbaseline.engine.training.loop",
    "mlbaseline.report",
    # What these import only when they are used.
    "mlflow.transformers",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.tracing.provider",
    "mlflow.genai.scorers",
    "alembic.command",
    "sqlalchemy.dialects.sqlite",
    "opentelemetry.sdk.metrics",
    "git",
    "IPython",
    "pyarrow.dataset",
    "scipy.stats",
    "statsmodels.stats.multitest",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "matplotlib.style",
]


def run_command(
    arguments: list[str], folder: Path, environment: Mapping[str, str], prepare: Callable[[], None] | None = None
) -> CompletedProcess[str]:
    """Run `mlbaseline` with these arguments in `folder`.

    environment: the whole of it. prepare: called in the process before the command, a function that can be pickled.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    with tempfile.TemporaryDirectory() as captured:
        out, error = Path(captured, "out"), Path(captured, "error")
        process = context.Process(target=_main, args=(arguments, folder, dict(environment), (out, error), prepare))
        process.start()
        process.join()
        assert process.exitcode is not None
        return CompletedProcess(arguments, process.exitcode, out.read_text("utf-8"), error.read_text("utf-8"))


@contextmanager
def command_on_path(folder: Path) -> Iterator[None]:
    """Program `mlbaseline` in `folder`, for what starts it by its name; `run_command` runs what it is asked."""
    program = folder / "mlbaseline"
    with Listener(family="AF_UNIX") as listener:
        program.write_text(_PROGRAM.format(python=sys.executable, address=listener.address), encoding="utf-8")
        program.chmod(0o755)
        answering = Thread(target=_answer, args=(listener,))
        answering.start()
        try:
            yield
        finally:
            with Client(listener.address) as last:
                last.send(None)
            answering.join()


_PROGRAM = """#!{python} -S
import os, sys
from multiprocessing.connection import Client

with Client({address!r}) as tests:
    tests.send((sys.argv[1:], os.getcwd(), dict(os.environ)))
    code, output, errors = tests.recv()
sys.stdout.write(output)
sys.stderr.write(errors)
sys.exit(code)
"""


def _answer(listener: Listener) -> None:
    """Run one command after the other, until None is sent."""
    while True:
        with listener.accept() as asking:
            if (asked := asking.recv()) is None:
                return
            arguments, folder, environment = asked
            done = run_command(arguments, Path(folder), environment)
            asking.send((done.returncode, done.stdout, done.stderr))


def _main(
    arguments: list[str],
    folder: Path,
    environment: Mapping[str, str],
    captured: tuple[Path, Path],
    prepare: Callable[[], None] | None,
) -> None:
    out, error = captured
    for descriptor, path in ((1, out), (2, error)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, descriptor)
        os.close(file)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    import torch

    from mlbaseline.cli import main

    torch.set_num_threads(int(environment.get("OMP_NUM_THREADS", torch.get_num_threads())))
    if prepare is not None:
        prepare()
    main(arguments)
