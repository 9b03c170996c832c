"""When the rules of a decision came to be, as the tracking server bears it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlbaseline.errors import TrackingError
from mlbaseline.records import Registered, Registration
from mlbaseline.store.comparisons import COMPARISON, LOOK
from mlbaseline.store.evaluations import EVALUATION
from mlbaseline.store.server.run_search import OLDEST, Times, search
from mlbaseline.store.server.tracking import COMPLETED, PREFIX, STATUS, Tracker
from mlbaseline.store.suites import stored_suite
from mlbaseline.suite import Suite

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

TASK_DIGEST = PREFIX + "task_digest"


def find_registration(tracker: Tracker, suite: Suite, *, task_digest: str, look: str | None = None) -> Registration:
    """Find out whether the suite's rules stood before the first evaluation of the task.

    Every evaluation that started counts, whatever became of it, of whatever suite, in every experiment, deleted or
    not: from then on somebody could know a score. Start times are those of the clients that started the runs (mlflow
    3.17), and a run whose times cannot be true says nothing. The suite that the first run stored must bear out its tag:
    rules that were changed afterwards do not stand before anything because a tag was changed with them.

    Args:
        tracker: The tracking server.
        suite: The suite with the rules.
        task_digest: of the test data.
        look: names the evaluations of the comparison that is about to be made (`look_of`). Comparing the same ones
            again by the same rules is no further look at `test`. None: a look of its own.

    Raises:
        TrackingError: the server cannot be asked, or no evaluation of the task has started.
    """
    task, times = {TASK_DIGEST: task_digest}, Times(tracker)
    oldest = search(tracker, EVALUATION, task, everywhere=True, deleted=True, order=OLDEST, page_size=50)
    first = next((run for run in oldest if times.are_possible(run)), None)
    if first is None:
        raise TrackingError(
            f"{tracker.uri}: expected an evaluation of the task {task_digest[:12]}…, found none. Was it removed while "
            "it was being compared? Run `mlbaseline evaluate` again."
        )
    carried = first.data.tags.get(PREFIX + "matrix_digest", "")
    stored = stored_suite(tracker, first.info.run_id)
    borne_out = stored is not None and stored.matrix_digest == carried
    # A first run from before suites were stored at the start, and broken off, has only its tag to show.
    is_before = carried == suite.matrix_digest and (borne_out or stored is None)
    return Registration(
        status=Registered.BEFORE if is_before else Registered.AFTER,
        first_run_id=first.info.run_id,
        first_started_ms=first.info.start_time,
        first_matrix_digest=carried,
        test_looks=_count_looks(tracker, suite, task, look),
        first_claims=_kept_claims(suite, stored) if stored is not None and borne_out and not is_before else (),
    )


def _count_looks(tracker: Tracker, suite: Suite, task: Mapping[str, str], look: str | None) -> int:
    """Count the different looks at `test`, the one to come included. A comparison without a tag is one of its own."""
    runs = search(tracker, COMPARISON, {STATUS: COMPLETED, **task}, everywhere=True, deleted=True)
    return len({look_key(run) for run in runs} | {(look or "to come", suite.matrix_digest)})


def look_key(comparison: MlflowRun) -> tuple[str, str]:
    """Name the look at `test` that a comparison took: what was looked at, and by which rules."""
    tags = comparison.data.tags
    return tags.get(LOOK, comparison.info.run_id), tags.get(PREFIX + "matrix_digest", "")


def _kept_claims(suite: Suite, stored: Suite) -> tuple[str, ...]:
    """In a suite of another name the same words may mean other models; other seeds are other draws."""
    return stored.matrix.claims() if (stored.name, stored.seeds) == (suite.name, suite.seeds) else ()
