"""Move the champion alias: forward by a verdict, back by hand. Each move leaves a run as its record."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from mlbaseline import store
from mlbaseline.errors import SuiteError
from mlbaseline.records import Decision, Promotion
from mlbaseline.suite.reading import SuiteReference
from mlbaseline.tasks import open_suite
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.comparisons.gate import judged_comparison, verdict_outcome, verify_comparison
from mlbaseline.workflows.health.leftovers import clear_leftovers


def promote(
    suite: SuiteReference,
    *,
    comparison: str | None = None,
    dry_run: bool = False,
    verify: bool = True,
    allow_rolled_back: bool = False,
    sign: str | Path | None = None,
    tracking_uri: str | None = None,
) -> CommandResult:
    """Register the winner of a comparison as champion, if its verdict is to promote.

    Args:
        suite: Path of a suite file, name of a packaged suite, or the content of a suite as a mapping.
        comparison: Run of the comparison. By default the suite's newest.
        dry_run: Say what would be registered, and register nothing.
        verify: Derive the comparison again from the tables of its runs, and refuse it where it comes out otherwise.
        allow_rolled_back: Promote a model again that was rolled back before.
        sign: Private key (PEM) that signs the promotion with all that it stands on; its password, where it has one, is
            in `MLBASELINE_SIGN_PASSWORD`. By default a signature of the comparison is that of the promotion.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document names `model`, `version`, `previous_version` and the run that records the promotion. Where the
        verdict is not to promote, it is that of the comparison, with exit code 3 (hold) or 4 (inconclusive).

    Raises:
        IncomparableError: The comparison was made with another suite than the present one, or does not verify.
        NotRegisteredError: The winner has no model that could be registered, or was rolled back before.
        PromotionError: Somebody else promotes at the same time.
        SignatureError: The suite names keys (`gates.signed_by`), and neither the comparison nor the promotion is signed
            by one of them.
        TrackingError: There is no completed comparison.

    Example:
        >>> import mlbaseline
        >>> outcome = mlbaseline.promote("suite.yaml", dry_run=True)
        >>> outcome.document["model"]
        'reviews-label'
    """
    loaded = open_suite(suite)
    key = store.signing_key(sign, loaded)
    if key is not None and not verify:
        raise SuiteError("--sign", ["what is signed must have been derived again; leave out --no-verify"])
    tracker = store.connect(tracking_uri, loaded.name)
    run, assessment = judged_comparison(loaded, tracker, comparison)
    if assessment.verdict.decision is not Decision.PROMOTE:
        return verdict_outcome(tracker, run.run_id, assessment)
    if not dry_run:
        clear_leftovers(tracker, loaded)
    plan = store.plan_promotion(tracker, loaded, run, assessment, allow_rolled_back=allow_rolled_back, key=key)
    if verify and not plan.is_champion:
        verify_comparison(loaded, tracker, run, assessment)
    if dry_run:
        shown = {"dry_run": True, "model": plan.model, "evaluation_run_id": plan.winner.run_id, "tags": dict(plan.tags)}
        return CommandResult(shown, lambda *_: _plan_text(plan))
    promotion = store.promote(tracker, loaded, plan)
    return CommandResult(asdict(promotion), lambda *_: promotion_text(promotion))


def rollback(model: str, *, tracking_uri: str | None = None) -> CommandResult:
    """Make the previous version of a registered model its champion again.

    Args:
        model: Name of the registered model.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document names `model`, `version` (the champion now), `previous_version` and the run that records it.

    Raises:
        PromotionError: There is no previous version.

    Example:
        >>> import mlbaseline
        >>> outcome = mlbaseline.rollback("reviews-label")
        >>> outcome.document["version"], outcome.document["previous_version"]
        ('1', '2')
    """
    promotion = store.rollback(tracking_uri, model)
    return CommandResult(asdict(promotion), lambda *_: promotion_text(promotion))


def promotion_text(promotion: Promotion) -> str:
    before = f", before it version {promotion.previous_version}" if promotion.previous_version else ""
    return f"Champion of {promotion.model}: version {promotion.version}{before} (record: run {promotion.run_id})"


def _plan_text(plan: store.PromotionPlan) -> str:
    what = "is champion already" if plan.is_champion else f"would follow version {plan.previous_version or 'none'}"
    return f"Dry run: {plan.winner.baseline} (run {plan.winner.run_id}) {what} as champion of {plan.model}"
