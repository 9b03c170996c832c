"""When the rules of a decision came to be, as the tracking server bears it out."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from mlbaseline.errors import SuiteError, TrackingError
from mlbaseline.records import Registered, Registration
from mlbaseline.store.artifacts import fetch_artifact
from mlbaseline.store.comparisons import COMPARISON
from mlbaseline.store.evaluations import EVALUATION, SUITE_FILE
from mlbaseline.store.search import OLDEST, search
from mlbaseline.store.tracking import COMPLETED, PREFIX, STATUS, Tracker, reporting
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import parse_suite

TASK_DIGEST = PREFIX + "task_digest"


def find_registration(tracker: Tracker, suite: Suite, *, task_digest: str) -> Registration:
    """Whether these rules stood before the first evaluation of the task, for a comparison that is about to be made.

    Every evaluation that started counts, whatever became of it, of whatever suite, in every experiment, deleted or not:
    from then on somebody could know a score. Start times are MLflow's, which has them (3.17) from the process that
    starts a run. The suite that the first run stored must bear out its tag: rules that were changed afterwards do not
    stand before anything because a tag was changed with them. Where those were other rules, it says which claims they
    made. Raises TrackingError, also where no evaluation of the task has started.
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
    stored = _stored_suite(tracker, first.info.run_id)
    borne_out = stored is not None and stored.matrix_digest == carried
    # A first run from before suites were stored at the start, and broken off, has only its tag to show.
    is_before = carried == suite.matrix_digest and (borne_out or stored is None)
    return Registration(
        status=Registered.BEFORE if is_before else Registered.AFTER,
        first_run_id=first.info.run_id,
        first_started_ms=first.info.start_time,
        first_matrix_digest=carried,
        test_looks=1 + sum(1 for _ in looks),
        first_claims=_kept_claims(suite, stored) if stored is not None and borne_out and not is_before else (),
    )


def _stored_suite(tracker: Tracker, run_id: str) -> Suite | None:
    try:
        with reporting(f"read the rules of the run {run_id}", tracker.uri), TemporaryDirectory() as temporary:
            path = fetch_artifact(tracker, run_id, SUITE_FILE, Path(temporary))
            return parse_suite(path.read_text(encoding="utf-8"), where=f"run {run_id}: {SUITE_FILE}")
    except (TrackingError, SuiteError):
        return None  # deleted for good, or of a version with other options


def _kept_claims(suite: Suite, stored: Suite) -> tuple[str, ...]:
    """In a suite of another name the same words may mean other models; other seeds are other draws."""
    return stored.matrix.claims() if (stored.name, stored.seeds) == (suite.name, suite.seeds) else ()
