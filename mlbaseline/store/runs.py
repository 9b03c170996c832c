"""Find completed evaluations and published scores on the tracking server."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mlbaseline.errors import TrackingError
from mlbaseline.model_files import NO_DIGESTS, ModelDigests
from mlbaseline.records import PublishedScore, seed_from_text, seed_text
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
from mlbaseline.store.server.connection import Server, Tracker
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.run_search import Times, require_readable, search
from mlbaseline.store.server.tracking import COMPLETED, KIND, PREFIX, STATUS

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

_PUBLISHED = "published."


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


def _evaluation(server: Server, run: MlflowRun) -> EvaluationRun:
    require_readable(server, run)
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
