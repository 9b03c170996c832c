"""The end of runs that no process writes any more."""

from __future__ import annotations

from mlbaseline.store.server.heartbeat import is_gone
from mlbaseline.store.server.tracking import FAILED, PREFIX, STARTED, STATUS, Tracker, reporting, run_tags

_REASON = "its process ended without closing the run: killed, out of memory, or the machine went down"


def end_dead_runs(tracker: Tracker) -> list[str]:
    """End the open runs of an experiment whose process is gone, as killed.

    Args:
        tracker: The server and the experiment.

    Returns:
        The ids of the runs that were ended.

    Raises:
        TrackingError: The server cannot be reached.
    """
    query = f"attributes.status = 'RUNNING' and tags.`{STATUS}` = '{STARTED}'"
    with reporting(f"search the open runs of {tracker.experiment!r}", tracker.uri):
        open_runs = list(tracker.client.search_runs([tracker.experiment_id], query, max_results=1000))
    dead = [run.info.run_id for run in open_runs if is_gone(run.data.tags)]
    for run_id in dead:
        with reporting(f"end the run {run_id}, whose process is gone", tracker.uri):
            tracker.client.log_batch(run_id, tags=run_tags({STATUS: FAILED, PREFIX + "error": _REASON}))
            tracker.client.set_terminated(run_id, "KILLED")
    return dead
