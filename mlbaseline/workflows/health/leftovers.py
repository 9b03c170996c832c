"""Clear what a killed process left of a suite, before a command writes more."""

from __future__ import annotations

import logging

from mlbaseline import store
from mlbaseline.suite import Suite

log = logging.getLogger("mlbaseline")


def clear_leftovers(tracker: store.Tracker, suite: Suite) -> None:
    """End, finish or undo what a killed process left of a suite on the server.

    Raises:
        PromotionError: Somebody else moved the aliases at the same moment.
        TrackingError: The server cannot be reached.
    """
    if suite.register_as is not None:
        store.finish_interrupted(tracker, suite.register_as)
    ended = store.end_dead_runs(tracker)
    if ended:
        log.info("%d runs whose process is gone were still open; they are ended now", len(ended))
