"""Which completed evaluations count in a comparison: the newest of each baseline and seed that the suite would make.

Of several that were under way at the same time, with the same signature, the one that completed first. Who sees in time
that another process is at work on the same does not begin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlbaseline.records import seed_text
from mlbaseline.store.evaluations import EVALUATION
from mlbaseline.store.runs import EvaluationRun, signature_tags
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.heartbeat import is_of_another_process
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.run_search import search
from mlbaseline.store.server.tracking import PREFIX, STARTED, STATUS, SUPERSEDED, run_tags
from mlbaseline.suite import Split, Suite


@dataclass(frozen=True)
class UncountedRun:
    """A completed run that does not count, and why."""

    baseline: str
    seed: int | None
    run_id: str
    reason: str

    def __str__(self) -> str:
        seed = "" if self.seed is None else f", seed {seed_text(self.seed)}"
        return f"{self.baseline}{seed} (run {self.run_id}): {self.reason}"


@dataclass(frozen=True)
class CountingRuns:
    """runs: those that count, one for each baseline and seed. left_aside: newer ones that do not, newest first."""

    runs: tuple[EvaluationRun, ...]
    left_aside: tuple[UncountedRun, ...]

    @property
    def with_rows(self) -> tuple[EvaluationRun, ...]:
        """Without published scores."""
        return tuple(run for run in self.runs if run.examples_sha256 is not None)

    @property
    def published(self) -> tuple[EvaluationRun, ...]:
        """Published scores alone."""
        return tuple(run for run in self.runs if run.examples_sha256 is None)


def counting_runs(
    suite: Suite,
    evaluations: Sequence[EvaluationRun],
    why_not: Callable[[EvaluationRun], str | None],
    *,
    split: Split = "test",
) -> CountingRuns:
    """Choose the newest run of each baseline and seed of the suite that the present suite would make.

    Args:
        suite: The suite as it is now.
        evaluations: completed ones, newest first.
        why_not: says why a run is not one that the suite would make; None where it is.
        split: that was answered. Published scores, which are of none, go with `test`.
    """
    if split == "dev":
        evaluations = [run for run in evaluations if run.split == "dev"] if suite.evaluation.answer_dev else []
    else:
        evaluations = [run for run in evaluations if run.split != "dev"]
    chosen: dict[tuple[str, int | None], EvaluationRun] = {}
    left_aside: list[UncountedRun] = []
    for run in evaluations:
        key = run.baseline, run.seed
        if key in chosen or run.baseline not in suite.baselines or run.seed not in (None, *suite.seeds):
            continue
        reason = why_not(run)
        if reason is None:
            chosen[key] = run
        else:
            left_aside.append(UncountedRun(run.baseline, run.seed, run.run_id, reason))
    return CountingRuns(tuple(chosen.values()), tuple(left_aside))


def first_to_complete(runs: Sequence[EvaluationRun]) -> EvaluationRun:
    """Return the run that counts of several that were under way at the same time, with the same signature."""
    return min(runs, key=lambda run: (run.end_time_ms or 0, run.run_id))


def supersede(tracker: Tracker, run_id: str, by: str) -> None:
    """Mark a completed evaluation so that nothing counts it any more.

    MLflow cannot write a run on condition that there is no other, so two processes may have computed the same.

    Args:
        tracker: The server.
        run_id: Of the run.
        by: Id of the run that counts in its place.

    Raises:
        TrackingError: The server cannot be reached.
    """
    with reporting(f"mark the run {run_id} as superseded", tracker.uri):
        tags = {STATUS: SUPERSEDED, PREFIX + "superseded_by": by}
        tracker.client.log_batch(run_id, tags=run_tags(tags))


def find_under_way(
    tracker: Tracker, *, baseline: str, seed: int | None, signature_digest: str, ladder: str
) -> str | None:
    """Find an evaluation with this signature that another process is at work on now, for another ladder.

    Args:
        tracker: The server and the experiment.
        baseline: Of the rung.
        seed: Of the rung.
        signature_digest: Of the rung.
        ladder: Run id of our own ladder. What is open there was left by an attempt of ours.

    Returns:
        Its run id.

    Raises:
        TrackingError: The server cannot be reached.
    """
    tags = {STATUS: STARTED, **signature_tags(baseline, seed, signature_digest)}
    for run in search(tracker, EVALUATION, tags):
        is_ours = run.data.tags.get("mlflow.parentRunId") == ladder
        if run.info.status == "RUNNING" and not is_ours and is_of_another_process(run.data.tags):
            return str(run.info.run_id)
    return None
