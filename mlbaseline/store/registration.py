"""When the rules of a decision came to be, as the tracking server bears it out."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from mlbaseline.errors import SuiteError, TrackingError
from mlbaseline.records import Registration
from mlbaseline.store.comparisons import COMPARISON
from mlbaseline.store.evaluations import EVALUATION, SUITE_FILE
from mlbaseline.store.searching import OLDEST, search
from mlbaseline.store.tracking import COMPLETED, PREFIX, STATUS, Tracker, reporting
from mlbaseline.suite import Suite
from mlbaseline.suite_file import parse_suite

BEFORE, AFTER = "before", "after"
TASK_DIGEST = PREFIX + "task_digest"


def find_registration(tracker: Tracker, suite: Suite, *, task_digest: str) -> Registration:
    """Whether these rules stood before the first evaluation of the task, for a comparison that is about to be made.

    Every evaluation that started counts, whatever became of it, of whatever suite, in every experiment, deleted or not:
    from then on somebody could know a score. Start times are MLflow's, which has them (3.17) from the process that
    starts a run. Where those were other rules, the suite that the first run stored says which claims it made; it counts
    only if its rules have the digest of the run's tag. Raises TrackingError, also where no evaluation of the task has
    started.
    """
    task = {TASK_DIGEST: task_digest}
    oldest = search(tracker, EVALUATION, task, everywhere=True, deleted=True, order=OLDEST, page_size=1)
    first = next(oldest, None)
    if first is None:
        raise TrackingError(
            f"{tracker.uri}: expected an evaluation of the task {task_digest[:12]}…, found none. Was it removed while "
            "it was being compared? Run `mlbaseline evaluate` again."
        )
    looks = search(tracker, COMPARISON, {STATUS: COMPLETED, **task}, everywhere=True, deleted=True)
    carried = first.data.tags.get(PREFIX + "matrix_digest", "")
    same = carried == suite.matrix_digest
    return Registration(
        status=BEFORE if same else AFTER,
        first_run_id=first.info.run_id,
        first_started_ms=first.info.start_time,
        first_matrix_digest=carried,
        test_looks=1 + sum(1 for _ in looks),
        first_claims=() if same else _first_claims(tracker, first.info.run_id, carried, suite),
    )


def _first_claims(tracker: Tracker, run_id: str, matrix_digest: str, suite: Suite) -> tuple[str, ...]:
    try:
        with reporting(f"read the rules of the run {run_id}", tracker.uri), TemporaryDirectory() as temporary:
            path = tracker.client.download_artifacts(run_id, SUITE_FILE, temporary)
            stored = parse_suite(Path(path).read_text(encoding="utf-8"), where=f"run {run_id}: {SUITE_FILE}")
    except (TrackingError, SuiteError):
        return ()  # broken off before it stored anything, deleted for good, or of a version with other options
    # In a suite of another name the same words may mean other models.
    same = (stored.name, stored.seeds, stored.matrix_digest) == (suite.name, suite.seeds, matrix_digest)
    return stored.matrix.claims() if same else ()
