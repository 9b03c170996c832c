"""Finding runs on the tracking server and getting their tables back, as they were when the run was completed."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mlbaseline.errors import IncomparableError, TrackingError
from mlbaseline.records import PublishedScore, Signature, seed_from_text, seed_text
from mlbaseline.results import ResultTable
from mlbaseline.results import load_table as read_table
from mlbaseline.store.comparisons import COMPARISON, VERDICT
from mlbaseline.store.evaluations import (
    EVALUATION,
    EXAMPLES,
    EXAMPLES_SHA256,
    LADDER_RUNS,
    PUBLISHED,
    SIGNATURE,
    UNANSWERED,
)
from mlbaseline.store.items import param_text
from mlbaseline.store.search import search
from mlbaseline.store.tracking import COMPLETED, KIND, PREFIX, STATUS, Tracker, reporting

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

_DOWNLOADS = 8
_PUBLISHED = "published."


@dataclass(frozen=True)
class EvaluationRun:
    """A completed evaluation as the server knows it. start_time_ms: since the epoch, by the server's clock.

    seed: None for a rung without randomness. parent: the ladder that ran it. model_id: of its LoggedModel.
    examples_sha256: None for a published score, which has no rows. unanswered: rows that asking again may mend.
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


@dataclass(frozen=True)
class ComparisonRun:
    """A completed comparison as the server knows it."""

    run_id: str
    experiment_id: str
    verdict: str
    suite_digest: str
    matrix_digest: str
    start_time_ms: int


# ---- finding --------------------------------------------------------------------------------------------------------


def find_evaluations(tracker: Tracker, *, ladder: str | None = None) -> tuple[EvaluationRun, ...]:
    """Completed evaluations of the suite, newest first; of one ladder: those that it ran, and those it reused.

    Raises TrackingError.
    """
    found = _find_evaluations(tracker, {})
    if ladder is None:
        return found
    with reporting(f"read the rungs of the ladder {ladder}", tracker.uri), TemporaryDirectory() as temporary:
        path = tracker.client.download_artifacts(ladder, LADDER_RUNS, temporary)
        listed = Path(path).read_text(encoding="utf-8").split()
    return tuple(run for run in found if run.run_id in listed)


def find_completed(tracker: Tracker, *, baseline: str, seed: int | None, signature_digest: str) -> EvaluationRun | None:
    """The newest completed evaluation that another one with this signature would only repeat.

    That is none that lacks answers which asking again may get. Raises TrackingError.
    """
    tags = {"baseline": baseline, "seed": seed_text(seed), "signature_digest": signature_digest}
    found = _find_evaluations(tracker, {PREFIX + key: value for key, value in tags.items()})
    return next((run for run in found if not run.unanswered), None)


def _find_evaluations(tracker: Tracker, tags: Mapping[str, str]) -> tuple[EvaluationRun, ...]:
    runs = search(tracker, EVALUATION, {STATUS: COMPLETED, **tags})
    # Both must hold: the tag is ours to set, the status is MLflow's, and a crash may fall between the two.
    return tuple(_evaluation(tracker, run) for run in runs if run.info.status == "FINISHED")


def read_evaluation(tracker: Tracker, run_id: str) -> EvaluationRun:
    """The completed evaluation with this run id. Raises TrackingError if there is none."""
    with reporting(f"read the run {run_id}", tracker.uri):
        run = tracker.client.get_run(run_id)
    tags = run.data.tags
    if (tags.get(KIND), tags.get(STATUS), run.info.status) != (EVALUATION, COMPLETED, "FINISHED"):
        raise TrackingError(
            f"{tracker.uri}: expected {run_id} to be a completed evaluation, got a run of kind {tags.get(KIND)!r}, "
            f"status {tags.get(STATUS)!r} ({run.info.status})."
        )
    return _evaluation(tracker, run)


def find_comparison(tracker: Tracker, run_id: str | None = None) -> ComparisonRun | None:
    """The newest completed comparison of the suite, or the one with this id.

    Raises TrackingError where the server cannot be asked, or where the id is not that of such a run.
    """
    if run_id is None:
        tags = {STATUS: COMPLETED, PREFIX + "suite": tracker.experiment}
        run = next(search(tracker, COMPARISON, tags, everywhere=True, page_size=1), None)
        return None if run is None else _comparison(run)
    with reporting(f"read the run {run_id}", tracker.uri):
        run = tracker.client.get_run(run_id)
    tags = run.data.tags
    is_one = tags.get(KIND) == COMPARISON and tags.get(STATUS) == COMPLETED
    if not is_one or tags.get(PREFIX + "suite") != tracker.experiment:
        raise TrackingError(
            f"{tracker.uri}: expected {run_id} to be a completed comparison of {tracker.experiment!r}, got a run of "
            f"kind {tags.get(KIND)!r}, status {tags.get(STATUS)!r}, suite {tags.get(PREFIX + 'suite')!r}."
        )
    return _comparison(run)


def _evaluation(tracker: Tracker, run: MlflowRun) -> EvaluationRun:
    tags = run.data.tags
    models = run.outputs.model_outputs if run.outputs else []
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
            artifact_uri=run.info.artifact_uri,
            parent=tags.get("mlflow.parentRunId"),
            model_id=models[0].model_id if models else None,
            unanswered=int(tags.get(UNANSWERED, 0)),
        )
    except (KeyError, ValueError) as error:
        raise TrackingError(
            f"{tracker.uri}: the run {run.info.run_id} says that it is a completed evaluation, but its tags do not "
            f"bear it out: {error}. Delete it, or set its tag {STATUS} to something else."
        ) from error


def _comparison(run: MlflowRun) -> ComparisonRun:
    tags = run.data.tags
    return ComparisonRun(
        run_id=run.info.run_id,
        experiment_id=run.info.experiment_id,
        verdict=tags.get(VERDICT, ""),
        suite_digest=tags.get(PREFIX + "suite_digest", ""),
        matrix_digest=tags.get(PREFIX + "matrix_digest", ""),
        start_time_ms=run.info.start_time,
    )


def _number(value: float) -> float:
    """mlflow 3.17 stores an infinity as the largest float there is."""
    return math.copysign(math.inf, value) if abs(value) >= sys.float_info.max else value


def published_score(run: EvaluationRun) -> PublishedScore:
    """What a run of a published score says."""
    nothing = param_text(None)
    # Earlier runs have no `published.*`: there the suite's own options are all there is.
    prefix = _PUBLISHED if any(name.startswith(_PUBLISHED) for name in run.params) else "baseline."
    said = {
        name.removeprefix(prefix): value
        for name, value in run.params.items()
        if name.startswith(prefix) and value != nothing
    }
    protocol = {key: said[name] for key in ("prompt", "shots", "split") if (name := f"protocol.{key}") in said}
    return PublishedScore(
        baseline=run.baseline,
        metric=said["metric"],
        value=run.metrics[said["metric"]],
        n=int(said["n"]) if "n" in said else None,
        standard_error=float(said["standard_error"]) if "standard_error" in said else None,
        source=said["source"],
        date=said.get("date"),
        protocol=said.get("protocol.note", said.get("protocol")),
        measured_by=protocol,
        run_id=run.run_id,
    )


# ---- tables ---------------------------------------------------------------------------------------------------------


def load_tables(tracker: Tracker, runs: Sequence[EvaluationRun], *, cache: Path) -> tuple[ResultTable, ...]:
    """The result tables of the runs, in their order, fetched in parallel.

    cache: folder that keeps tables under their digests, so that each is fetched once. Raises IncomparableError where
    the rows or the signature are not those that the run was completed with, TrackingError where they cannot be had.
    """
    with ThreadPoolExecutor(_DOWNLOADS) as pool:
        return tuple(pool.map(lambda run: _load_table(tracker, run, cache), runs))


def _load_table(tracker: Tracker, run: EvaluationRun, cache: Path) -> ResultTable:
    folder = cache / f"{run.signature_digest}-{run.examples_sha256}"
    if _edited_file(run, folder):
        _fetch(tracker, run, folder)
    table = read_table(folder, baseline=run.baseline, kind=run.kind, seed=run.seed)
    _check_tags(tracker, run, table.signature)
    return table


def _check_tags(tracker: Tracker, run: EvaluationRun, signature: Signature) -> None:
    """What the tags say of the rows, the signature says too: it was digested when the run was completed."""
    for field, tagged in (("seed", run.seed), ("data.split", run.split), ("data.digest", run.task_digest)):
        if field in signature.fields and signature.fields[field] != tagged:
            raise IncomparableError(
                f"{tracker.uri}: the run {run.run_id} ({run.baseline}) is tagged with {field} {tagged!r}, and its "
                f"signature says {signature.fields[field]!r}. The tag was edited afterwards: evaluate again with "
                "--fresh."
            )


def _fetch(tracker: Tracker, run: EvaluationRun, folder: Path) -> None:
    from mlflow.artifacts import download_artifacts

    folder.mkdir(parents=True, exist_ok=True)
    _require_results(tracker, run)
    with reporting(f"fetch the results of the run {run.run_id}", tracker.uri), _beside(folder) as temporary:
        # By the artifacts' own address: by run id, MLflow would first look for models of that name.
        results = f"{run.artifact_uri}/results"
        fetched = Path(download_artifacts(results, dst_path=temporary, tracking_uri=tracker.uri))
        if edited := _edited_file(run, fetched):
            raise IncomparableError(
                f"{tracker.uri}: {edited} of {run.baseline} (run {run.run_id}) is not the file that the run was "
                "completed with: its digest is not the one in the run's tags. One of them was edited afterwards: "
                "evaluate again with --fresh."
            )
        for path in fetched.iterdir():
            path.replace(folder / path.name)


def _require_results(tracker: Tracker, run: EvaluationRun) -> None:
    with reporting(f"list the results of the run {run.run_id}", tracker.uri):
        stored = {item.path for item in tracker.client.list_artifacts(run.run_id, "results")}
    if missing := sorted({EXAMPLES, SIGNATURE} - stored):
        raise IncomparableError(
            f"{tracker.uri}: the run {run.run_id} ({run.baseline}) says that it is completed, and has no "
            f"{' and no '.join(missing)}. What it found cannot be compared: evaluate again with --fresh."
        )


def _beside(folder: Path) -> TemporaryDirectory[str]:
    return TemporaryDirectory(dir=folder.parent)


def _edited_file(run: EvaluationRun, folder: Path) -> str | None:
    """The file whose content is not what the run's tags say; None if both are. A file that is missing is not."""
    examples, signature = folder / "examples.parquet", folder / "signature.json"
    if not examples.is_file() or hashlib.sha256(examples.read_bytes()).hexdigest() != run.examples_sha256:
        return EXAMPLES
    try:
        digest = Signature(json.loads(signature.read_text(encoding="utf-8"))).digest
    except (OSError, ValueError):
        return SIGNATURE
    return None if digest == run.signature_digest else SIGNATURE
