"""How a process on another machine finds the same server, and the same run on it."""

from __future__ import annotations

from pathlib import Path

from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.tracking import Run

_SQLITE = "sqlite:///"


def absolute_uri(uri: str) -> str:
    """Return the address of a server so that it holds from any folder.

    Args:
        uri: As for `connect`. The path of a database may be relative to the current folder.

    Example:
        >>> absolute_uri("http://mlflow:5000"), absolute_uri("sqlite:////data/mlflow.db")
        ('http://mlflow:5000', 'sqlite:////data/mlflow.db')
    """
    return f"{_SQLITE}{Path(uri.removeprefix(_SQLITE)).absolute()}" if uri.startswith(_SQLITE) else uri


def find_run(tracker: Tracker, run_id: str) -> Run:
    """Find a run that another process writes.

    Raises:
        TrackingError: The server has no such run.
    """
    with reporting(f"find the run {run_id}, which another process has opened there", tracker.uri):
        info = tracker.client.get_run(run_id).info
    return Run(tracker, run_id, info.experiment_id, str(info.run_name))
