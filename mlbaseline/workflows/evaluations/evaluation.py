"""Evaluate baselines of a suite; what is completed already is reused."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace

from mlbaseline import store
from mlbaseline.engine.rungs import RungContext
from mlbaseline.suite import Recorded, Suite
from mlbaseline.suite.reading import SuiteReference
from mlbaseline.tasks import LoadedTask, open_suite
from mlbaseline.workflows.evaluations.earlier_answers import count_earlier_looks
from mlbaseline.workflows.evaluations.evaluation_result import Evaluated, EvaluationResult, evaluation_result
from mlbaseline.workflows.evaluations.executors.choosing import open_executor
from mlbaseline.workflows.evaluations.executors.executor import Executor, SplitEvaluation, make_rungs
from mlbaseline.workflows.evaluations.kept_imports import keep_imports
from mlbaseline.workflows.evaluations.ladder_run import (
    LadderRun,
    choose_baselines,
    choose_seeds,
    open_ladder,
    showing_evaluations,
)
from mlbaseline.workflows.evaluations.opening import open_context
from mlbaseline.workflows.evaluations.until_settled import check_can_settle, evaluate_until_settled
from mlbaseline.workflows.judging import open_judging, references_first

log = logging.getLogger("mlbaseline")


def evaluate(
    suite: SuiteReference,
    *,
    kind: str | None = None,
    baselines: Sequence[str] = (),
    seeds: Sequence[int] = (),
    fresh: bool = False,
    processes: int = 1,
    ray: str | None = None,
    until_settled: bool = False,
    tracking_uri: str | None = None,
) -> EvaluationResult:
    """Evaluate baselines on `test`, once per seed, and reuse completed runs that have the same signature.

    Args:
        suite: Path of a suite file, name of a packaged suite, or the content of a suite as a mapping.
        kind: Only baselines of this kind, such as `trivial` or `peft`.
        baselines: Only these baselines. By default all.
        seeds: Only these of the suite's seeds. By default all.
        fresh: Evaluate again even where a completed run could be reused.
        processes: Number of processes that answer together, each with a copy of the model. It changes no score.
        ray: Address of a Ray cluster on whose nodes models are trained and answer, or `auto` for the one that runs on
            this machine. It changes no score.
        until_settled: Answer the registered contrasts in a seeded order, and stop at the first look of `matrix.looks`
            that settles every candidate.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        `ladder_run_id` and `evaluations`, one for each run: baseline, seed, run_id, metrics, and whether it was
        `reused`; the document has the same.

    Raises:
        SuiteError: The suite file is not valid, or has no such baseline, kind or seed.
        DataError: The data is not what the suite says.
        AssetError: A model or a data file cannot be fetched, or has another checksum.

    Example:
        >>> import mlbaseline
        >>> outcome = mlbaseline.evaluate("suite.yaml", kind="trivial")
        >>> for evaluation in outcome.evaluations:
        ...     print(evaluation.baseline, round(evaluation.metrics["accuracy"], 2))
        majority 0.51
    """
    loaded = open_suite(suite)
    names = choose_baselines(loaded, kind, baselines)
    chosen_seeds = choose_seeds(loaded, seeds)
    tracker = store.connect(tracking_uri, loaded.name)
    opening = open_executor(suite, processes=processes, ray=ray, until_settled=until_settled)
    showing = showing_evaluations(loaded, names, chosen_seeds)
    with opening as executor, open_ladder(tracker, loaded) as ladder, showing:
        evaluated = evaluate_rungs(ladder, names, chosen_seeds, executor, fresh=fresh, until_settled=until_settled)
    return evaluation_result(ladder.run_id, evaluated)


def evaluate_rungs(
    ladder: LadderRun,
    names: Sequence[str],
    seeds: Sequence[int],
    executor: Executor,
    *,
    fresh: bool,
    until_settled: bool = False,
) -> list[Evaluated]:
    """Evaluate baselines on `test`, and on `dev` where the suite asks for it.

    Args:
        ladder: The run that the evaluations belong to.
        names: Baselines of its suite.
        seeds: Seeds of its suite.
        executor: Carries out the evaluations.
        fresh: Evaluate again even where a completed run could be reused.
        until_settled: Whether answers to `test` stop at the look that settles every candidate.

    Returns:
        One for each baseline, seed and split, in the order in which they were evaluated.
    """
    suite, tracker = ladder.suite, ladder.tracker
    if until_settled:
        check_can_settle(suite, names, seeds)
    context = open_context(ladder, fresh=fresh, processes=executor.processes)
    task = context.task
    _log_sizes(suite, task)
    before = store.find_evaluations(tracker)
    _warn_of_other_tasks(suite, task, before)
    store.register_rules(tracker, suite, task_digest=task.splits["test"].digest)

    if until_settled:
        judging = open_judging(context, tracker, fresh=fresh)
        earlier_looks = count_earlier_looks(tracker, task, before)
        rungs = make_rungs(context, dict.fromkeys(names, seeds))
        evaluated = evaluate_until_settled(
            ladder, context.data, rungs, judging=judging, fresh=fresh, earlier_looks=earlier_looks
        )
    else:
        evaluated = _evaluate_split(ladder, executor, context, names, seeds)
    if suite.evaluation.answer_dev:
        on_dev, names = replace(context, split="dev"), [name for name in names if _answers_dev(suite, name)]
        evaluated = _evaluate_split(ladder, executor, on_dev, names, seeds, before=evaluated)
    return evaluated


def _evaluate_split(
    ladder: LadderRun,
    executor: Executor,
    context: RungContext,
    names: Sequence[str],
    seeds: Sequence[int],
    *,
    before: Sequence[Evaluated] = (),
) -> list[Evaluated]:
    """Evaluate baselines on one split, those first that a judge compares the others with."""
    split = SplitEvaluation(ladder, context, open_judging(context, ladder.tracker, fresh=context.fresh))
    evaluated = list(before)
    is_kept = context.split == "test" and not context.fresh
    kept = keep_imports(ladder, context.task, names) if is_kept else {}
    for group in references_first(context.suite, names, context.split):
        evaluated += [run for name in group for run in kept.get(name, {}).values() if run.seed in (None, *seeds)]
        left = {name: _left(seeds, kept.get(name, {})) for name in group}
        evaluated = ladder.collect(executor.evaluate(split, left), before=evaluated)
    if kept:
        ladder.log(evaluated)
    return evaluated


def _left(seeds: Sequence[int], imported: Collection[int | None]) -> list[int]:
    """Seeds without imported answers; none where those were imported without a seed."""
    return [] if None in imported else [seed for seed in seeds if seed not in imported]


def _answers_dev(suite: Suite, name: str) -> bool:
    """Tell whether a rung is a side of a primary contrast and computes its answers: recorded ones are those of test."""
    return name in suite.matrix.primary_rungs and not isinstance(suite.baselines[name], Recorded)


def _log_sizes(suite: Suite, task: LoadedTask) -> None:
    sizes = ", ".join(f"{name} {len(data.examples):,}" for name, data in task.splits.items())
    notes = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in task.counts.items() if count)
    log.info("%s: %s (%s)", suite.name, sizes, notes)
    for note in task.notes:
        log.info("%s: %s", suite.name, note)


def _warn_of_other_tasks(suite: Suite, task: LoadedTask, runs: Sequence[store.EvaluationRun]) -> None:
    """Warn where the experiment has runs on other test data: of an earlier version of the suite, or of a namesake."""
    ours = task.splits["test"].digest
    others = {run.task_digest for run in runs if run.split == "test"} - {ours}
    if others:
        log.warning(
            "%s: the experiment has runs on other test data (digest %s…, here %s…). They are of an earlier version of "
            "this suite, or of another suite of the same name; comparisons leave them aside.",
            suite.name,
            "…, ".join(sorted(digest[:12] for digest in others)),
            ours[:12],
        )
