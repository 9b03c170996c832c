"""One function per entry point: the only place that strings the folders together.

Each takes a suite (a path or the name of a packaged one) and what its command takes, and returns an Outcome. What a later
step needs of an earlier one it reads back from the tracking server, never from the memory of the same process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlbaseline import assets, store
from mlbaseline.engine import hardware
from mlbaseline.engine.rungs import Fetch, Rung, build_rungs
from mlbaseline.errors import IncomparableError, SuiteError
from mlbaseline.judge.assessment import assess
from mlbaseline.judge.standing import measure_cost, measure_overall, measure_slices
from mlbaseline.metrics import add_scores
from mlbaseline.models.checkpoint import default_device
from mlbaseline.records import Assessment
from mlbaseline.report import plots, render_html, render_markdown, render_terminal
from mlbaseline.results import Evaluation, tabulate
from mlbaseline.suite import KINDS, Suite
from mlbaseline.suite_file import load_suite
from mlbaseline.tasks import LoadedTask, load_task

log = logging.getLogger("mlbaseline")

Text = Callable[[bool, int], str]
"""colour, width ─▶ what a person reads."""


@dataclass(frozen=True)
class Outcome:
    """What a command has to say: a JSON document, the same for a person, and a verdict where one was reached."""

    document: Mapping[str, Any]
    text: Text
    verdict: str | None = None


# ---- evaluate -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evaluated:
    """One rung that now has a completed run. reused: it had one before, with the same signature."""

    baseline: str
    seed: int | None
    run_id: str
    reused: bool
    metrics: Mapping[str, float]


def evaluate(
    suite: str | Path,
    *,
    kind: str | None = None,
    baselines: Sequence[str] = (),
    seeds: Sequence[int] = (),
    fresh: bool = False,
    tracking_uri: str | None = None,
) -> Outcome:
    """Evaluate baselines on `test`, every seed, each as a run; completed runs of the same signature are reused."""
    loaded = load_suite(suite)
    names = _chosen_baselines(loaded, kind, baselines)
    chosen_seeds = _chosen_seeds(loaded, seeds)
    tracker = store.connect(tracking_uri, loaded.name)
    with _open_ladder(tracker, loaded) as ladder:
        evaluated = _evaluate_rungs(loaded, names, chosen_seeds, tracker, ladder, fresh=fresh)
    document = {"ladder_run_id": ladder.run_id, "evaluations": [asdict(rung) for rung in evaluated]}
    return Outcome(document, lambda _colour, _width: _evaluations_text(loaded, evaluated))


def _evaluate_rungs(
    suite: Suite, names: Sequence[str], seeds: Sequence[int], tracker: store.Tracker, ladder: store.Run, *, fresh: bool
) -> list[Evaluated]:
    fetch = _fetcher(suite, tracker)
    task = load_task(suite, fetch)
    _tell_data(suite, task)
    rungs = [rung for name in names for rung in build_rungs(suite, task, name, fetch, seeds)]
    evaluated: list[Evaluated] = []
    for position, rung in enumerate(rungs, start=1):
        where = f"[{position}/{len(rungs)}] {rung.name}"
        found = (
            None
            if fresh
            else store.find_completed(
                tracker, baseline=rung.baseline, seed=rung.seed, signature_digest=rung.signature.digest
            )
        )
        if found is not None:
            log.info("%s: reused, run %s has the same signature", where, found.run_id)
            shown = {name: found.metrics[name] for name in suite.metrics if name in found.metrics}
            evaluated.append(Evaluated(rung.baseline, rung.seed, found.run_id, True, shown))
        else:
            log.info("%s: evaluating", where)
            evaluated.append(_evaluate_rung(suite, task, rung, tracker, ladder))
        log.info("%s: %s", where, _metrics_text(evaluated[-1].metrics))
        # After each rung: what an interrupted ladder has done is found under it.
        store.log_ladder(ladder, [rung.run_id for rung in evaluated])
    return evaluated


def _evaluate_rung(suite: Suite, task: LoadedTask, rung: Rung, tracker: store.Tracker, ladder: store.Run) -> Evaluated:
    data, device = task.splits["test"], default_device()
    opening = store.open_evaluation(
        tracker,
        suite,
        baseline=rung.baseline,
        seed=rung.seed,
        signature=rung.signature,
        data=data,
        params={**rung.params, **hardware.describe_hardware(device), **DISTRIBUTED},
        parent=ladder.run_id,
    )
    with opening as run:
        with hardware.measure_peak_memory(device) as peak:
            opened = rung.open()
            table = tabulate(
                data,
                opened.model.answer(data.examples),
                baseline=rung.baseline,
                kind=rung.kind,
                seed=rung.seed,
                signature=rung.signature,
            )
        table = add_scores(table, suite.task.labels, suite.metrics)
        found = measure_overall(table, suite)
        cost = measure_cost(
            table,
            suite,
            usd_per_hour=hardware.usd_per_hour(suite.cost.usd_per_hour, device) if rung.kind != "human" else None,
            peak_memory_bytes=peak.bytes,
            train_s=opened.trained.train_s if opened.trained else None,
        )
        _warn_about_rows(table.frame["error"].notna().sum(), table.frame["truncated"].sum(), rung, len(table.frame))
        store.log_evaluation(
            run,
            table,
            suite=suite,
            data=data,
            metrics=found,
            slices=measure_slices(table, suite),
            cost=cost,
            trained=opened.trained,
        )
    return Evaluated(rung.baseline, rung.seed, run.run_id, False, found)


DISTRIBUTED = {"distributed.processes": 1}


def _open_ladder(tracker: store.Tracker, suite: Suite) -> Any:
    note = (
        f"The baseline ladder of the suite **{suite.name}**: each child run is one baseline with one seed.\n\n"
        f"Suite digest `{suite.digest[:12]}`, rules of the decision `{suite.matrix_digest[:12]}`."
    )
    return store.open_run(tracker, "ladder", name=f"{suite.name} ladder", tags=store.suite_tags(suite), note=note)


def _chosen_baselines(suite: Suite, kind: str | None, names: Sequence[str]) -> tuple[str, ...]:
    if kind is not None and kind not in KINDS:
        raise SuiteError("--kind", [f"unknown kind {kind!r}; there are: {', '.join(KINDS)}"])
    unknown = [name for name in names if name not in suite.baselines]
    if unknown:
        raise SuiteError(
            "--baseline", [f"unknown baseline {n!r}; {suite.name} has: {', '.join(suite.baselines)}" for n in unknown]
        )
    chosen = tuple(name for name in suite.of_kind(kind) if not names or name in names)
    if not chosen:
        raise SuiteError(suite.name, [f"no baseline of kind {kind} among {', '.join(names or suite.baselines)}"])
    return chosen


def _chosen_seeds(suite: Suite, seeds: Sequence[int]) -> tuple[int, ...]:
    unknown = [seed for seed in seeds if seed not in suite.seeds]
    if unknown:
        # Seeds are registered beforehand: an extra one would be a second draw.
        raise SuiteError("--seed", [f"{seed} is not among the suite's seeds {list(suite.seeds)}" for seed in unknown])
    return tuple(seed for seed in suite.seeds if not seeds or seed in seeds)


def _fetcher(suite: Suite, tracker: store.Tracker) -> Fetch:
    return lambda asset: assets.fetch(asset, root=suite.root, resolve=lambda uri: store.resolve(tracker, uri))


def _tell_data(suite: Suite, task: LoadedTask) -> None:
    sizes = ", ".join(f"{name} {len(data.examples):,}" for name, data in task.splits.items())
    notes = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in task.counts.items() if count)
    log.info("%s: %s (%s)", suite.name, sizes, notes)


def _warn_about_rows(errors: int, truncated: int, rung: Rung, n: int) -> None:
    if errors:
        log.warning("%s: %d of %d examples failed; they stay in every denominator", rung.name, errors, n)
    if truncated:
        log.warning(
            "%s: %d of %d prompts were longer than max_length and lost tokens from their left", rung.name, truncated, n
        )


# ---- compare, gate, report ------------------------------------------------------------------------------------------


def compare(suite: str | Path, *, ladder: str | None = None, tracking_uri: str | None = None) -> Outcome:
    """Query the server for the suite's completed runs, pair them by example, and write a comparison run."""
    loaded = load_suite(suite)
    tracker = store.connect(tracking_uri, loaded.name)
    run_id, assessment = _compare(loaded, tracker, ladder)
    return _comparison_outcome(tracker, run_id, assessment)


def _compare(
    suite: Suite, tracker: store.Tracker, ladder: str | None, parent: str | None = None
) -> tuple[str, Assessment]:
    runs = _current_runs(suite, store.find_evaluations(tracker, ladder=ladder))
    tables = store.load_tables(tracker, runs, cache=assets.cache_dir() / "tables")
    evaluations = [Evaluation(run.run_id, table, run.metrics) for run, table in zip(runs, tables, strict=True)]
    assessment = assess(suite, evaluations, _context(suite, runs))
    tags = store.suite_tags(suite)
    with store.open_run(tracker, "comparison", name=f"{suite.name} comparison", tags=tags, parent=parent) as run:
        with TemporaryDirectory() as temporary:
            rendered = Path(temporary)
            _render(assessment, rendered)
            store.log_comparison(run, assessment, rendered)
    return run.run_id, assessment


def _current_runs(suite: Suite, found: Sequence[store.EvaluationRun]) -> list[store.EvaluationRun]:
    """The newest run of each baseline and seed that the suite still has. `found` is newest first."""
    newest: dict[tuple[str, int | None], store.EvaluationRun] = {}
    for run in found:
        if run.baseline in suite.baselines and (run.seed is None or run.seed in suite.seeds):
            newest.setdefault((run.baseline, run.seed), run)
    return list(newest.values())


def _context(suite: Suite, runs: Sequence[store.EvaluationRun]) -> dict[str, Any]:
    def shared(prefix: str) -> dict[str, str]:
        """What all runs say alike, and otherwise everything that is said."""
        names = sorted({name for run in runs for name in run.params if name.startswith(prefix)})
        return {name: " | ".join(sorted({run.params[name] for run in runs if name in run.params})) for name in names}

    return {
        "suite_digest": suite.digest,
        "matrix_digest": suite.matrix_digest,
        "task_digest": " | ".join(sorted({run.task_digest for run in runs})),
        "seeds": list(suite.seeds),
        **shared("hardware."),
        **shared("software."),
    }


def _render(assessment: Assessment, folder: Path) -> None:
    (folder / "report.html").write_text(render_html(assessment), encoding="utf-8")
    (folder / "report.md").write_text(render_markdown(assessment), encoding="utf-8")
    (folder / "plots").mkdir()
    for name, svg in plots(assessment).items():
        (folder / "plots" / f"{name}.svg").write_text(svg, encoding="utf-8")


def _comparison_outcome(tracker: store.Tracker, run_id: str, assessment: Assessment) -> Outcome:
    document = {
        "comparison_run_id": run_id,
        "verdict": assessment.verdict.decision,
        "reason": assessment.verdict.reason,
        "winner": assessment.verdict.winner,
        "winner_seed": assessment.verdict.winner_seed,
        "more_examples": assessment.verdict.more_examples,
        "report": store.artifact_path(tracker, run_id, "comparison/report.html"),
        "comparisons": [asdict(row) for row in assessment.comparisons],
        "findings": [asdict(finding) for finding in assessment.verdict.findings],
    }
    where = f"\nReport: {document['report']}\n"
    return Outcome(document, lambda colour, width: render_terminal(assessment, colour=colour, width=width) + where)


def gate(suite: str | Path, *, comparison: str | None = None, tracking_uri: str | None = None) -> Outcome:
    """The verdict of a comparison that was made by the suite's present rules."""
    loaded = load_suite(suite)
    tracker = store.connect(tracking_uri, loaded.name)
    run = _comparison_run(loaded, tracker, comparison)
    if run.matrix_digest != loaded.matrix_digest:
        raise IncomparableError(
            f"comparison {run.run_id} was judged by other rules (matrix digest {run.matrix_digest[:12]}) than the "
            f"suite has now ({loaded.matrix_digest[:12]}). Compare again, and let the report say that they changed."
        )
    outcome = _comparison_outcome(tracker, run.run_id, store.load_assessment(tracker, run.run_id))
    return Outcome(outcome.document, outcome.text, verdict=outcome.document["verdict"])


def report(
    comparison: str | None, *, output: Path, suite: str | Path = "tweets", tracking_uri: str | None = None
) -> Outcome:
    """Write the report of a comparison to a file: HTML or Markdown by its ending."""
    renderers = {".html": render_html, ".htm": render_html, ".md": render_markdown}
    if output.suffix.lower() not in renderers:
        raise SuiteError("--output", [f"expected a name that ends in .html or .md, got {output.name!r}"])
    loaded = load_suite(suite)
    tracker = store.connect(tracking_uri, loaded.name)
    run_id = comparison or _comparison_run(loaded, tracker, None).run_id
    text = renderers[output.suffix.lower()](store.load_assessment(tracker, run_id))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    return Outcome({"comparison_run_id": run_id, "output": str(output)}, lambda *_: f"Report of {run_id}: {output}")
