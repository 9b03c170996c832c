"""The way to a tracking server, and the life of a run on it.

Every call names its run: MLflow's own "active run" belongs to a thread and its "active experiment" to the process, and
neither is ours. mlflow takes seconds to import, so it is imported where it is used.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlbaseline import passed_tags
from mlbaseline.errors import MlbaselineError, TrackingError
from mlbaseline.format_versions import RUN
from mlbaseline.store.server.heartbeat import beating, process_tags
from mlbaseline.store.server.patience import PatientClient, be_patient, is_remote
from mlbaseline.store.server.twins import REQUEST, delete_twin_runs
from mlbaseline.suite import Suite

if TYPE_CHECKING:
    from mlflow.entities import Experiment, RunTag

PREFIX = passed_tags.PREFIX
KIND = PREFIX + "kind"
STATUS = PREFIX + "status"
NOTE = "mlflow.note.content"
"""Markdown on a run's page."""
STARTED, COMPLETED, FAILED, SUPERSEDED = "started", "completed", "failed", "superseded"
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


@dataclass(frozen=True)
class Run:
    """A run that is being written. `adopted`: it was started by `mlflow run`, which will also end it."""

    tracker: Tracker
    run_id: str
    experiment_id: str
    name: str
    adopted: bool = False


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


@contextmanager
def reporting(action: str, uri: str) -> Iterator[None]:
    """Turn what MLflow, its transport and the disk raise into a TrackingError that says where and what to do."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except MlbaselineError:
        raise
    except (MlflowException, RequestException, SQLAlchemyError, OSError) as error:
        reason = " ".join(str(error).split())
        reason = reason if len(reason) <= 600 else reason[:600] + " …"
        raise TrackingError(f"{uri}: could not {action}: {reason}{_remedy(error, uri)}") from error


_UNREACHABLE = ("NewConnectionError", "NameResolutionError", "Connection refused", "timed out")
_UNKNOWN_MODEL = "Registered Model with name="
_FAILING = ("too many 50", "Connection aborted", "Broken pipe", "reset by peer", "Max retries")


def _remedy(error: BaseException, uri: str) -> str:
    text = str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "\nThe disk is full. Free some space and run again: what is completed is kept and will be reused."
    if any(sign in text for sign in _UNREACHABLE):
        return (
            f"\nIs the server up and the address right? Check with `curl {uri.rstrip('/')}/health`, start one with "
            "`mlflow server`, or choose another with --tracking-uri or MLFLOW_TRACKING_URI."
        )
    if _UNKNOWN_MODEL in text and "not found" in text:
        return "\nA suite names its registered model in `register_as`, which need not be its `name`."
    if any(sign in text for sign in _FAILING):
        return (
            "\nThe server is there, but fails: its log says why. Is the disk under its artifact root full? "
            "What is completed is kept and will be reused."
        )
    return ""


def fitting(value: str, limit: int, what: str) -> str:
    """Return the value. Raise TrackingError where a server (mlflow 3.17) would cut it, which it does silently."""
    if len(value) > limit:
        raise TrackingError(
            f"{what} has {len(value)} characters, MLflow keeps at most {limit} characters of it: {value[:80]!r} … "
            "Shorten it."
        )
    return value


def run_tags(values: Mapping[str, str]) -> list[RunTag]:
    from mlflow.entities import RunTag
    from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

    return [RunTag(key, fitting(value, MAX_TAG_VAL_LENGTH, f"the tag {key!r}")) for key, value in values.items()]


def suite_tags(suite: Suite) -> dict[str, str]:
    """Make the tags that say which suite a run belongs to, and by which rules it will be judged."""
    return {
        PREFIX + "suite": suite.name,
        PREFIX + "suite_digest": suite.digest,
        PREFIX + "matrix_digest": suite.matrix_digest,
    }


@contextmanager
def open_run(
    tracker: Tracker, kind: str, *, name: str, tags: Mapping[str, str], parent: str | None = None, note: str = ""
) -> Iterator[Run]:
    """Open a run of that kind for the length of the block: completed where the block ends, failed where it raises.

    A run without a parent is the one that `mlflow run` started for us, if there is one. That run is left open: mlflow
    ends it by our exit code, and an end of ours would win over it. note: Markdown, shown on the run's page.
    Raises TrackingError; what the block raises passes through.
    """
    tags = {KIND: kind, STATUS: STARTED, **RUN.metadata, **process_tags(), **tags}
    if note:
        tags[NOTE] = note
    with reporting(f"start the run {name!r}", tracker.uri):
        run = _adopt(tracker, name, tags) if parent is None else None
        run = run or _create(tracker, name, tags, parent)
    try:
        with beating(partial(_set_tags, run)):
            yield run
    except BaseException as error:
        # The reason must not be lost to a server that cannot take the news.
        with suppress(TrackingError):
            _end(run, FAILED, "FAILED" if isinstance(error, Exception) else "KILLED", error)
            _delete_twins(run, parent)
        raise
    _delete_twins(run, parent)
    _end(run, COMPLETED, "FINISHED")


def _delete_twins(run: Run, parent: str | None) -> None:
    tracker = run.tracker
    if parent is None and is_remote(tracker.uri):
        with reporting(f"look for twins of the run {run.name!r} ({run.run_id})", tracker.uri):
            delete_twin_runs(tracker.client, tracker.experiment_id, run.run_id)


def _set_tags(run: Run, tags: Mapping[str, str]) -> None:
    with reporting(f"write to the run {run.name!r} ({run.run_id})", run.tracker.uri):
        run.tracker.client.log_batch(run.run_id, tags=run_tags(tags))


def _create(tracker: Tracker, name: str, tags: Mapping[str, str], parent: str | None) -> Run:
    from mlflow.tracking.context.registry import resolve_tags

    nesting = {"mlflow.parentRunId": parent} if parent else {}
    run_tags(tags)  # refuses what does not fit
    request = {REQUEST: uuid.uuid4().hex}
    # Our runs say themselves which suite they are of, whatever this process passes on to the runs of others.
    context = {key: value for key, value in resolve_tags().items() if not key.startswith(PREFIX)}
    info = tracker.client.create_run(
        tracker.experiment_id, run_name=name, tags={**context, **nesting, **request, **tags}
    ).info
    return Run(tracker, info.run_id, info.experiment_id, name)


def _adopt(tracker: Tracker, name: str, tags: Mapping[str, str]) -> Run | None:
    # Taken out of the environment, so that only one run of this process, and none of a child process, adopts it.
    run_id = os.environ.pop("MLFLOW_RUN_ID", None)
    if run_id is None:
        return None
    info = tracker.client.get_run(run_id).info
    tracker.client.update_run(run_id, name=name)
    tracker.client.log_batch(run_id, tags=run_tags(tags))
    return Run(tracker, run_id, info.experiment_id, name, adopted=True)


def _end(run: Run, status: str, run_status: str, error: BaseException | None = None) -> None:
    tags = {STATUS: status}
    if error is not None:
        tags[PREFIX + "error"] = f"{type(error).__name__}: {error}"[:1000]
    client = run.tracker.client
    with reporting(f"end the run {run.name!r} ({run.run_id})", run.tracker.uri):
        client.log_batch(run.run_id, tags=run_tags(tags))
        if not run.adopted:
            client.set_terminated(run.run_id, run_status)
