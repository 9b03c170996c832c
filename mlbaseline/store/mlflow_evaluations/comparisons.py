"""Read what `mlflow.genai.compare_evaluations(…, log_results=True)` left on its candidate's run (since MLflow 3.18).

For each baseline there are metrics `compare/SHORT/SCORER/STATISTIC`, where SHORT is the beginning of the baseline's run
id, and an artifact `compare/SHORT.json` with the whole id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from mlbaseline.store.server.artifacts import check_location, fetch_artifact
from mlbaseline.store.server.connection import Server
from mlbaseline.store.server.reporting import reporting
from mlbaseline.untrusted import expecting, parse_json

_FOLDER = "compare"


@dataclass(frozen=True)
class LoggedComparison:
    """Two runs of `mlflow.genai.evaluate`, compared by one scorer.

    Attributes:
        baseline_run_id: The run that the candidate is compared with.
        scorer: Its name.
        statistics: Name in MLflow ─▶ value: `diff`, `ci_low`, `ci_high`, `p_value`, `effect_size`, `n_paired`.
    """

    baseline_run_id: str
    scorer: str
    statistics: Mapping[str, float]


def read_logged_comparisons(server: Server, run_id: str) -> list[LoggedComparison]:
    """Read the comparisons that were logged to a run as their candidate; none is an empty list.

    Raises:
        TrackingError: The run is not there, or the server cannot be reached.
        DataError: An artifact is not one that MLflow writes.
    """
    with reporting(f"read the run {run_id}", server.uri):
        run = server.client.get_run(run_id)
        check_location(server, run.info.artifact_uri)
        paths = [item.path for item in server.client.list_artifacts(run_id, _FOLDER) if item.path.endswith(".json")]
    return [found for path in paths for found in _of_baseline(server, run_id, path, run.data.metrics)]


def _of_baseline(server: Server, run_id: str, path: str, metrics: Mapping[str, float]) -> Iterator[LoggedComparison]:
    with TemporaryDirectory() as folder, reporting(f"fetch {path} of the run {run_id}", server.uri):
        content = fetch_artifact(server, run_id, path, Path(folder)).read_bytes()
    with expecting("an object with `baseline_run_id`, as MLflow 3.18 writes it", f"run {run_id}, {path}"):
        baseline = str(parse_json(content)["baseline_run_id"])
    prefix = f"{PurePosixPath(path).with_suffix('')}/"
    by_scorer: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        if name.startswith(prefix):
            scorer, _, statistic = name.removeprefix(prefix).rpartition("/")
            by_scorer.setdefault(scorer, {})[statistic] = value
    for scorer in sorted(by_scorer):
        yield LoggedComparison(baseline, scorer, by_scorer[scorer])
