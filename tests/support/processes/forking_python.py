"""Commands in another environment: forks of one process of its Python, which has imported what they import."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory

_PROGRAM = """
import json, os, sys
from mlbaseline.cli import main
import mlbaseline.report, mlbaseline.workflows
import matplotlib.figure, scipy.stats, statsmodels.stats.multitest
import mlflow.store.model_registry.sqlalchemy_store, mlflow.store.tracking.sqlalchemy_store

for line in sys.stdin:
    arguments, folder, environment, output, errors = json.loads(line)
    if child := os.fork():
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    for descriptor, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    main(arguments)
    sys.exit()
"""


@dataclass(frozen=True)
class ForkingPython:
    """A process that answers each command with its exit code."""

    process: subprocess.Popen[str]

    def run(self, arguments: list[str], folder: Path, environment: Mapping[str, str]) -> CompletedProcess[str]:
        """Run `mlbaseline` with these arguments in `folder`. environment: the whole of it."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with TemporaryDirectory() as captured:
            files = [Path(captured, name) for name in ("output", "errors")]
            asked = [arguments, str(folder), dict(environment), *map(str, files)]
            print(json.dumps(asked), file=self.process.stdin, flush=True)
            code = int(self.process.stdout.readline())
            return CompletedProcess(arguments, code, *(file.read_text("utf-8") for file in files))


@contextmanager
def forking_python(python: str, environment: Mapping[str, str]) -> Iterator[ForkingPython]:
    """Start a Python with the package and all that its commands import, for the length of the block."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([python, "-c", _PROGRAM], text=True, env=environment, **pipes) as process:
        yield ForkingPython(process)
