"""How often smaller versions of a test were looked at before it grew, by the runs on the tracking server."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from mlbaseline.errors import MlbaselineError
from mlbaseline.store.comparisons import COMPARISON
from mlbaseline.store.preregistration import TASK_DIGEST, look_key
from mlbaseline.store.runs import EvaluationRun
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.run_search import search
from mlbaseline.store.server.tracking import COMPLETED, STATUS
from mlbaseline.store.tables import load_tables


def count_earlier_looks(
    tracker: Tracker, runs: Sequence[EvaluationRun], ids: Collection[str], *, task_digest: str, cache: Path
) -> int:
    """Count the different looks at smaller tests of the experiment, most of whose examples are in the present one.

    The examples of an earlier test are those that one of its evaluations answered. Where none can be read any more,
    nothing shows that its examples were others, and its looks count.

    Args:
        tracker: of the suite.
        runs: completed evaluations of the experiment, of whatever test.
        ids: of the examples of the present test.
        task_digest: of the present test, whose own looks are not counted here.
        cache: folder that keeps tables under their digests.

    Raises:
        TrackingError: the server cannot be asked.
    """
    looks: dict[str, set[tuple[str, str]]] = {}
    for run in search(tracker, COMPARISON, {STATUS: COMPLETED}, deleted=True):
        digest = run.data.tags.get(TASK_DIGEST, "")
        if digest not in ("", task_digest):
            looks.setdefault(digest, set()).add(look_key(run))
    present = frozenset(ids)
    return sum(len(found) for digest, found in looks.items() if _has_grown(tracker, runs, digest, present, cache))


def _has_grown(
    tracker: Tracker, runs: Sequence[EvaluationRun], digest: str, present: frozenset[str], cache: Path
) -> bool:
    """Whether the present test is a test of before with more examples."""
    of_test = [run for run in runs if run.task_digest == digest and run.split == "test" and run.examples_sha256]
    for run in sorted(of_test, key=lambda run: run.answered is not None):  # a whole one shows the most
        try:
            (table,) = load_tables(tracker, [run], cache=cache)
        except MlbaselineError:
            continue
        before = frozenset(table.frame["example_id"])
        return len(before) < len(present) and 2 * len(before & present) >= len(before)
    return True
