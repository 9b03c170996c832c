"""Find comparisons on the tracking server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbaseline.errors import TrackingError
from mlbaseline.store.comparisons import ASSESSMENT_SHA256, COMPARISON, VERDICT
from mlbaseline.store.server.connection import Server, Tracker
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.run_search import NEWEST, Times, experiment_ids, require_readable, search
from mlbaseline.store.server.tracking import COMPLETED, KIND, PREFIX, STATUS

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

_PROJECT_ENTRY_POINT = "mlflow.project.entryPoint"


@dataclass(frozen=True)
class ComparisonRun:
    """A comparison as the server knows it. assessment_sha256: of what it found; "" where nothing is written yet."""

    run_id: str
    experiment_id: str
    verdict: str
    suite_digest: str
    matrix_digest: str
    start_time_ms: int
    assessment_sha256: str = ""


def find_comparison(tracker: Tracker, run_id: str | None = None) -> ComparisonRun | None:
    """Find the newest completed comparison of the suite, or the one with a run id.

    A comparison counts if it is FINISHED, lies in the suite's experiment (or was made by `mlflow run`, which chooses
    the experiment), and has times that can be true.

    Raises:
        TrackingError: the server cannot be asked, or the id is not that of such a run.
    """
    times = Times(tracker)
    if run_id is None:
        tags = {STATUS: COMPLETED, PREFIX + "suite": tracker.experiment}
        runs = search(tracker, COMPARISON, tags, everywhere=True, page_size=50)
        found = next((run for run in runs if not _against_comparison(tracker, run, times)), None)
        return None if found is None else _comparison(tracker, found)
    with reporting(f"read the run {run_id}", tracker.uri):
        run = tracker.client.get_run(run_id)
    if reasons := _against_comparison(tracker, run, times):
        raise TrackingError(
            f"{tracker.uri}: expected {run_id} to be a completed comparison of {tracker.experiment!r}; "
            f"{'; '.join(reasons)}."
        )
    return _comparison(tracker, run)


def newest_compared(server: Server) -> str | None:
    """Return the name of the suite that the newest completed comparison is of; None without one.

    Raises:
        TrackingError: the server cannot be asked.
    """
    query = f"tags.`{KIND}` = '{COMPARISON}' and tags.`{STATUS}` = '{COMPLETED}'"
    experiments = experiment_ids(server)
    with reporting("look for the newest comparison", server.uri):
        found = server.client.search_runs(experiments, query, max_results=1, order_by=[NEWEST])
    return found[0].data.tags.get(PREFIX + "suite") if found else None


def read_comparison(server: Server, run_id: str) -> ComparisonRun:
    """Read the run of a comparison, completed or not. Raises TrackingError."""
    with reporting(f"read the run {run_id}", server.uri):
        return _comparison(server, server.client.get_run(run_id))


def _against_comparison(tracker: Tracker, run: MlflowRun, times: Times) -> list[str]:
    """Why a run is no completed comparison of the suite; empty where it is one."""
    tags, reasons = run.data.tags, []
    for what, expected, got in (
        ("kind", COMPARISON, tags.get(KIND)),
        ("status", COMPLETED, tags.get(STATUS)),
        ("suite", tracker.experiment, tags.get(PREFIX + "suite")),
        ("MLflow status", "FINISHED", run.info.status),
    ):
        if got != expected:
            reasons.append(f"{what}: expected {expected!r}, got {got!r}")
    if run.info.experiment_id != tracker.experiment_id and _PROJECT_ENTRY_POINT not in tags:
        reasons.append(f"it lies in the experiment {run.info.experiment_id}, not in that of the suite")
    if not times.are_possible(run):
        reasons.append("its start or end is in the future, or before its experiment was created")
    return reasons


def _comparison(server: Server, run: MlflowRun) -> ComparisonRun:
    require_readable(server, run)
    tags = run.data.tags
    return ComparisonRun(
        run_id=run.info.run_id,
        experiment_id=run.info.experiment_id,
        verdict=tags.get(VERDICT, ""),
        suite_digest=tags.get(PREFIX + "suite_digest", ""),
        matrix_digest=tags.get(PREFIX + "matrix_digest", ""),
        start_time_ms=run.info.start_time,
        assessment_sha256=tags.get(ASSESSMENT_SHA256, ""),
    )
