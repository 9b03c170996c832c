"""A run of `mlflow.models.evaluate` that our evaluator took part in: its rows, and their difference from a baseline.

Such a run is no evaluation of a suite: it has no tag `mlbaseline.kind`, and no comparison of a ladder counts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pandas as pd

from mlbaseline.assets import hash_file
from mlbaseline.errors import TrackingError
from mlbaseline.format_versions import COMPARISON as COMPARISON_FORMAT
from mlbaseline.format_versions import RUN
from mlbaseline.records import Comparison
from mlbaseline.results import ResultTable
from mlbaseline.results.parquet import write_parquet
from mlbaseline.store.comparisons import comparisons_frame
from mlbaseline.store.evaluations import EVALUATION, EXAMPLES, EXAMPLES_SHA256
from mlbaseline.store.items import Artifacts, Metrics, Tags, metric_name, write
from mlbaseline.store.runs import EvaluationRun, read_evaluation
from mlbaseline.store.server.connection import Server, Tracker
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.tracking import KIND, PREFIX, Run

if TYPE_CHECKING:
    from mlflow.models import EvaluationResult

KIND_OF_ROWS = "recorded"
"""Kind of the tables: answers that somebody else computed."""
BASELINE_RUN = PREFIX + "baseline_run_id"
"""Tag: the run that the predictions were paired with; absent where the baseline was a column."""
_SIGNATURE_DIGEST, _TASK_DIGEST = PREFIX + "signature_digest", PREFIX + "task_digest"
_COMPARISONS = "comparison/comparisons.parquet"
_BASELINE = "baseline"
_LIMITS = ("low", "high", "p_value", "n", "gained", "lost")


@dataclass(frozen=True)
class PairedRows:
    """What is logged of an evaluation.

    Attributes:
        rows: Of the predictions, with their scores.
        values: Metric ─▶ its value over all rows.
        comparisons: With the baseline, a row for each metric; () without a baseline.
        baseline: Rows of a baseline that was a column of the data, which no other run holds.
        baseline_run_id: The run that holds the rows of the baseline.
    """

    rows: ResultTable
    values: Mapping[str, float]
    comparisons: Sequence[Comparison] = ()
    baseline: ResultTable | None = None
    baseline_run_id: str | None = None


def open_evaluated_run(server: Server, run_id: str) -> Run:
    """Return the run that an evaluation is logged to.

    Raises:
        TrackingError: It cannot be read, or holds the rows of an evaluation already.
    """
    with reporting(f"read the run {run_id}", server.uri):
        found = server.client.get_run(run_id)
        experiment = server.client.get_experiment(found.info.experiment_id)
    if EXAMPLES_SHA256 in found.data.tags:
        raise TrackingError(
            f"{server.uri}: the run {run_id} holds the rows of an evaluation already, which would be lost. Start "
            "another run (`with mlflow.start_run():`) for this one."
        )
    tracker = Tracker(server.uri, server.client, experiment.name, experiment.experiment_id)
    return Run(tracker, run_id, experiment.experiment_id, found.info.run_name or run_id, adopted=True)


def find_baseline(server: Server, run_id: str) -> EvaluationRun:
    """Read the run of a baseline: a completed evaluation of a suite, or one that our evaluator logged.

    Raises:
        TrackingError: There is no such run, or it holds no rows.
    """
    with reporting(f"read the run {run_id}", server.uri):
        run = server.client.get_run(run_id)
    tags = run.data.tags
    if tags.get(KIND) == EVALUATION:
        found = read_evaluation(server, run_id)
        if found.examples_sha256 is None:
            raise TrackingError(f"{server.uri}: the run {run_id} is a published score, without rows to pair with")
        return found
    if missing := [name for name in (EXAMPLES_SHA256, _SIGNATURE_DIGEST, _TASK_DIGEST) if name not in tags]:
        raise TrackingError(
            f"{server.uri}: expected {run_id} to be an evaluation of a suite, or a run of `mlflow.models.evaluate` "
            f"with the evaluator mlbaseline; it has no tag {missing[0]}. Evaluate the baseline so first."
        )
    return EvaluationRun(
        run_id=run_id,
        baseline=run.info.run_name or run_id,
        kind=KIND_OF_ROWS,
        seed=None,
        split="",
        suite_digest="",
        matrix_digest="",
        task_digest=tags[_TASK_DIGEST],
        signature_digest=tags[_SIGNATURE_DIGEST],
        examples_sha256=tags[EXAMPLES_SHA256],
        metrics=run.data.metrics,
        params=run.data.params,
        start_time_ms=run.info.start_time,
        artifact_uri=run.info.artifact_uri,
        parent=None,
        model_id=None,
    )


def log_paired_rows(run: Run, paired: PairedRows) -> EvaluationResult:
    """Log rows, metrics and comparisons to a run, and give them as MLflow's result of an evaluation.

    Raises:
        TrackingError: The server cannot be reached or refuses.
    """
    metrics = {name: float(value) for name, value in (*paired.values.items(), *_differences(paired.comparisons))}
    comparisons = comparisons_frame(paired.comparisons)
    with TemporaryDirectory() as temporary, reporting(f"store the rows of {run.name!r}", run.tracker.uri):
        folder = Path(temporary)
        paired.rows.save(folder / "results")
        if paired.baseline is not None:
            paired.baseline.save(folder / _BASELINE)
        if paired.comparisons:
            (folder / _COMPARISONS).parent.mkdir()
            write_parquet(comparisons, folder / _COMPARISONS, COMPARISON_FORMAT)
        tags = {
            EXAMPLES_SHA256: hash_file(folder / EXAMPLES),
            _SIGNATURE_DIGEST: paired.rows.signature.digest,
            _TASK_DIGEST: str(paired.rows.signature.fields["data.digest"]),
            **RUN.metadata,
        }
        if paired.baseline_run_id is not None:
            tags[BASELINE_RUN] = paired.baseline_run_id
        write(run, Artifacts(folder), Metrics(metrics), Tags(tags))
    tables = {"examples": (EXAMPLES, paired.rows.frame)}
    if paired.comparisons:
        tables["comparisons"] = (_COMPARISONS, comparisons)
    return _result(run, metrics, tables)


def _differences(comparisons: Sequence[Comparison]) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for row in comparisons:
        name, values = metric_name("delta", row.metric), asdict(row)
        found += [(metric_name("baseline", row.metric), row.baseline_mean), (name, row.delta)]
        # A metric of the whole corpus gains and loses no single example.
        found += [(f"{name}/{key}", values[key]) for key in _LIMITS if values[key] is not None]
    return found


def _result(run: Run, metrics: Mapping[str, float], tables: Mapping[str, tuple[str, pd.DataFrame]]) -> EvaluationResult:
    from mlflow.models import EvaluationResult
    from mlflow.models.evaluation.artifacts import ParquetEvaluationArtifact

    root = run.tracker.client.get_run(run.run_id).info.artifact_uri
    artifacts = {name: ParquetEvaluationArtifact(f"{root}/{path}", frame) for name, (path, frame) in tables.items()}
    return EvaluationResult(metrics, artifacts, run.run_id)
