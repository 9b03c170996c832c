"""What moved an alias because of a canary: tags of the run that records the move, and the search for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlbaseline.store.live.decisions import DECISION, LOOKED_AT
from mlbaseline.store.registry.rolled_back import ROLLBACK
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.run_search import search
from mlbaseline.store.server.tracking import COMPLETED, PREFIX, STATUS

CANARY_RUN_ID = PREFIX + "canary_run_id"
_EXPERIMENT = PREFIX + "canary_experiment"
_UNNAMED = "none"


@dataclass(frozen=True)
class CanaryCause:
    """Why an alias moves.

    Attributes:
        run_id: The run of the decision, with its evidence.
        experiment: Name of the canary, "" where its events name none.
        decision: What was decided.
        looked_at: Time of the look, ISO 8601.
    """

    run_id: str
    experiment: str
    decision: str
    looked_at: str

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags of the run that records the move."""
        return {
            CANARY_RUN_ID: self.run_id,
            _EXPERIMENT: self.experiment or _UNNAMED,
            DECISION: self.decision,
            LOOKED_AT: self.looked_at,
        }


def find_rollback(tracker: Tracker, experiment: str, decided_at: str) -> str | None:
    """Find the record that a canary was rolled back.

    A record whose look lies before the decision is that of an earlier canary with the same name.

    Args:
        tracker: The tracking server, at the suite's experiment.
        experiment: Name of the canary, "" where its events name none.
        decided_at: When it was decided, ISO 8601.

    Returns:
        The id of the run; None where there is none.

    Raises:
        TrackingError: The server cannot be reached.
    """
    tags = {STATUS: COMPLETED, PREFIX + "suite": tracker.experiment, _EXPERIMENT: experiment or _UNNAMED}
    for run in search(tracker, ROLLBACK, tags, everywhere=True):
        if run.data.tags.get(LOOKED_AT, "") >= decided_at:
            return str(run.info.run_id)
    return None
