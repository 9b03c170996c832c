"""From the decision about a canary to the champion's alias: back after harm, through the gates after success."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import timedelta

from mlbaseline import store
from mlbaseline.errors import PromotionError, SuiteError
from mlbaseline.monitor import Ledger
from mlbaseline.monitor.canary.report import CanaryDecision, CanaryReport
from mlbaseline.monitor.event_rows import CLOCK_TOLERANCE
from mlbaseline.records import Decision
from mlbaseline.store.live import CanaryCause, find_rollback
from mlbaseline.suite import CanaryRules, Suite
from mlbaseline.workflows.comparisons.gate import judged_comparison, verdict_outcome, verify_comparison
from mlbaseline.workflows.health.leftovers import clear_leftovers
from mlbaseline.workflows.monitor.documents import Document, iso
from mlbaseline.workflows.monitor.references import newest_evaluations
from mlbaseline.workflows.promotion import promotion_text

MOVING = (CanaryDecision.ROLL_BACK, CanaryDecision.PROMOTE)
"""Decisions that concern the champion of the registered model."""


@dataclass(frozen=True)
class CanaryAction:
    """What a decision comes to.

    Attributes:
        applied: Whether it was carried out, now or by an earlier call.
        text: What was done, or would be done, in words.
        exit_code: That of the command.
        document: More about it: the promotion, the verdict of the gates, or the record of a roll back.
    """

    applied: bool
    text: str
    exit_code: int
    document: Document = field(default_factory=dict)


def plan_action(suite: Suite, tracker: store.Tracker, rules: CanaryRules, report: CanaryReport) -> CanaryAction | None:
    """Say what a decision would come to; nothing is written.

    Returns:
        None where the decision does not concern the champion, or the suite registers no model.

    Raises:
        TrackingError: The server cannot be reached.
    """
    model = suite.register_as
    if model is None or report.decided_us is None or report.decision not in MOVING:
        return None
    if report.decision is CanaryDecision.PROMOTE:
        text = f"With --apply, {rules.candidate} goes through the gates, to become champion of {model}"
        return CanaryAction(False, text, 0)
    known = find_rollback(tracker, report.experiment, str(iso(report.decided_us)))
    if known is not None:
        return _known(known)
    if store.is_champion(tracker, model, newest_evaluations(tracker, rules.candidate)):
        text = f"With --apply, the champion of {model}, which is {rules.candidate}, gives way to the version before it"
    else:
        text = f"With --apply, {rules.candidate} is turned down: the champion of {model} stays what it is"
    return CanaryAction(False, text, 3)


def apply_decision(
    suite: Suite,
    tracker: store.Tracker,
    rules: CanaryRules,
    report: CanaryReport,
    *,
    ledger: Ledger,
    evidence: str,
) -> CanaryAction | None:
    """Carry out a decision. Whoever splits the traffic must have been answered before.

    Two calls at once, and calls one after the other, do it once. What a killed process left half done is finished.

    Args:
        suite: The suite, with its task opened.
        tracker: The tracking server.
        rules: Rules of the canary.
        report: The decision.
        ledger: Is held meanwhile, so that one process acts at a time.
        evidence: The run of the decision.

    Returns:
        What was done; None where the decision does not concern the champion.

    Raises:
        IncomparableError: The newest comparison was made with another suite, or does not verify.
        NotRegisteredError: The candidate has no model, or was rolled back before.
        PromotionError: Somebody else moves the aliases, there is no version to go back to, or the winner of the newest
            comparison is not what the traffic has tried.
        SuiteError: The suite registers no model.
        TrackingError: The server cannot be reached.
    """
    if report.decided_us is None or report.decision not in MOVING:
        return None
    if suite.register_as is None:
        raise SuiteError(suite.name, ["register_as: is missing; there is no model whose alias could move"])
    cause = CanaryCause(evidence, report.experiment, str(report.decision), str(iso(report.looked_us)))
    with ledger.alone():
        clear_leftovers(tracker, suite)
        if report.decision is CanaryDecision.PROMOTE:
            return _promote(suite, tracker, rules, report, cause)
        known = find_rollback(tracker, report.experiment, str(iso(report.decided_us)))
        return _known(known) if known is not None else _roll_back(tracker, suite.register_as, rules, cause)


def _roll_back(tracker: store.Tracker, model: str, rules: CanaryRules, cause: CanaryCause) -> CanaryAction:
    tried = newest_evaluations(tracker, rules.candidate)
    if store.is_champion(tracker, model, tried):
        moved = store.rollback(tracker.uri, model, cause=cause.tags)
        return CanaryAction(True, f"Rolled back. {promotion_text(moved)}", 3, {"rollback": asdict(moved)})
    champion, run_id = store.turn_down(tracker, model, tried, cause.tags)
    kept = f"Champion of {model} stays version {champion or 'none'} (record: run {run_id})"
    record = {"model": model, "version": champion, "run_id": run_id}
    return CanaryAction(True, f"Turned down: {rules.candidate}. {kept}", 3, {"rollback": record})


def _known(run_id: str) -> CanaryAction:
    text = f"Rolled back before (record: run {run_id}); nothing more to do"
    return CanaryAction(True, text, 3, {"rollback": {"run_id": run_id}})


def _promote(
    suite: Suite, tracker: store.Tracker, rules: CanaryRules, report: CanaryReport, cause: CanaryCause
) -> CanaryAction:
    run, assessment = judged_comparison(suite, tracker, None)
    if assessment.verdict.decision is not Decision.PROMOTE:
        outcome = verdict_outcome(tracker, run.run_id, assessment)
        text = f"Not promoted: the gates say {assessment.verdict.decision} (comparison: run {run.run_id})"
        return CanaryAction(False, text, outcome.exit_code, {"gates": outcome.document})
    plan = store.plan_promotion(tracker, suite, run, assessment)
    _require_tried(plan.winner, rules, report)
    if not plan.is_champion:
        verify_comparison(suite, tracker, run, assessment)
    promotion = store.promote(tracker, suite, plan, cause=cause.tags)
    return CanaryAction(True, promotion_text(promotion), 0, {"promotion": asdict(promotion)})


def _require_tried(winner: store.EvaluationRun, rules: CanaryRules, report: CanaryReport) -> None:
    """Check that the winner of the comparison is the candidate that the traffic has seen."""
    assert report.started_us is not None  # there is a decision
    if winner.baseline != rules.candidate:
        raise PromotionError(
            f"the canary tried {rules.candidate!r}, and the newest comparison's winner is {winner.baseline!r} (run "
            f"{winner.run_id}). Promote that by `mlbaseline promote` if you want it, or try it on traffic first."
        )
    latest_ms = report.started_us // 1000 + CLOCK_TOLERANCE // timedelta(milliseconds=1)
    if winner.start_time_ms > latest_ms:
        raise PromotionError(
            f"{winner.baseline!r} was evaluated by run {winner.run_id} after the canary had started ("
            f"{iso(report.started_us)}): it is not what the traffic has tried. Start a canary with it."
        )
