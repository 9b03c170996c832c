"""The life of a run on a tracking server.

Every call names its run: MLflow's own "active run" belongs to a thread and its "active experiment" to the process, and
neither is ours. mlflow takes seconds to import, so it is imported where it is used.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from mlbaseline import passed_tags
from mlbaseline.errors import TrackingError
from mlbaseline.format_versions import RUN
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.heartbeat import beating, process_tags
from mlbaseline.store.server.patience import is_remote
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.twins import REQUEST, delete_twin_runs
from mlbaseline.suite import Suite

if TYPE_CHECKING:
    from mlflow.entities import RunTag

PREFIX = passed_tags.PREFIX
KIND = PREFIX + "kind"
STATUS = PREFIX + "status"
NOTE = "mlflow.note.content"
"""Markdown on a run's page."""
STARTED, COMPLETED, FAILED, SUPERSEDED = "started", "completed", "failed", "superseded"


@dataclass(frozen=True)
class Run:
    """A run that is being written. `adopted`: it was started by `mlflow run`, which will also end it."""

    tracker: Tracker
    run_id: str
    experiment_id: str
    name: str
    adopted: bool = False


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
