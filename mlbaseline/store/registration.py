"""When the rules of a decision came to be, as the tracking server bears it out."""

from __future__ import annotations

from mlbaseline.errors import TrackingError
from mlbaseline.records import Registration
from mlbaseline.store.comparisons import COMPARISON
from mlbaseline.store.evaluations import EVALUATION
from mlbaseline.store.searching import OLDEST, search
from mlbaseline.store.tracking import COMPLETED, PREFIX, STATUS, Tracker

BEFORE, AFTER = "before", "after"
TASK_DIGEST = PREFIX + "task_digest"


def find_registration(tracker: Tracker, *, matrix_digest: str, task_digest: str) -> Registration:
    """Whether these rules stood before the first evaluation of the task, for a comparison that is about to be made.

    Every evaluation that started counts, whatever became of it, of whatever suite, in every experiment, deleted or not:
    from then on somebody could know a score. Start times are MLflow's, which has them (3.17) from the process that
    starts a run. Raises TrackingError, also where no evaluation of the task has started.
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
    return Registration(
        status=BEFORE if carried == matrix_digest else AFTER,
        first_run_id=first.info.run_id,
        first_started_ms=first.info.start_time,
        first_matrix_digest=carried,
        test_looks=1 + sum(1 for _ in looks),
    )
