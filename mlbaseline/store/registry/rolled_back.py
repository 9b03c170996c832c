"""What became of models in the registry: rolled back, or turned down, their like is not promoted by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mlbaseline.errors import NotRegisteredError, TrackingError
from mlbaseline.records import Assessment, PromotionState
from mlbaseline.store.items import Tags, write
from mlbaseline.store.registry.aliases import CHAMPION, holder, version_number
from mlbaseline.store.registry.pending_versions import DONE, STATE
from mlbaseline.store.registry.registered_names import is_registered
from mlbaseline.store.registry.stated import EVALUATION_RUN_ID
from mlbaseline.store.runs import EvaluationRun, read_evaluation
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.run_search import OLDEST, search
from mlbaseline.store.server.tracking import COMPLETED, PREFIX, STATUS, open_run

ROLLBACK = "rollback"
_MODEL, _VERSION, _TURNED_DOWN = PREFIX + "model", PREFIX + "version", PREFIX + "turned_down_run_ids"
_NONE = "none"


def require_not_rolled_back(tracker: Tracker, model: str, winner: EvaluationRun) -> None:
    """Check that a winner is none of the models that were rolled back or turned down.

    Raises:
        NotRegisteredError: it has the run, the weights or the signature of such a model.
        TrackingError: the server cannot be asked.
    """
    remedy = "Promote it all the same with --allow-rolled-back."
    for number, run_id in _rolled_back(tracker, model).items():
        version = _evaluation_of(tracker, model, number)
        if version is not None and _is_same_model(winner, version):
            raise NotRegisteredError(
                f"{winner.baseline} (run {winner.run_id}) won, and is the model of version {number} of {model!r}, "
                f"which was rolled back (record: run {run_id}). {remedy}"
            )
    for evaluation_run_id, run_id in _turned_down(tracker, model):
        evaluation = _read(tracker, evaluation_run_id)
        if winner.run_id == evaluation_run_id or (evaluation is not None and _is_same_model(winner, evaluation)):
            raise NotRegisteredError(
                f"{winner.baseline} (run {winner.run_id}) won, and is a model that a canary turned down (record: run "
                f"{run_id}). {remedy}"
            )


def promotion_state(tracker: Tracker, model: str | None, assessment: Assessment) -> PromotionState:
    """Tell what has become of a comparison's winner by now.

    Args:
        tracker: The tracking server.
        model: Name of the registered model; None where the suite has none.
        assessment: What the comparison found.

    Raises:
        TrackingError: The server cannot be reached.
    """
    run_id = assessment.winner_run_id
    if model is None or run_id is None or not is_registered(tracker, model):
        return PromotionState.OPEN
    versions = _versions_of(tracker, model, run_id)
    if version_number(holder(tracker, model, CHAMPION)) in versions:
        return PromotionState.CHAMPION
    winner = _read(tracker, run_id)
    try:
        if winner is not None:
            require_not_rolled_back(tracker, model, winner)
    except NotRegisteredError:
        return PromotionState.ROLLED_BACK
    return PromotionState.OVERTAKEN if versions else PromotionState.OPEN


def _versions_of(tracker: Tracker, model: str, evaluation_run_id: str) -> set[str]:
    query = f"name = '{model}' and tags.`{EVALUATION_RUN_ID}` = '{evaluation_run_id}' and tags.`{STATE}` = '{DONE}'"
    with reporting(f"search the versions of {model!r}", tracker.uri):
        return {str(version.version) for version in tracker.client.search_model_versions(query)}


def is_champion(tracker: Tracker, model: str, runs: Sequence[EvaluationRun]) -> bool:
    """Tell whether the champion of a registered model is what one of these runs evaluated. Raises TrackingError."""
    champion = holder(tracker, model, CHAMPION)
    if champion is None:
        return False
    if champion.tags.get(EVALUATION_RUN_ID) in {run.run_id for run in runs}:
        return True
    evaluation = _evaluation_of(tracker, model, str(champion.version))
    return evaluation is not None and any(_is_same_model(run, evaluation) for run in runs)


def turn_down(
    tracker: Tracker, model: str, runs: Sequence[EvaluationRun], cause: Mapping[str, str]
) -> tuple[str | None, str]:
    """Record that a candidate that is not the champion does not become it: no alias moves.

    Args:
        tracker: The tracking server, at the suite's experiment.
        model: Name of the registered model.
        runs: What evaluated the candidate; its like is not promoted by itself any more.
        cause: Tags of the record which say why.

    Returns:
        The version that is the champion, read in the run, and the id of that run.

    Raises:
        TrackingError: The server cannot be reached.
    """
    run_ids = ",".join(run.run_id for run in runs) or _NONE
    tags = {PREFIX + "suite": tracker.experiment, _MODEL: model, _TURNED_DOWN: run_ids}
    with open_run(tracker, ROLLBACK, name=f"turn down a candidate of {model}", tags={**tags, **cause}) as run:
        champion = version_number(holder(tracker, model, CHAMPION))
        write(run, Tags({_VERSION: champion or _NONE}))
    return champion, run.run_id


def _rolled_back(tracker: Tracker, model: str) -> dict[str, str]:
    """Versions that were rolled back and not restored since ─▶ the rollback's run."""
    tags = {STATUS: COMPLETED, _MODEL: model}
    rolled_back: dict[str, str] = {}
    for run in search(tracker, ROLLBACK, tags, everywhere=True, deleted=True, order=OLDEST):
        if _TURNED_DOWN not in run.data.tags:
            rolled_back.pop(run.data.tags.get(_VERSION, ""), None)
            rolled_back[run.data.tags.get(PREFIX + "previous_version", "")] = run.info.run_id
    return rolled_back


def _turned_down(tracker: Tracker, model: str) -> Iterator[tuple[str, str]]:
    """Give the evaluations of models that were turned down, each with the record of it."""
    for run in search(tracker, ROLLBACK, {STATUS: COMPLETED, _MODEL: model}, everywhere=True, deleted=True):
        for evaluation_run_id in run.data.tags.get(_TURNED_DOWN, _NONE).split(","):
            if evaluation_run_id != _NONE:
                yield evaluation_run_id, run.info.run_id


def _evaluation_of(tracker: Tracker, model: str, number: str) -> EvaluationRun | None:
    """Find the evaluation of a version's own weights; None where the version or the run is gone."""
    try:
        with reporting(f"read version {number} of {model!r}", tracker.uri):
            version = tracker.client.get_model_version(model, number)
    except TrackingError:
        return None
    return _read(tracker, version.tags.get(EVALUATION_RUN_ID, ""))


def _read(tracker: Tracker, run_id: str) -> EvaluationRun | None:
    try:
        return read_evaluation(tracker, run_id)
    except TrackingError:
        return None


def _is_same_model(one: EvaluationRun, other: EvaluationRun) -> bool:
    same_weights = one.model.weights_sha256 is not None and one.model.weights_sha256 == other.model.weights_sha256
    return one.run_id == other.run_id or same_weights or one.signature_digest == other.signature_digest
