"""What other runs have answered or are answering, and how often earlier versions of a test were looked at."""

from __future__ import annotations

from collections.abc import Sequence

from mlbaseline import store
from mlbaseline.engine.rungs import Rung
from mlbaseline.results import CompletedEvaluation
from mlbaseline.tasks import LoadedTask
from mlbaseline.workflows.evaluations.ladder_run import LadderRun


def find_completed(ladder: LadderRun, rung: Rung) -> store.EvaluationRun | None:
    """Find the completed run that a rung would only repeat."""
    signature = rung.signature.digest
    return store.find_completed(ladder.tracker, baseline=rung.baseline, seed=rung.seed, signature_digest=signature)


def find_whole(ladder: LadderRun, rung: Rung) -> tuple[store.EvaluationRun, ...]:
    """Find all completed runs that a rung would only repeat, newest first."""
    signature = rung.signature.digest
    return store.find_whole(ladder.tracker, baseline=rung.baseline, seed=rung.seed, signature_digest=signature)


def find_under_way(ladder: LadderRun, rung: Rung) -> str | None:
    """Find the run of another process that is evaluating a rung now, for another ladder."""
    return store.find_under_way(
        ladder.tracker,
        baseline=rung.baseline,
        seed=rung.seed,
        signature_digest=rung.signature.digest,
        ladder=ladder.run_id,
    )


def find_earlier(ladder: LadderRun, rung: Rung) -> CompletedEvaluation | None:
    """Load the completed run of a rung that has answered everything or, without one, the most of the test.

    Raises:
        IncomparableError: Its rows are not those that it was completed with.
        TrackingError: It cannot be read.
    """
    run = find_completed(ladder, rung)
    return find_begun(ladder, rung) if run is None else _load(ladder, run)


def find_begun(ladder: LadderRun, rung: Rung) -> CompletedEvaluation | None:
    """Load the completed run of a rung that stopped at a look, that with the most answers. Raises as `find_earlier`."""
    signature = rung.signature.digest
    run = store.find_begun(ladder.tracker, baseline=rung.baseline, seed=rung.seed, signature_digest=signature)
    return None if run is None else _load(ladder, run)


def _load(ladder: LadderRun, run: store.EvaluationRun) -> CompletedEvaluation:
    (loaded,) = store.load_evaluations(ladder.tracker, [run], cache=store.tables_cache())
    return loaded


def count_earlier_looks(tracker: store.Tracker, task: LoadedTask, runs: Sequence[store.EvaluationRun]) -> int:
    """Count the looks at smaller versions of the suite's test. runs: of the experiment, of whatever test."""
    test = task.splits["test"]
    ids = [example.id for example in test.examples]
    return store.count_earlier_looks(tracker, runs, ids, task_digest=test.digest, cache=store.tables_cache())
