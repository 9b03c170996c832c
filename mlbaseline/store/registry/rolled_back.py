"""Which versions of a registered model were rolled back: their like is not promoted again by itself."""

from __future__ import annotations

from mlbaseline.errors import NotRegisteredError, TrackingError
from mlbaseline.store.runs import EvaluationRun, read_evaluation
from mlbaseline.store.server.run_search import OLDEST, search
from mlbaseline.store.server.tracking import COMPLETED, PREFIX, STATUS, Tracker, reporting

ROLLBACK = "rollback"


def require_not_rolled_back(tracker: Tracker, model: str, winner: EvaluationRun) -> None:
    """Check that a winner is none of the versions that were rolled back.

    Raises:
        NotRegisteredError: it has the run, the weights or the signature of such a version.
        TrackingError: the server cannot be asked.
    """
    for number, run_id in _rolled_back(tracker, model).items():
        version = _evaluation_of(tracker, model, number)
        if version is not None and _is_same_model(winner, version):
            raise NotRegisteredError(
                f"{winner.baseline} (run {winner.run_id}) won, and is the model of version {number} of {model!r}, "
                f"which was rolled back (record: run {run_id}). Promote it all the same with --allow-rolled-back."
            )


def _rolled_back(tracker: Tracker, model: str) -> dict[str, str]:
    """Versions that were rolled back and not restored since ─▶ the rollback's run."""
    tags = {STATUS: COMPLETED, PREFIX + "model": model}
    rolled_back: dict[str, str] = {}
    for run in search(tracker, ROLLBACK, tags, everywhere=True, deleted=True, order=OLDEST):
        rolled_back.pop(run.data.tags.get(PREFIX + "version", ""), None)
        rolled_back[run.data.tags.get(PREFIX + "previous_version", "")] = run.info.run_id
    return rolled_back


def _evaluation_of(tracker: Tracker, model: str, number: str) -> EvaluationRun | None:
    """Find the evaluation of a version's own weights; None where the version or the run is gone."""
    try:
        with reporting(f"read version {number} of {model!r}", tracker.uri):
            version = tracker.client.get_model_version(model, number)
        return read_evaluation(tracker, version.tags.get(PREFIX + "evaluation_run_id", ""))
    except TrackingError:
        return None


def _is_same_model(one: EvaluationRun, other: EvaluationRun) -> bool:
    same_weights = one.model.weights_sha256 is not None and one.model.weights_sha256 == other.model.weights_sha256
    return one.run_id == other.run_id or same_weights or one.signature_digest == other.signature_digest
