"""Move the champion alias: forward by a verdict, back by hand. Each move leaves a run as its record."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from mlbaseline import store
from mlbaseline.records import Promotion
from mlbaseline.tasks import open_suite
from mlbaseline.workflows.comparison import judged_comparison, verdict_outcome
from mlbaseline.workflows.outcome import Outcome


def promote(
    suite: str | Path, *, comparison: str | None = None, dry_run: bool = False, tracking_uri: str | None = None
) -> Outcome:
    """Register the winner of a comparison as champion, if its verdict is to promote."""
    loaded = open_suite(suite)
    tracker = store.connect(tracking_uri, loaded.name)
    run, assessment = judged_comparison(loaded, tracker, comparison)
    if assessment.verdict.decision != "promote":
        return verdict_outcome(tracker, run.run_id, assessment)
    plan = store.plan_promotion(tracker, loaded, run)
    if dry_run:
        shown = {"dry_run": True, "model": plan.model, "evaluation_run_id": plan.winner.run_id, "tags": dict(plan.tags)}
        return Outcome(shown, lambda *_: _plan_text(plan))
    promotion = store.promote(tracker, loaded, plan)
    return Outcome(asdict(promotion), lambda *_: promotion_text(promotion))


def rollback(model: str, *, tracking_uri: str | None = None) -> Outcome:
    """Make the previous version of a registered model its champion again."""
    promotion = store.rollback(tracking_uri, model)
    return Outcome(asdict(promotion), lambda *_: promotion_text(promotion))


def promotion_text(promotion: Promotion) -> str:
    before = f", before it version {promotion.previous_version}" if promotion.previous_version else ""
    return f"Champion of {promotion.model}: version {promotion.version}{before} (record: run {promotion.run_id})"


def _plan_text(plan: store.Plan) -> str:
    what = "is champion already" if plan.is_champion else f"would follow version {plan.previous_version or 'none'}"
    return f"Dry run: {plan.winner.baseline} (run {plan.winner.run_id}) {what} as champion of {plan.model}"
