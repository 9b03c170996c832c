"""The run of a program that trains a rung: whatever it logs to MLflow lies in it, nested under the rung's own run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlbaseline.passed_tags import write_passed_tags
from mlbaseline.store.items import Artifacts, write
from mlbaseline.store.server.tracking import PREFIX, Run, open_run, suite_tags
from mlbaseline.suite import Suite

TRAINING = "training"
_FOLDER = "training"
_CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
"""How the program, too, may write to the tracking server."""


@dataclass(frozen=True)
class TrainingProgramRun:
    """The open run of a program. tags: which suite and which rung it belongs to."""

    run: Run
    tags: Mapping[str, str]

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables by which MLflow in the program finds server, experiment and run.

        The program's first run is that run; runs that it starts beside it get the tags.
        """
        tracker = self.run.tracker
        own = {name: value for name, value in os.environ.items() if name in _CREDENTIALS or _is_of_tls(name)}
        return {
            **own,
            **write_passed_tags(self.tags),
            "MLFLOW_TRACKING_URI": _absolute(tracker.uri),
            "MLFLOW_EXPERIMENT_ID": tracker.experiment_id,
            "MLFLOW_RUN_ID": self.run.run_id,
        }

    def keep(self, file: Path) -> None:
        """Keep a file of the program's as an artifact. Raises TrackingError."""
        with TemporaryDirectory() as temporary:
            target = Path(temporary, _FOLDER)
            target.mkdir()
            shutil.copy(file, target)
            write(self.run, Artifacts(Path(temporary)))


@contextmanager
def open_program_run(parent: Run, suite: Suite, baseline: str) -> Iterator[TrainingProgramRun]:
    """Open the run of the program that trains a rung, for the length of the block.

    Args:
        parent: The rung's own run.
        suite: That is evaluated.
        baseline: That is trained.

    Raises:
        TrackingError: The server cannot be reached.
    """
    tags = {**suite_tags(suite), PREFIX + "baseline": baseline}
    name = f"{parent.name} · training"
    with open_run(parent.tracker, TRAINING, name=name, tags=tags, parent=parent.run_id) as run:
        yield TrainingProgramRun(run, tags)


def _is_of_tls(name: str) -> bool:
    return name.startswith(("MLFLOW_TRACKING_INSECURE", "MLFLOW_TRACKING_SERVER_CERT", "MLFLOW_TRACKING_CLIENT_CERT"))


def _absolute(uri: str) -> str:
    """Return the address for a process in another folder: that of a file may be relative to this one's."""
    scheme, separator, location = uri.partition(":///")
    if separator and scheme.startswith("sqlite") and not location.startswith("/"):
        return f"{scheme}:///{Path(location).absolute()}"
    return uri if "://" in uri or uri.startswith("file:") else str(Path(uri).absolute())
