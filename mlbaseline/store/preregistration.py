"""When the rules of a decision came to be, as the tracking server bears it out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from mlbaseline.errors import TrackingError
from mlbaseline.records import Registered, Registration
from mlbaseline.store.comparisons import COMPARISON, LOOK
from mlbaseline.store.evaluations import EVALUATION
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.patience import is_remote
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.run_search import OLDEST, Times, experiment_ids, search
from mlbaseline.store.server.tracking import COMPLETED, KIND, PREFIX, STATUS
from mlbaseline.store.suites import stored_suite
from mlbaseline.suite import Suite

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel as MlflowModel
    from mlflow.entities import Run as MlflowRun

TASK_DIGEST, MATRIX_DIGEST = PREFIX + "task_digest", PREFIX + "matrix_digest"
RULES = "rules"
"""Kind of the logged model by which a server notes the rules of a decision."""


def find_registration(tracker: Tracker, suite: Suite, *, task_digest: str, look: str | None = None) -> Registration:
    """Find out whether the suite's rules stood before the first evaluation of the task.

    Every evaluation that started counts, whatever became of it, of whatever suite, in every experiment, deleted or
    not: from then on somebody could know a score. Start times are those of the clients that started the runs (mlflow
    3.17), and a run whose times cannot be true says nothing. The suite that the first run stored must bear out its tag:
    rules that were changed afterwards do not stand before anything because a tag was changed with them. Where the
    server has noted rules (`register_rules`), its own clock has a say: the first that it noted must be these.

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
    carried = first.data.tags.get(MATRIX_DIGEST, "")
    stored = stored_suite(tracker, first.info.run_id)
    borne_out = stored is not None and stored.matrix_digest == carried
    # A first run from before suites were stored at the start, and broken off, has only its tag to show.
    is_before = carried == suite.matrix_digest and (borne_out or stored is None)
    noted = next(_noted_rules(tracker, task_digest, everywhere=True), None)
    is_before &= noted is None or noted.tags.get(MATRIX_DIGEST) == suite.matrix_digest
    return Registration(
        status=Registered.BEFORE if is_before else Registered.AFTER,
        first_run_id=first.info.run_id,
        first_started_ms=first.info.start_time,
        first_matrix_digest=carried,
        test_looks=_count_looks(tracker, suite, task, look),
        first_claims=_kept_claims(suite, stored) if stored is not None and borne_out and not is_before else (),
        noted_ms=noted.creation_timestamp if noted is not None else None,
    )


def register_rules(tracker: Tracker, suite: Suite, *, task_digest: str) -> None:
    """Let a tracking server note that the suite's rules are there, before anything is evaluated by them.

    Clients name the times of their runs. Logged models are dated by the server (mlflow 3.17), so the note is an empty
    one of the suite's experiment. A store without a server in front has no clock but ours, and gets no note.

    Args:
        tracker: The tracking server.
        suite: The suite with the rules.
        task_digest: Of the test data.

    Raises:
        TrackingError: The server cannot be asked.
    """
    if not is_remote(tracker.uri):
        return
    client, tags = tracker.client, {KIND: RULES, TASK_DIGEST: task_digest, MATRIX_DIGEST: suite.matrix_digest}
    with reporting("note the rules of the decision", tracker.uri):
        notes = _notes_of(tracker, suite, task_digest)
        if not notes:
            name = f"rules-{suite.matrix_digest[:12]}"
            client.create_logged_model(tracker.experiment_id, name=name, tags=tags, model_type=RULES)
            notes = _notes_of(tracker, suite, task_digest)
        first, *twins = notes  # twins: of a request that was repeated
        for twin in twins:
            client.delete_logged_model(twin.model_id)
        if str(first.status) != "READY":
            client.finalize_logged_model(first.model_id, "READY")


def _notes_of(tracker: Tracker, suite: Suite, task_digest: str) -> list[MlflowModel]:
    """Find the server's notes of the suite's rules in its own experiment, the first one first."""
    noted = _noted_rules(tracker, task_digest)
    ours = [note for note in noted if note.tags.get(MATRIX_DIGEST) == suite.matrix_digest]
    return sorted(ours, key=lambda note: (note.creation_timestamp, note.model_id))


def _noted_rules(tracker: Tracker, task_digest: str, *, everywhere: bool = False) -> Iterator[MlflowModel]:
    """Find the rules that a server noted for a task, the first ones first."""
    if not is_remote(tracker.uri):
        return
    from mlflow.entities import ViewType

    experiments = experiment_ids(tracker, ViewType.ALL) if everywhere else [tracker.experiment_id]
    query = f"tags.`{KIND}` = '{RULES}' AND tags.`{TASK_DIGEST}` = '{task_digest}'"
    order = [{"field_name": "creation_timestamp", "ascending": True}]
    token = None
    while True:
        with reporting("search the rules that the server noted", tracker.uri):
            page = tracker.client.search_logged_models(
                experiments, filter_string=query, order_by=order, page_token=token
            )
        yield from page
        token = page.token
        if not token:
            return


def _count_looks(tracker: Tracker, suite: Suite, task: Mapping[str, str], look: str | None) -> int:
    """Count the different looks at `test`, the one to come included. A comparison without a tag is one of its own."""
    runs = search(tracker, COMPARISON, {STATUS: COMPLETED, **task}, everywhere=True, deleted=True)
    return len({look_key(run) for run in runs} | {(look or "to come", suite.matrix_digest)})


def look_key(comparison: MlflowRun) -> tuple[str, str]:
    """Name the look at `test` that a comparison took: what was looked at, and by which rules."""
    tags = comparison.data.tags
    return tags.get(LOOK, comparison.info.run_id), tags.get(MATRIX_DIGEST, "")


def _kept_claims(suite: Suite, stored: Suite) -> tuple[str, ...]:
    """In a suite of another name the same words may mean other models; other seeds are other draws."""
    return stored.matrix.claims() if (stored.name, stored.seeds) == (suite.name, suite.seeds) else ()
