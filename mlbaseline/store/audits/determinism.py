"""Finding the run of an audit of determinism."""

from __future__ import annotations

from mlbaseline.store.audits.audit_run import DETERMINISM
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.run_search import search
from mlbaseline.store.server.tracking import COMPLETED, PREFIX, STATUS, suite_tags
from mlbaseline.suite import Suite

STABILITY = PREFIX + "stability"
"""Tag: what the repetitions came to."""


def find_determinism(tracker: Tracker, suite: Suite) -> str | None:
    """Describe the newest completed audit of this very suite; None without one.

    Raises:
        TrackingError: The server cannot be reached or refuses.
    """
    found = next(search(tracker, DETERMINISM, {STATUS: COMPLETED, **suite_tags(suite)}, page_size=1), None)
    if found is None:
        return None
    params, stability = found.data.params, found.data.tags.get(STABILITY)
    what = " ".join(params.get(f"determinism.{name}", "") for name in ("baseline", "precision", "device"))
    return f"{stability} ({what}, run {found.info.run_id})"
