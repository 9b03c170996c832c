"""The end of runs that no process writes any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlbaseline.store.server.connection import Server, Tracker
from mlbaseline.store.server.heartbeat import is_gone
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.tracking import COMPLETED, FAILED, KIND, PREFIX, STATUS, run_tags

_REASON = "its process ended without closing the run: killed, out of memory, or the machine went down"
_PAGE = 1000


@dataclass(frozen=True)
class DeadRun:
    """An open run whose process is gone. is_complete: all that it was to hold is there, only its end is missing."""

    run_id: str
    experiment_id: str
    name: str
    kind: str
    is_complete: bool


def end_dead_runs(tracker: Tracker) -> list[str]:
    """End the open runs of an experiment whose process is gone.

    Args:
        tracker: The server and the experiment.

    Returns:
        The ids of the runs that were ended.

    Raises:
        TrackingError: The server cannot be reached.
    """
    dead = find_dead_runs(tracker, [tracker.experiment_id])
    for run in dead:
        end_dead_run(tracker, run)
    return [run.run_id for run in dead]


def find_dead_runs(server: Server, experiment_ids: Sequence[str]) -> list[DeadRun]:
    """Find the open runs of experiments whose process is gone. Raises TrackingError."""
    found: list[DeadRun] = []
    token = None
    while True:
        with reporting("search the open runs", server.uri):
            page = server.client.search_runs(
                list(experiment_ids), "attributes.status = 'RUNNING'", max_results=_PAGE, page_token=token
            )
        for run in page:
            tags = run.data.tags
            if KIND in tags and is_gone(tags):
                is_complete = tags.get(STATUS) == COMPLETED
                name = str(run.info.run_name)
                found.append(DeadRun(run.info.run_id, run.info.experiment_id, name, tags[KIND], is_complete))
        token = page.token
        if not token:
            return found


def end_dead_run(server: Server, dead: DeadRun) -> None:
    """End a run as killed or, where it was complete, as finished. A model that it had begun to store is deleted.

    Raises:
        TrackingError: The server cannot be reached.
    """
    client = server.client
    with reporting(f"end the run {dead.run_id}, whose process is gone", server.uri):
        if dead.is_complete:
            client.set_terminated(dead.run_id, "FINISHED")
            return
        query = f"source_run_id = '{dead.run_id}'"
        for model in client.search_logged_models([dead.experiment_id], filter_string=query):
            client.delete_logged_model(model.model_id)
        client.log_batch(dead.run_id, tags=run_tags({STATUS: FAILED, PREFIX + "error": _REASON}))
        client.set_terminated(dead.run_id, "KILLED")
