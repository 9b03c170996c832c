"""Retrainings as runs, and the project run that trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

from mlbaseline.errors import TrackingError
from mlbaseline.monitor.retraining import Retraining, RetrainPlan
from mlbaseline.store.items import Tags, write
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.heartbeat import is_gone
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.run_search import NEWEST, search
from mlbaseline.store.server.tracking import COMPLETED, FAILED, PREFIX, STATUS, Run, open_run, suite_tags
from mlbaseline.suite import Suite
from mlbaseline.untrusted import escape_markdown

RETRAIN = "retrain"
KEY, ALARM_DAY = PREFIX + "retrain_key", PREFIX + "alarm_day"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def find_retrainings(tracker: Tracker) -> list[Retraining]:
    """Find the suite's retrainings, the newest first; dry runs leave none. Raises TrackingError."""
    found = []
    for run in search(tracker, RETRAIN, {PREFIX + "suite": tracker.experiment}, everywhere=True, order=NEWEST):
        tags, status = run.data.tags, run.data.tags.get(STATUS)
        is_open = status != COMPLETED and run.info.status == "RUNNING" and not is_gone(tags)
        has_failed = status == FAILED or (status != COMPLETED and not is_open)
        started = _EPOCH + timedelta(milliseconds=run.info.start_time)
        found.append(Retraining(run.info.run_id, tags.get(KEY, ""), started, is_open, has_failed))
    return found


@contextmanager
def open_retraining(tracker: Tracker, suite: Suite, plan: RetrainPlan) -> Iterator[Run]:
    """Write the audit run of a retraining before anything is trained; it is failed if the block raises.

    Raises:
        TrackingError: The server cannot be reached.
    """
    assert plan.alarm is not None and plan.key is not None  # there is something to retrain for
    tags = {
        **suite_tags(suite),
        KEY: plan.key,
        ALARM_DAY: plan.alarm.day.isoformat(),
        PREFIX + "detector": plan.alarm.detector,
        PREFIX + "monitor_digest": suite.monitor_digest or "",
    }
    name = f"{suite.name} retrain: {plan.alarm.day:%Y-%m-%d}"
    with open_run(tracker, RETRAIN, name=name, tags=tags, note=f"Why: {escape_markdown(plan.reason)}.") as run:
        yield run


def log_retraining(run: Run, outcome: Mapping[str, str]) -> None:
    """Write down what came of a retraining, as tags. Raises TrackingError."""
    write(run, Tags({PREFIX + key: value for key, value in outcome.items()}))


def run_project(tracker: Tracker, project: str, entry_point: str, parameters: Mapping[str, str]) -> str:
    """Run an entry point of an MLflow Project to its end, in this environment.

    Args:
        tracker: The server and the experiment that it is tracked in.
        project: Folder or address of the project.
        entry_point: Its entry point.
        parameters: Their values.

    Returns:
        The id of its run.

    Raises:
        TrackingError: There is no such project or entry point, or it failed.
    """
    import mlflow
    from mlflow.exceptions import ExecutionException, MlflowException

    if "://" not in project and not (Path(project) / "MLproject").is_file():
        raise TrackingError(
            f"--project: expected a folder with a file MLproject, got {Path(project).resolve()}. Run it in the "
            "folder of the project, or name that."
        )
    try:
        with reporting(f"run the entry point {entry_point!r}", tracker.uri):
            submitted = mlflow.projects.run(
                project,
                entry_point=entry_point,
                parameters=dict(parameters),
                experiment_id=tracker.experiment_id,
                env_manager="local",
                synchronous=True,
            )
    except (ExecutionException, MlflowException) as error:
        raise TrackingError(f"{project}: the entry point {entry_point!r} failed: {error}") from error
    return str(submitted.run_id)
