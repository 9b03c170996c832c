"""Compare the completed runs of a suite, judge them, and write the report."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from mlbaseline import store
from mlbaseline.progress import progress_bar
from mlbaseline.records import Assessment, PromotionState
from mlbaseline.report import (
    render_html,
    render_markdown,
    render_note,
    render_plots,
    render_terminal,
    summarise,
)
from mlbaseline.signing import SigningKey
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import SuiteReference
from mlbaseline.tasks import LoadedTask, open_suite
from mlbaseline.workflows.comparisons.comparison_result import ComparisonResult
from mlbaseline.workflows.comparisons.derivation import Derivation
from mlbaseline.workflows.comparisons.shown_examples import show_examples
from mlbaseline.workflows.health.leftovers import clear_leftovers


def compare(
    suite: SuiteReference,
    *,
    ladder: str | None = None,
    sign: str | Path | None = None,
    tracking_uri: str | None = None,
) -> ComparisonResult:
    """Pair the suite's completed runs by example, decide, and write a comparison run with its report.

    Args:
        suite: Path of a suite file, name of a packaged suite, or the content of a suite as a mapping.
        ladder: Compare the runs of this ladder only. By default the newest run of each baseline and seed.
        sign: Private key (PEM) that signs the verdict with all that it stands on; its password, where it has one, is in
            `MLBASELINE_SIGN_PASSWORD`. By default nothing is signed.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document has `verdict`, `reason`, `winner`, `comparisons` (one for each contrast and slice), `findings`,
        `audit`, the path of the `report`, and more; `assessment` has the same as records. The exit code is 0 whatever
        the verdict.

    Raises:
        TrackingError: The server cannot be reached, or has no completed runs of the suite.
        IncomparableError: Two runs differ in data, prompt or metric version; the message names both values.

    Example:
        >>> import mlbaseline
        >>> outcome = mlbaseline.compare("suite.yaml")
        >>> outcome.verdict.winner
        'zero_shot'
        >>> print(*(row.outcome for row in outcome.assessment.comparisons if row.role == "primary"))
        pass
    """
    loaded = open_suite(suite)
    key = store.signing_key(sign, loaded)
    tracker = store.connect(tracking_uri, loaded.name)
    clear_leftovers(tracker, loaded)
    run_id, assessment = make_comparison(loaded, tracker, ladder, key=key)
    return comparison_outcome(
        tracker, run_id, assessment, promotion=store.promotion_state(tracker, loaded.register_as, assessment)
    )


def make_comparison(
    suite: Suite,
    tracker: store.Tracker,
    ladder: str | None,
    *,
    parent: str | None = None,
    task: LoadedTask | None = None,
    key: SigningKey | None = None,
) -> tuple[str, Assessment]:
    """Compare the runs that count, and write the comparison run.

    Args:
        suite: The suite.
        tracker: The tracking server.
        ladder: only the runs of this ladder; None for the newest of each baseline and seed.
        parent: run of the ladder that the comparison belongs to.
        task: the suite's data, where it is loaded already.
        key: signs what the comparison came to.

    Returns:
        The run id and what was found.
    """
    evaluations = None if ladder is None else store.find_evaluations(tracker, ladder=ladder)
    derivation = Derivation(suite, tracker, evaluations, task)
    with progress_bar(None, "second", f"Comparing {suite.name}", is_brief=True):
        assessment = derivation.assessment()
    tags = {**store.suite_tags(suite), store.TASK_DIGEST: derivation.task_digest}
    note = f"{render_note(assessment)}\n\nThe whole report is the artifact `comparison/report.html`."
    name = f"{suite.name} comparison: {assessment.verdict.decision}"
    opening = store.open_run(tracker, "comparison", name=name, tags=tags, parent=parent, note=note)
    with opening as run, TemporaryDirectory() as rendered:
        _render(assessment, Path(rendered))
        store.log_comparison(run, assessment, Path(rendered), suite=suite)
        if key is not None:
            store.sign_comparison(run, suite, assessment, key)
    show_examples(suite, tracker, derivation.counting.with_rows, derivation.test)
    return run.run_id, assessment


def _render(assessment: Assessment, folder: Path) -> None:
    (folder / "report.html").write_text(render_html(assessment), encoding="utf-8")
    (folder / "report.md").write_text(render_markdown(assessment), encoding="utf-8")
    (folder / "plots").mkdir()
    for name, svg in render_plots(assessment).items():
        (folder / "plots" / f"{name}.svg").write_text(svg, encoding="utf-8")


def comparison_outcome(
    tracker: store.Tracker, run_id: str, assessment: Assessment, *, promotion: PromotionState
) -> ComparisonResult:
    """Give a comparison as the result of a command. promotion: what has become of its winner by now."""
    document = {
        "comparison_run_id": run_id,
        "verdict": assessment.verdict.decision,
        "summary": summarise(assessment),
        "reason": assessment.verdict.reason,
        "winner": assessment.verdict.winner,
        "winner_seed": assessment.verdict.winner_seed,
        "more_examples": assessment.verdict.more_examples,
        "more_seeds": assessment.verdict.more_seeds,
        "waived": assessment.verdict.waived,
        "registration": asdict(assessment.registration),
        "looks": None if assessment.looks is None else asdict(assessment.looks),
        "report": store.artifact_path(tracker, run_id, "comparison/report.html"),
        "standings": [asdict(standing) for standing in assessment.standings],
        "published": [asdict(score) for score in assessment.published],
        "comparisons": [asdict(row) for row in assessment.comparisons],
        "unpaired": [asdict(row) for row in assessment.unpaired],
        "by_mlflow": [asdict(row) for row in assessment.by_mlflow],
        "findings": [asdict(finding) for finding in assessment.verdict.findings],
        "audit": [asdict(finding) for finding in assessment.audit],
        "break_even": [asdict(row) for row in assessment.break_even],
        "slices": None if assessment.slices is None else asdict(assessment.slices),
        "fronts": [asdict(front) for front in assessment.fronts],
        "judges": [asdict(judge) for judge in assessment.judges],
    }
    where = f"\nReport: {document['report']}\n"

    def text(colour: bool, width: int) -> str:
        return render_terminal(assessment, colour=colour, width=width, promotion=promotion) + where

    return ComparisonResult(document, text, assessment=assessment)
