"""What a promotion would do, read back from the server; nothing is written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbaseline.errors import IncomparableError, NotRegisteredError, PromotionError
from mlbaseline.records import Assessment, Decision, Role
from mlbaseline.signing import SignedStatement, SigningKey, sign_statement
from mlbaseline.store.comparison_runs import ComparisonRun
from mlbaseline.store.comparisons import STOPPED, VERDICT, WAIVED, overall_contrasts, waived_text
from mlbaseline.store.evaluations import MODEL_SHA256
from mlbaseline.store.registry.aliases import CHAMPION, holder, version_number
from mlbaseline.store.registry.rolled_back import require_not_rolled_back
from mlbaseline.store.registry.signed_versions import verify_signed_version
from mlbaseline.store.registry.stated import EVALUATION_RUN_ID, require_same_model
from mlbaseline.store.registry.version_page import describe_version, interval_text
from mlbaseline.store.runs import EvaluationRun, read_evaluation
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.references import stored_model
from mlbaseline.store.server.tracking import PREFIX, suite_tags
from mlbaseline.store.signatures import SIGNER, check_comparison, derive_statement, trusted_keys
from mlbaseline.suite import Suite

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

LINKS = (PREFIX + "comparison_run_id", EVALUATION_RUN_ID)
"""Tags of a version that name the runs that it stands on."""
PREVIOUS_VERSION = PREFIX + "previous_version"


@dataclass(frozen=True)
class PromotionPlan:
    """What a promotion would do.

    previous_version: today's champion. is_champion: the winner is that already. signed: None where nobody signed.
    """

    model: str
    winner: EvaluationRun
    comparison_run_id: str
    previous_version: str | None
    is_champion: bool
    tags: Mapping[str, str]
    description: str
    signed: SignedStatement | None = None


def plan_promotion(
    tracker: Tracker,
    suite: Suite,
    comparison: ComparisonRun,
    assessment: Assessment,
    *,
    allow_rolled_back: bool = False,
    key: SigningKey | None = None,
) -> PromotionPlan:
    """Read the winner and its lineage back from the server. Nothing is written, so this is the dry run as well.

    Args:
        tracker: The tracking server.
        suite: The suite as it is now.
        comparison: The run of the comparison.
        assessment: what the comparison found, as `load_assessment` gives it.
        allow_rolled_back: promote a model again that was rolled back before.
        key: signs the promotion; None: the signature of the comparison is that of the promotion, where it has one.

    Raises:
        NotRegisteredError: the winner has no model that could be registered, or was rolled back before.
        PromotionError: the verdict is not to promote.
        SignatureError: the suite asks for a signature, and it is missing, wrong, by another key, or of something else.
        UntrustedModelError: the winner's files are not those that were evaluated.
        IncomparableError: suite and comparison do not belong together.
        TrackingError: the server cannot be asked.
    """
    _may_promote(suite, comparison, assessment)
    assert suite.register_as is not None  # _may_promote has checked it
    winner = _winner(tracker, comparison, assessment)
    with stored_model(tracker, f"models:/{winner.model_id}") as folder:
        require_same_model(folder, winner.model, f"the model of {winner.baseline} (run {winner.run_id})")
    champion = holder(tracker, suite.register_as, CHAMPION)
    is_champion = champion is not None and champion.tags.get(EVALUATION_RUN_ID) == winner.run_id
    if not (is_champion or allow_rolled_back):
        require_not_rolled_back(tracker, suite.register_as, winner)
    signed = None
    if champion is not None and is_champion:
        _require_signed_champion(tracker, suite, champion)
    elif key is not None:
        signed = sign_statement(derive_statement(tracker, comparison, assessment, suite.register_as), key)
    else:
        signed = check_comparison(tracker, suite, comparison, assessment)
    return PromotionPlan(
        model=suite.register_as,
        winner=winner,
        comparison_run_id=comparison.run_id,
        previous_version=version_number(champion),
        is_champion=is_champion,
        tags={
            **suite_tags(suite),
            **evidence_tags(comparison.run_id, assessment, winner),
            PREVIOUS_VERSION: version_number(champion) or "none",
            **({SIGNER: signed.fingerprint} if signed else {}),
        },
        signed=signed,
        description=describe_version(assessment, winner, comparison, tracker.experiment_id),
    )


def _require_signed_champion(tracker: Tracker, suite: Suite, champion: ModelVersion) -> None:
    trusted = trusted_keys(suite)
    if trusted is not None:
        verify_signed_version(tracker, champion, trusted)


def _winner(tracker: Tracker, comparison: ComparisonRun, assessment: Assessment) -> EvaluationRun:
    if assessment.winner_run_id is None:
        raise PromotionError(
            f"comparison {comparison.run_id}: it has no run of its own winner {assessment.verdict.winner!r}."
        )
    winner = read_evaluation(tracker, assessment.winner_run_id)
    if winner.model_id is None:
        raise NotRegisteredError(
            f"{winner.baseline} (run {winner.run_id}) won, but left no model that could be registered: answers that "
            "were recorded elsewhere, rules and people have none. A checkpoint that an earlier version evaluated gets "
            "one by --fresh."
        )
    return winner


def _may_promote(suite: Suite, comparison: ComparisonRun, assessment: Assessment) -> None:
    decision = assessment.verdict.decision
    if decision is not Decision.PROMOTE or comparison.verdict != Decision.PROMOTE.value:
        raise PromotionError(
            f"comparison {comparison.run_id}: its verdict is {decision.value!r}, only `promote` registers."
        )
    if suite.register_as is None:
        raise PromotionError(f"suite {suite.name!r} has no `register_as`: give it the name of a registered model.")
    for what, ours, theirs in (
        ("suite", suite.digest, comparison.suite_digest),
        ("matrix", suite.matrix_digest, comparison.matrix_digest),
    ):
        if ours != theirs:
            raise IncomparableError(
                f"comparison {comparison.run_id} was made with another {what} than that of {suite.name!r}: digest "
                f"{theirs[:12]}…, the suite file now has {ours[:12]}…. Compare again, or restore the suite file."
            )


def evidence_tags(comparison_run_id: str, assessment: Assessment, winner: EvaluationRun) -> dict[str, str]:
    """Give the tags of a version that follow from its comparison and from the evaluation of its weights."""
    tags = {
        VERDICT: assessment.verdict.decision.value,
        PREFIX + "comparison_run_id": comparison_run_id,
        EVALUATION_RUN_ID: winner.run_id,
        **({MODEL_SHA256: winner.model.model_sha256} if winner.model.model_sha256 else {}),
        PREFIX + "task_digest": winner.task_digest,
        **({WAIVED: waived_text(assessment)} if assessment.verdict.waived else {}),
        **({STOPPED: assessment.looks.summary} if assessment.looks else {}),
    }
    for standing in assessment.standings:
        tags[f"{PREFIX}baseline.{standing.baseline}.run_ids"] = ",".join(standing.run_ids.values())
    # What decides nothing stands in the description of the version: a tag for each would make its page a screen longer.
    return tags | delta_tags(assessment, winner.baseline, (Role.PRIMARY, Role.GUARDRAIL))


def delta_tags(assessment: Assessment, candidate: str, roles: Collection[Role] = tuple(Role)) -> dict[str, str]:
    """Give the tags of a version that say by how much its rung differs from others, for contrasts of some roles."""
    return {
        f"{PREFIX}delta.{row.baseline}.{row.metric}": interval_text(row)
        for row in overall_contrasts(assessment.comparisons).values()
        if row.candidate == candidate and row.role in roles
    }
