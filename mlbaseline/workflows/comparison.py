"""Compare the completed runs of a suite, judge them, and write the report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlbaseline import serving, store
from mlbaseline.cache import cache_dir
from mlbaseline.engine.rungs import describe_baseline
from mlbaseline.errors import IncomparableError, SuiteError, TrackingError
from mlbaseline.judge.assessment import assess
from mlbaseline.judge.audit import Champion, Trials
from mlbaseline.judge.example_changes import report_examples
from mlbaseline.judge.ladder import Ladder, build_ladder
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
from mlbaseline.results import CompletedEvaluation
from mlbaseline.suite import Production, Suite
from mlbaseline.tasks import open_suite
from mlbaseline.workflows.answered_data import read_answered_data
from mlbaseline.workflows.command_result import CommandResult, document_json, exit_code_of

log = logging.getLogger("mlbaseline")


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
    suite: Suite, tracker: store.Tracker, ladder: str | None, parent: str | None = None
) -> tuple[str, Assessment]:
    every = store.find_evaluations(tracker)
    in_production = _versions_in_production(suite, tracker)
    found = every if ladder is None else store.find_evaluations(tracker, ladder=ladder)
    runs, on_dev = (_current_runs(suite, found, in_production, split=split) for split in ("test", "dev"))
    with_rows, published = _with_rows(runs), [store.published_score(run) for run in runs if run.examples_sha256 is None]
    tables, absent = _load(tracker, with_rows), _absent(suite, in_production)
    rungs = build_ladder(suite, tables, dev=_load(tracker, on_dev), absent=absent)
    task_digest = with_rows[0].task_digest  # comparable runs have one
    registration = store.find_registration(tracker, suite, task_digest=task_digest)
    tried = _trials(run for run in every if run.task_digest == task_digest)
    champion = _champion(suite, tracker)
    data = read_answered_data(suite, tracker, task_digest=task_digest, n_examples=len(tables[0].table.frame))
    context = {**_context(suite, with_rows), **({"data": dict(data.counts)} if data.counts else {})}
    assessment = assess(rungs, registration, tried, context, published=published, champion=champion)
    assessment = replace(assessment, examples=report_examples(rungs, data.inputs))
    tags = {**store.suite_tags(suite), store.TASK_DIGEST: task_digest}
    note = f"{render_note(assessment)}\n\nThe whole report is the artifact `comparison/report.html`."
    name = f"{suite.name} comparison: {assessment.verdict.decision}"
    opening = store.open_run(tracker, "comparison", name=name, tags=tags, parent=parent, note=note)
    with opening as run, TemporaryDirectory() as rendered:
        _render(assessment, Path(rendered))
        store.log_comparison(run, assessment, Path(rendered))
    return run.run_id, assessment


def load_ladder(suite: Suite, tracker: store.Tracker) -> Ladder:
    """The newest completed evaluation of each baseline and seed of the suite, rows included."""
    in_production = _versions_in_production(suite, tracker)
    runs = _current_runs(suite, store.find_evaluations(tracker), in_production)
    return build_ladder(suite, _load(tracker, _with_rows(runs)), absent=_absent(suite, in_production))


def _versions_in_production(suite: Suite, tracker: store.Tracker) -> dict[str, str | None]:
    """Which version each production baseline with a `uri` stands for now; None where there is no such model."""
    uris = {name: spec.uri for name, spec in suite.baselines.items() if isinstance(spec, Production) and spec.uri}
    found = {name: serving.find_identity(tracker, uri) for name, uri in uris.items()}
    return {name: None if identity is None else identity.version for name, identity in found.items()}


def _champion(suite: Suite, tracker: store.Tracker) -> Champion | None:
    """Find the champion of the suite's registered model; None where there is none."""
    if suite.register_as is None:
        return None
    found = serving.find_identity(tracker, f"models:/{suite.register_as}@champion")
    return None if found is None else Champion(found.version, found.evaluation_run_id)


def _absent(suite: Suite, in_production: Mapping[str, str | None]) -> list[str]:
    """Optional models that do not exist yet. One that exists and was not evaluated is not among them."""
    return [name for name, version in in_production.items() if version is None and suite.is_optional(name)]


def _with_rows(runs: Sequence[store.EvaluationRun]) -> list[store.EvaluationRun]:
    return [run for run in runs if run.examples_sha256 is not None]


def _load(tracker: store.Tracker, runs: Sequence[store.EvaluationRun]) -> list[CompletedEvaluation]:
    return store.load_evaluations(tracker, runs, cache=cache_dir() / "tables")


def _current_runs(
    suite: Suite,
    found: Sequence[store.EvaluationRun],
    in_production: Mapping[str, str | None],
    *,
    split: str = "test",
) -> list[store.EvaluationRun]:
    """The newest run of each baseline and seed that the suite still has, with the options that it has now.

    found: newest first. in_production: see `_versions_in_production`; a run of another version is outdated. split: that
    was answered; published scores, which are of none, go with test.
    """
    if split == "dev":
        found = [run for run in found if run.split == "dev"] if suite.evaluation.answer_dev else []
    else:
        found = [run for run in found if run.split != "dev"]
    newest: dict[tuple[str, int | None], store.EvaluationRun] = {}
    outdated: set[str] = set()
    for run in found:
        if run.baseline not in suite.baselines or not (run.seed is None or run.seed in suite.seeds):
            continue
        is_current = in_production.get(run.baseline) == run.params.get(serving.PRODUCTION_VERSION)
        if is_current and _has_present_options(suite, run):
            newest.setdefault((run.baseline, run.seed), run)
        else:
            outdated.add(run.baseline)
    if outdated:
        log.info(
            "Left aside: runs of %s whose options are not those of the suite now, or which are no longer in production",
            ", ".join(sorted(outdated)),
        )
    return list(newest.values())


def _has_present_options(suite: Suite, run: store.EvaluationRun) -> bool:
    """An option that a later version added is not in an older run, and is not held against it."""
    options = describe_baseline(suite, run.baseline)
    logged = {name: value for name, value in run.params.items() if name.startswith("baseline.")}
    return all(name in options and store.param_text(options[name]) == value for name, value in logged.items())


def _trials(runs: Iterable[store.EvaluationRun]) -> Trials:
    """What was tried on the way, whatever the suite says now."""
    tried: dict[str, set[tuple[float, int]]] = {}
    for run in runs:
        if {"baseline.learning_rate", "baseline.epochs"} <= run.params.keys():
            setting = float(run.params["baseline.learning_rate"]), int(run.params["baseline.epochs"])
            tried.setdefault(run.baseline, set()).add(setting)
    return {name: frozenset(settings) for name, settings in tried.items()}


def _context(suite: Suite, runs: Sequence[store.EvaluationRun]) -> dict[str, Any]:
    def shared(prefix: str) -> dict[str, str]:
        """What all runs say alike, and otherwise everything that is said."""
        names = sorted({name for run in runs for name in run.params if name.startswith(prefix)})
        return {name: " | ".join(sorted({run.params[name] for run in runs if name in run.params})) for name in names}

    precisions = sorted({said for run in runs if (said := _precision(run.params))})
    return {
        "suite_digest": suite.digest,
        "matrix_digest": suite.matrix_digest,
        "task_digest": runs[0].task_digest,
        "seeds": list(suite.seeds),
        **{f"in production, {run.baseline}": said for run in runs if (said := _in_production(run.params))},
        **({"precision": " | ".join(precisions)} if precisions else {}),
        **shared("hardware."),
        **shared("software."),
    }


def _precision(params: Mapping[str, str]) -> str | None:
    precision, compute = (params.get(f"evaluation.{name}_precision") for name in ("resolved", "compute"))
    return precision if compute is None else f"{precision}, computed in {compute}"


def _in_production(params: Mapping[str, str]) -> str | None:
    """Which version, or which model behind which address, chosen by what."""
    if serving.PRODUCTION_VERSION in params:
        return params[serving.PRODUCTION_VERSION]
    endpoint = [params.get(f"baseline.endpoint.{name}") for name in ("url", "protocol", "model", "choose_by")]
    return " · ".join(said for said in endpoint if said not in (None, store.param_text(None))) or None


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
    output_format: str = "text",
    output: Path | None = None,
    tracking_uri: str | None = None,
) -> CommandResult:
    """The verdict of a comparison that was made by the suite's present rules.

    output_format: text, json, junit or markdown. output: the file that it goes to, in place of the terminal.
    """
    loaded = open_suite(suite)
    tracker = store.connect(tracking_uri, loaded.name)
    run, assessment = judged_comparison(loaded, tracker, comparison)
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
    """A comparison (default: the newest) and what it found. Raises IncomparableError if other rules judged it."""
    run = required_comparison(suite, tracker, run_id)
    if run.matrix_digest != suite.matrix_digest:
        raise IncomparableError(
            f"comparison {run.run_id} was judged by other rules (matrix digest {run.matrix_digest[:12]}) than the "
            f"suite has now ({suite.matrix_digest[:12]}). Compare again, and let the report say that they changed."
        )
    return run, store.load_assessment(tracker, run.run_id)


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
