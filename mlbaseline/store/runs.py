"""Find runs on the tracking server: completed evaluations, comparisons and published scores."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mlbaseline.errors import TrackingError
from mlbaseline.format_versions import FORMAT, RUN, VERSION
from mlbaseline.model_files import NO_DIGESTS, ModelDigests
from mlbaseline.records import PublishedScore, seed_from_text, seed_text
from mlbaseline.store.comparisons import ASSESSMENT_SHA256, COMPARISON, VERDICT
from mlbaseline.store.evaluations import (
    ANSWERED,
    EVALUATION,
    EXAMPLES_SHA256,
    LADDER_RUNS,
    MODEL_SHA256,
    PUBLISHED,
    UNANSWERED,
    WEIGHTS_SHA256,
)
from mlbaseline.store.items import MODEL_ID, param_text
from mlbaseline.store.measured import MEASURED_SHA256
from mlbaseline.store.server.artifacts import fetch_artifact
from mlbaseline.store.server.run_search import NEWEST, Times, experiment_ids, search
from mlbaseline.store.server.tracking import COMPLETED, KIND, PREFIX, STATUS, Server, Tracker, reporting

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

_PUBLISHED = "published."
_PROJECT_ENTRY_POINT = "mlflow.project.entryPoint"


@dataclass(frozen=True)
class EvaluationRun:
    """A completed evaluation as the server knows it. start_time_ms: since the epoch, by the server's clock.

    seed: None for a rung without randomness. parent: the ladder that ran it. model_id: of its LoggedModel.
    examples_sha256: None for a published score, which has no rows. unanswered: rows that asking again may mend.
    answered: number of examples, where the run answered a part of the test; None for all.
    measured_sha256: None for a run of before `results/measured.json` was written. model: digests of its model's files.
    end_time_ms: when it completed, as start_time_ms.
    """

    run_id: str
    baseline: str
    kind: str
    seed: int | None
    split: str
    suite_digest: str
    matrix_digest: str
    task_digest: str
    signature_digest: str
    examples_sha256: str | None
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    start_time_ms: int
    artifact_uri: str
    parent: str | None
    model_id: str | None
    unanswered: int = 0
    answered: int | None = None
    measured_sha256: str | None = None
    model: ModelDigests = NO_DIGESTS
    end_time_ms: int | None = None


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


# ---- finding --------------------------------------------------------------------------------------------------------


def find_evaluations(tracker: Tracker, *, ladder: str | None = None) -> tuple[EvaluationRun, ...]:
    """Find completed evaluations of the suite, newest first; of one ladder: those that it ran, and those it reused.

    Raises TrackingError.
    """
    found = _find_evaluations(tracker, {})
    if ladder is None:
        return found
    with reporting(f"read the rungs of the ladder {ladder}", tracker.uri), TemporaryDirectory() as temporary:
        listed = fetch_artifact(tracker, ladder, LADDER_RUNS, Path(temporary)).read_text(encoding="utf-8").split()
    return tuple(run for run in found if run.run_id in listed)


def find_completed(tracker: Tracker, *, baseline: str, seed: int | None, signature_digest: str) -> EvaluationRun | None:
    """Find the newest of `find_whole`. Raises TrackingError."""
    found = find_whole(tracker, baseline=baseline, seed=seed, signature_digest=signature_digest)
    return found[0] if found else None


def find_whole(
    tracker: Tracker, *, baseline: str, seed: int | None, signature_digest: str
) -> tuple[EvaluationRun, ...]:
    """Find completed evaluations that another one with this signature would only repeat, newest first.

    That is none that lacks answers: because asking again may get them, or because it stopped at a look. Raises
    TrackingError.
    """
    found = _with_signature(tracker, baseline, seed, signature_digest)
    return tuple(run for run in found if not run.unanswered and run.answered is None)


def find_begun(tracker: Tracker, *, baseline: str, seed: int | None, signature_digest: str) -> EvaluationRun | None:
    """Find the completed evaluation with this signature that stopped at a look; that with the most answers.

    Raises TrackingError.
    """
    found = _with_signature(tracker, baseline, seed, signature_digest)
    return max((run for run in found if run.answered is not None), key=lambda run: run.answered or 0, default=None)


def _with_signature(
    tracker: Tracker, baseline: str, seed: int | None, signature_digest: str
) -> tuple[EvaluationRun, ...]:
    return _find_evaluations(tracker, signature_tags(baseline, seed, signature_digest))


def signature_tags(baseline: str, seed: int | None, signature_digest: str) -> dict[str, str]:
    """Return the tags by which the evaluations with one signature are found."""
    tags = {"baseline": baseline, "seed": seed_text(seed), "signature_digest": signature_digest}
    return {PREFIX + key: value for key, value in tags.items()}


def _find_evaluations(tracker: Tracker, tags: Mapping[str, str]) -> tuple[EvaluationRun, ...]:
    runs = search(tracker, EVALUATION, {STATUS: COMPLETED, **tags})
    times = Times(tracker)
    # Both must hold: the tag is ours to set, the status is MLflow's, and a crash may fall between the two.
    return tuple(_evaluation(tracker, run) for run in runs if run.info.status == "FINISHED" and times.are_possible(run))


def read_evaluation(server: Server, run_id: str) -> EvaluationRun:
    """Read the completed evaluation with this run id. Raises TrackingError if there is none."""
    with reporting(f"read the run {run_id}", server.uri):
        run = server.client.get_run(run_id)
    tags = run.data.tags
    if (tags.get(KIND), tags.get(STATUS), run.info.status) != (EVALUATION, COMPLETED, "FINISHED"):
        raise TrackingError(
            f"{server.uri}: expected {run_id} to be a completed evaluation, got a run of kind {tags.get(KIND)!r}, "
            f"status {tags.get(STATUS)!r} ({run.info.status})."
        )
    return _evaluation(server, run)


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


def _evaluation(server: Server, run: MlflowRun) -> EvaluationRun:
    _require_readable(server, run)
    tags = run.data.tags
    # Runs of version 0.2.0 and before have no tag of their model: it is one of their outputs.
    outputs = [model.model_id for model in (run.outputs.model_outputs if run.outputs else ())]
    model_id = tags.get(MODEL_ID) or next(iter(outputs), None)
    try:
        return EvaluationRun(
            run_id=run.info.run_id,
            baseline=tags[PREFIX + "baseline"],
            kind=tags[PREFIX + "baseline_kind"],
            seed=seed_from_text(tags[PREFIX + "seed"]),
            split=tags[PREFIX + "split"],
            suite_digest=tags[PREFIX + "suite_digest"],
            matrix_digest=tags[PREFIX + "matrix_digest"],
            task_digest=tags[PREFIX + "task_digest"],
            signature_digest=tags[PREFIX + "signature_digest"],
            examples_sha256=None if tags[PREFIX + "baseline_kind"] == PUBLISHED else tags[EXAMPLES_SHA256],
            metrics={name: _number(value) for name, value in run.data.metrics.items()},
            params=dict(run.data.params),
            start_time_ms=run.info.start_time,
            end_time_ms=run.info.end_time,
            artifact_uri=run.info.artifact_uri,
            parent=tags.get("mlflow.parentRunId"),
            model_id=model_id,
            unanswered=int(tags.get(UNANSWERED, 0)),
            answered=int(tags[ANSWERED]) if ANSWERED in tags else None,
            measured_sha256=tags.get(MEASURED_SHA256),
            model=ModelDigests(tags.get(MODEL_SHA256), tags.get(WEIGHTS_SHA256)),
        )
    except (KeyError, ValueError) as error:
        raise TrackingError(
            f"{server.uri}: the run {run.info.run_id} says that it is a completed evaluation, but its tags do not "
            f"bear it out: {error}. Delete it, or set its tag {STATUS} to something else."
        ) from error


def _comparison(server: Server, run: MlflowRun) -> ComparisonRun:
    _require_readable(server, run)
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


def _require_readable(server: Server, run: MlflowRun) -> None:
    """Check that this version can read a run. Raises NewerFormatError."""
    tags = run.data.tags
    RUN.require_readable(f"{server.uri}: run {run.info.run_id}", tags.get(FORMAT), tags.get(VERSION))


def _number(value: float) -> float:
    """mlflow 3.17 stores an infinity as the largest float there is."""
    return math.copysign(math.inf, value) if abs(value) >= sys.float_info.max else value


def published_score(run: EvaluationRun) -> PublishedScore:
    """Read a published score from its run."""
    nothing = param_text(None)
    # Earlier runs have no `published.*`: there the suite's own options are all there is.
    prefix = _PUBLISHED if any(name.startswith(_PUBLISHED) for name in run.params) else "baseline."
    stated = {
        name.removeprefix(prefix): value
        for name, value in run.params.items()
        if name.startswith(prefix) and value != nothing
    }
    protocol = {key: stated[name] for key in ("prompt", "shots", "split") if (name := f"protocol.{key}") in stated}
    return PublishedScore(
        baseline=run.baseline,
        metric=stated["metric"],
        value=run.metrics[stated["metric"]],
        n=int(stated["n"]) if "n" in stated else None,
        standard_error=float(stated["standard_error"]) if "standard_error" in stated else None,
        source=stated["source"],
        date=stated.get("date"),
        protocol=stated.get("protocol.note", stated.get("protocol")),
        measured_by=protocol,
        run_id=run.run_id,
    )
