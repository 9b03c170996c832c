"""The way to a tracking server, and to the experiment of a suite on it.

mlflow takes seconds to import, so it is imported where it is used.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mlbaseline.errors import TrackingError
from mlbaseline.store.server.patience import PatientClient, be_patient
from mlbaseline.store.server.reporting import reporting

if TYPE_CHECKING:
    from mlflow.entities import Experiment

_LOCK_PATIENCE_S = 180


@dataclass(frozen=True)
class Server:
    """A tracking server that has answered."""

    uri: str
    client: PatientClient


@dataclass(frozen=True)
class Tracker(Server):
    """A server and the experiment of one suite on it."""

    experiment: str
    experiment_id: str


def connect(tracking_uri: str | None, experiment: str) -> Tracker:
    """Reach the server (None: MLflow's own environment variables and default), and the experiment of that name.

    The experiment is created if there is none; two processes may do so at once. A server that does not answer is given
    up on after one repetition; once it has answered, later requests are repeated for about four minutes, so that a
    server that restarts does not cost a finished training its results. MLFLOW_HTTP_REQUEST_MAX_RETRIES sets that
    patience. Raises TrackingError.
    """
    server = reach(tracking_uri)
    uri, client = server.uri, server.client
    with reporting(f"open the experiment {experiment!r}", uri):
        found = client.get_experiment_by_name(experiment) or _create_experiment(client, experiment)
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"{uri}: the experiment {experiment!r} (id {found.experiment_id}) was deleted. Restore it with "
            f"`mlflow experiments restore --experiment-id {found.experiment_id}`, or give the suite another name."
        )
    return Tracker(uri, client, experiment, found.experiment_id)


def reach(tracking_uri: str | None) -> Server:
    """Reach the server without an experiment; see `connect`. Raises TrackingError."""
    # MLflow reads these from the environment at every request and has no other place for them.
    be_patient()
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    # Tables are fetched side by side, each file by a thread of its own.
    os.environ.setdefault("MLFLOW_HTTP_POOL_MAXSIZE", "64")
    # Addresses of runs on stdout would break what --json promises.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    from mlflow import MlflowClient, get_tracking_uri, set_tracking_uri

    _wait_for_locks()
    uri = tracking_uri or get_tracking_uri()
    with reporting("reach the tracking server", uri), _environment(_IMPATIENT), _first_use(uri):
        client = PatientClient(MlflowClient(uri))
        client.search_experiments(max_results=1)
    # mlflow 3.17: the registry in a database looks up models at the process's URI, whatever the client was given.
    set_tracking_uri(uri)
    return Server(uri, client)


@cache
def _wait_for_locks() -> None:
    """Let every connection to a SQLite file wait for the locks of other processes; by default it gives up after 5 s."""
    from sqlalchemy import Engine, event

    @event.listens_for(Engine, "connect")
    def set_patience(connection: object, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute(f"PRAGMA busy_timeout = {_LOCK_PATIENCE_S * 1000}").close()


def _create_experiment(client: PatientClient, name: str) -> Experiment:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_experiment(client.create_experiment(name))
    except MlflowException:
        # Another process may have been faster. Whatever else went wrong goes on to the caller.
        if (found := client.get_experiment_by_name(name)) is None:
            raise
        return found


_IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _first_use(uri: str) -> AbstractContextManager[object]:
    """mlflow 3.17: two processes that open a new SQLite file at once run its migrations into each other."""
    from filelock import FileLock

    scheme, _, location = uri.partition(":///")
    if not scheme.startswith("sqlite") or not location:
        return nullcontext()
    database = Path(location.partition("?")[0])
    database.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{database}.lock", timeout=120)
