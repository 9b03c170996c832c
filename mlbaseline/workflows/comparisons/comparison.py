"""Compare the completed runs of a suite, judge them, and write the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlbaseline import store
from mlbaseline.errors import IncomparableError, SuiteError, TrackingError
from mlbaseline.judge.verification import assessment_differences
from mlbaseline.records import Assessment
from mlbaseline.report import (
    render_html,
    render_junit,
    render_markdown,
    render_note,
    render_plots,
    render_summary,
    render_terminal,
    summarise,
)
from mlbaseline.suite import Suite
from mlbaseline.tasks import LoadedTask, open_suite
from mlbaseline.workflows.command_result import CommandResult, document_json, exit_code_of
from mlbaseline.workflows.derivation import Derivation


def compare(suite: str | Path, *, ladder: str | None = None, tracking_uri: str | None = None) -> CommandResult:
    """Pair the suite's completed runs by example, decide, and write a comparison run with its report.

    Args:
        suite: Path of a suite file, or the name of a packaged suite.
        ladder: Compare the runs of this ladder only. By default the newest run of each baseline and seed.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document has `verdict`, `reason`, `winner`, `comparisons` (one for each contrast and slice), `findings`,
        `audit`, the path of the `report`, and more. The exit code is 0 whatever the verdict.

    Raises:
        TrackingError: The server cannot be reached, or has no completed runs of the suite.
        IncomparableError: Two runs differ in data, prompt or metric version; the message names both values.

    Example:
        >>> import mlbaseline
        >>> outcome = mlbaseline.compare("suite.yaml")
        >>> outcome.document["winner"]
        'zero_shot'
        >>> print(*(row["outcome"] for row in outcome.document["comparisons"] if row["role"] == "primary"))
        pass
    """
    loaded = open_suite(suite)
    tracker = store.connect(tracking_uri, loaded.name)
    run_id, assessment = make_comparison(loaded, tracker, ladder)
    return comparison_outcome(tracker, run_id, assessment)


def make_comparison(
    suite: Suite,
    tracker: store.Tracker,
    ladder: str | None,
    *,
    parent: str | None = None,
    task: LoadedTask | None = None,
) -> tuple[str, Assessment]:
    """Compare the runs that count, and write the comparison run.

    Args:
        ladder: only the runs of this ladder; None for the newest of each baseline and seed.
        parent: run of the ladder that the comparison belongs to.
        task: the suite's data, where it is loaded already.

    Returns:
        The run id and what was found.
    """
    found = None if ladder is None else store.find_evaluations(tracker, ladder=ladder)
    derivation = Derivation(suite, tracker, found, task)
    assessment = derivation.assessment()
    tags = {**store.suite_tags(suite), store.TASK_DIGEST: derivation.task_digest}
    note = f"{render_note(assessment)}\n\nThe whole report is the artifact `comparison/report.html`."
    name = f"{suite.name} comparison: {assessment.verdict.decision}"
    opening = store.open_run(tracker, "comparison", name=name, tags=tags, parent=parent, note=note)
    with opening as run, TemporaryDirectory() as rendered:
        _render(assessment, Path(rendered))
        store.log_comparison(run, assessment, Path(rendered), suite=suite)
    return run.run_id, assessment


def _render(assessment: Assessment, folder: Path) -> None:
    (folder / "report.html").write_text(render_html(assessment), encoding="utf-8")
    (folder / "report.md").write_text(render_markdown(assessment), encoding="utf-8")
    (folder / "plots").mkdir()
    for name, svg in render_plots(assessment).items():
        (folder / "plots" / f"{name}.svg").write_text(svg, encoding="utf-8")


def comparison_outcome(tracker: store.Tracker, run_id: str, assessment: Assessment) -> CommandResult:
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
        "report": store.artifact_path(tracker, run_id, "comparison/report.html"),
        "standings": [asdict(standing) for standing in assessment.standings],
        "published": [asdict(score) for score in assessment.published],
        "comparisons": [asdict(row) for row in assessment.comparisons],
        "unpaired": [asdict(row) for row in assessment.unpaired],
        "findings": [asdict(finding) for finding in assessment.verdict.findings],
        "audit": [asdict(finding) for finding in assessment.audit],
        "break_even": [asdict(row) for row in assessment.break_even],
        "slices": None if assessment.slices is None else asdict(assessment.slices),
        "fronts": [asdict(front) for front in assessment.fronts],
    }
    where = f"\nReport: {document['report']}\n"
    return CommandResult(
        document, lambda colour, width: render_terminal(assessment, colour=colour, width=width) + where
    )


def gate(
    suite: str | Path,
    *,
    comparison: str | None = None,
    verify: bool = False,
    output_format: str = "text",
    output: Path | None = None,
    tracking_uri: str | None = None,
) -> CommandResult:
    """Give the verdict of a comparison as exit code, if the comparison was made by the present suite.

    Args:
        suite: Path of a suite file, or the name of a packaged suite.
        comparison: Run of the comparison. By default the suite's newest.
        verify: Derive the comparison again from the tables of its runs, and refuse it where it comes out otherwise.
        output_format: `text`, `json`, `junit` or `markdown`.
        output: File to write to, in place of the terminal.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document of the comparison (see `compare`), with exit code 0 (promote), 3 (hold) or 4 (inconclusive).

    Raises:
        IncomparableError: The comparison was made with another suite than the present one, or does not verify.
        TrackingError: There is no completed comparison.
    """
    loaded = open_suite(suite)
    tracker = store.connect(tracking_uri, loaded.name)
    run, assessment = judged_comparison(loaded, tracker, comparison)
    if verify:
        verify_comparison(loaded, tracker, run, assessment)
    verdict = assessment.verdict
    outcome = verdict_outcome(tracker, run.run_id, assessment)
    if output_format != "text":
        outcome = replace(outcome, text=_in_format(output_format, outcome.document, assessment))
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
    run = required_comparison(suite, tracker, run_id)
    if run.suite_digest != suite.digest:
        what = "judged by other rules" if run.matrix_digest != suite.matrix_digest else "made with another suite"
        raise IncomparableError(
            f"comparison {run.run_id} was {what} than the suite file has now (suite digest {run.suite_digest[:12]}… "
            f"then, {suite.digest[:12]}… now):\n{_changes(suite, tracker, run)}\nCompare again, or restore the file."
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
    found = [each for each in store.find_evaluations(tracker) if each.run_id in run_ids or each.split == "dev"]
    derived = Derivation(suite, tracker, found).assessment()
    if differences := assessment_differences(stored, derived):
        listed = "\n".join(f"  - {difference}" for difference in differences[:10])
        raise IncomparableError(
            f"comparison {run.run_id} is not what its runs give when it is derived again:\n{listed}\nCompare again."
        )


def verdict_outcome(tracker: store.Tracker, run_id: str, assessment: Assessment) -> CommandResult:
    """The comparison's outcome with its verdict as exit code."""
    return replace(comparison_outcome(tracker, run_id, assessment), exit_code=exit_code_of(assessment.verdict.decision))


def _in_format(output_format: str, document: Mapping[str, Any], assessment: Assessment) -> Callable[[bool, int], str]:
    match output_format:
        case "json":
            return lambda *_: document_json(document)
        case "junit":
            return lambda *_: render_junit(assessment)
        case "markdown":
            return lambda *_: render_summary(assessment)
        case _:
            raise ValueError(f"expected text, json, junit or markdown, got {output_format!r}")


def report(
    comparison: str | None, *, output: Path, suite: str | Path = "tweets", tracking_uri: str | None = None
) -> CommandResult:
    """Write the report of a comparison to a file: HTML or Markdown by its ending. suite: needed without a run's id."""
    renderers = {".html": render_html, ".htm": render_html, ".md": render_markdown}
    if output.suffix.lower() not in renderers:
        raise SuiteError(
            "--output",
            [f"expected a name that ends in .html or .md, got {output.name!r}; mlbaseline table writes LaTeX and CSV"],
        )
    if comparison is None:
        loaded = open_suite(suite)
        tracker = store.connect(tracking_uri, loaded.name)
        server: store.Server = tracker
        run_id = required_comparison(loaded, tracker, None).run_id
    else:
        server, run_id = store.reach(tracking_uri), comparison
    text = renderers[output.suffix.lower()](store.load_assessment(server, run_id))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    return CommandResult(
        {"comparison_run_id": run_id, "output": str(output)}, lambda *_: f"Report of {run_id}: {output}"
    )


def required_comparison(suite: Suite, tracker: store.Tracker, run_id: str | None) -> store.ComparisonRun:
    run = store.find_comparison(tracker, run_id)
    if run is None:
        raise TrackingError(
            f"{tracker.uri}: no completed comparison of {suite.name!r}. Run `mlbaseline compare` first."
        )
    return run
