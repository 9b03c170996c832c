"""Give the verdict of a stored comparison, if the present suite made it; derive it again on request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlbaseline import store
from mlbaseline.errors import IncomparableError, TrackingError
from mlbaseline.judge.assessment_differences import assessment_differences
from mlbaseline.records import Assessment, PromotionState
from mlbaseline.report import render_junit, render_summary, summarise
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import SuiteReference
from mlbaseline.tasks import open_suite
from mlbaseline.workflows.command_result import CommandResult, document_json, exit_code_of
from mlbaseline.workflows.comparisons.comparison import comparison_outcome
from mlbaseline.workflows.comparisons.derivation import Derivation


def gate(
    suite: SuiteReference,
    *,
    comparison: str | None = None,
    verify: bool = False,
    output_format: str = "text",
    output: Path | None = None,
    tracking_uri: str | None = None,
) -> CommandResult:
    """Give the verdict of a comparison as exit code, if the comparison was made by the present suite.

    Args:
        suite: Path of a suite file, name of a packaged suite, or the content of a suite as a mapping.
        comparison: Run of the comparison. By default the suite's newest.
        verify: Derive the comparison again from the tables of its runs, and refuse it where it comes out otherwise, or
            where it has a signature that does not hold.
        output_format: `text`, `json`, `junit` or `markdown`.
        output: File to write to, in place of the terminal.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document of the comparison (see `compare`), with exit code 0 (promote), 3 (hold) or 4 (inconclusive).

    Raises:
        IncomparableError: The comparison was made with another suite than the present one, or does not verify.
        SignatureError: The suite names keys (`gates.signed_by`), and the comparison is not signed by one of them.
        TrackingError: There is no completed comparison.
    """
    loaded = open_suite(suite)
    tracker = store.connect(tracking_uri, loaded.name)
    run, assessment = judged_comparison(loaded, tracker, comparison)
    if verify:
        verify_comparison(loaded, tracker, run, assessment)
    if verify or store.trusted_keys(loaded) is not None:
        store.check_comparison(tracker, loaded, run, assessment)
    verdict = assessment.verdict
    state = store.promotion_state(tracker, loaded.register_as, assessment)
    outcome = verdict_outcome(tracker, run.run_id, assessment, state)
    if output_format != "text":
        outcome = replace(outcome, text=_in_format(output_format, outcome.document, assessment, state))
    if output is None:
        return outcome
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(outcome.text(False, 100), encoding="utf-8")
    return replace(outcome, text=lambda *_: f"{verdict.decision}: {summarise(assessment)}\nGate: {output}")


def judged_comparison(
    suite: Suite, tracker: store.Tracker, run_id: str | None
) -> tuple[store.ComparisonRun, Assessment]:
    """Read a comparison (default: the newest) and what it found.

    Raises:
        IncomparableError: it was made with another suite than the present one; the message says what differs.
        TrackingError: there is no such comparison.
    """
    run = required_comparison(suite.name, tracker, run_id)
    if run.suite_digest != suite.digest:
        what = "judged by other rules" if run.matrix_digest != suite.matrix_digest else "made with another suite"
        raise IncomparableError(
            f"comparison {run.run_id} was {what} than the suite file has now (suite digest {run.suite_digest[:12]}… "
            f"then, {suite.digest[:12]}… now):\n{_changes(suite, tracker, run)}\n"
            "Compare again, restore the file, or name another comparison with --comparison."
        )
    return run, store.load_assessment(tracker, run.run_id)


def _changes(suite: Suite, tracker: store.Tracker, run: store.ComparisonRun) -> str:
    stored = store.stored_suite(tracker, run.run_id)
    if stored is None or stored.digest != run.suite_digest:
        return "  - what differs is not known: the comparison keeps no suite with that digest"
    return "\n".join(f"  - {difference}" for difference in store.suite_differences(stored, suite))


def verify_comparison(suite: Suite, tracker: store.Tracker, run: store.ComparisonRun, stored: Assessment) -> None:
    """Derive a comparison again from the tables of its runs, and check that it comes out as it was stored.

    Raises:
        IncomparableError: its runs do not count for the present suite, or the verdict or a registered contrast differs.
    """
    run_ids = {run_id for standing in stored.standings for run_id in standing.run_ids.values()}
    run_ids |= {score.run_id for score in stored.published}
    evaluations = [each for each in store.find_evaluations(tracker) if each.run_id in run_ids or each.split == "dev"]
    derived = Derivation(suite, tracker, evaluations).assessment()
    if differences := assessment_differences(stored, derived):
        listed = "\n".join(f"  - {difference}" for difference in differences[:10])
        raise IncomparableError(
            f"comparison {run.run_id} is not what its runs give when it is derived again:\n{listed}\nCompare again."
        )


def verdict_outcome(
    tracker: store.Tracker, run_id: str, assessment: Assessment, promotion: PromotionState = PromotionState.OPEN
) -> CommandResult:
    """Give the comparison's outcome with its verdict as exit code. promotion: what has become of its winner by now."""
    outcome = comparison_outcome(tracker, run_id, assessment, promotion=promotion)
    return replace(outcome, exit_code=exit_code_of(assessment.verdict.decision))


def _in_format(
    output_format: str, document: Mapping[str, Any], assessment: Assessment, promotion: PromotionState
) -> Callable[[bool, int], str]:
    match output_format:
        case "json":
            return lambda *_: document_json(document)
        case "junit":
            return lambda *_: render_junit(assessment)
        case "markdown":
            return lambda *_: render_summary(assessment, promotion)
        case _:
            raise ValueError(f"expected text, json, junit or markdown, got {output_format!r}")


def required_comparison(suite: str, tracker: store.Tracker, run_id: str | None) -> store.ComparisonRun:
    run = store.find_comparison(tracker, run_id)
    if run is None:
        raise TrackingError(f"{tracker.uri}: no completed comparison of {suite!r}. Run `mlbaseline compare` first.")
    return run
