"""Rungs of a ladder, one after the other; what is completed already is reused."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from time import sleep

from mlbaseline import store
from mlbaseline.engine.judging.scoring import Judging
from mlbaseline.engine.rungs import Rung
from mlbaseline.records import TaskData
from mlbaseline.results import CompletedEvaluation
from mlbaseline.workflows.evaluations.earlier_answers import find_begun, find_under_way, find_whole
from mlbaseline.workflows.evaluations.evaluation_result import Evaluated, metrics_text
from mlbaseline.workflows.evaluations.ladder_run import LadderRun
from mlbaseline.workflows.evaluations.rung_evaluation import RungEvaluation, forget_answers, record_published

log = logging.getLogger("mlbaseline")
_LOOK_EVERY_S = 2.0


def evaluate_each(
    ladder: LadderRun,
    data: TaskData,
    rungs: Sequence[Rung],
    *,
    judging: Judging,
    fresh: bool,
    wanted: Mapping[str, Collection[str]] | None = None,
) -> Iterator[Evaluated]:
    """Make one run for each rung, or reuse the completed run that it would only repeat.

    A run that stopped at a look is continued: its answers are kept. A rung that another process is evaluating comes
    last, and its run is awaited and reused: two commands on one suite share the work.

    Args:
        ladder: The run that they belong to.
        data: The examples to answer.
        rungs: In the order in which they are evaluated.
        judging: Scores the answers by the judges of the suite.
        fresh: Evaluate again even where a completed run could be reused.
        wanted: Baseline ─▶ ids of the examples that it answers; all where it is not named.

    Yields:
        One for each rung.
    """
    left = {index: () if fresh else find_whole(ladder, rung) for index, rung in enumerate(rungs)}
    while left:
        index = next(iter(left)) if fresh else _choose_next(ladder, rungs, left)
        rung, before = rungs[index], left.pop(index)
        found = _reusable(ladder, rung, before, judging)
        split = "" if data.split == "test" else f", {data.split}"
        where = f"[{len(rungs) - len(left)}/{len(rungs)}] {rung.name}{split}"
        if fresh:
            forget_answers(rung)
        log.info("%s: %s", where, "evaluating" if found is None else f"reused, run {found.run_id} has its signature")
        if found is not None:
            done = found
        elif rung.open is None:
            done = record_published(ladder, rung)
        else:
            # Scores of a judge are of the whole table; answers that were given are in the journal.
            earlier = None if fresh or ladder.suite.judged else find_begun(ladder, rung)
            others = [(rungs[other], known) for other, known in left.items() if rungs[other].baseline == rung.baseline]
            later = [other for other, known in others if _reusable(ladder, other, known, judging) is None]
            evaluation = RungEvaluation(ladder, data, rung, judging=judging, earlier=earlier, later=later)
            done = _evaluate(evaluation, earlier, (wanted or {}).get(rung.baseline))
            if not fresh:
                done = _first_of(ladder, rung, done, before=before)
        log.info("%s: %s", where, metrics_text(done.metrics))
        yield replace(done, split=data.split)


def _choose_next(ladder: LadderRun, rungs: Sequence[Rung], left: dict[int, tuple[store.EvaluationRun, ...]]) -> int:
    """Return the first rung that no other process is evaluating; where there is none, wait for one.

    Args:
        ladder: The run that they belong to.
        rungs: All of them.
        left: Position of each that is left ─▶ the completed runs that it would only repeat. What has completed in the
            meantime is added.
    """
    awaited: set[str] = set()
    while True:
        for index, known in left.items():
            rung = rungs[index]
            if known or rung.open is None:
                return index
            other = find_under_way(ladder, rung)  # before the completed ones, as it may become one of them
            left[index] = find_whole(ladder, rung)
            if other is None or left[index]:
                return index
            if other not in awaited:
                log.info("%s: run %s of another process is evaluating it, and is awaited", rung.name, other)
                awaited.add(other)
        sleep(_LOOK_EVERY_S)


def _evaluate(
    evaluation: RungEvaluation, earlier: CompletedEvaluation | None, wanted: Collection[str] | None
) -> Evaluated:
    if earlier is not None:
        log.info("%s: keeps the %d answers of run %s", evaluation.rung.name, evaluation.n_answered, earlier.run_id)
    with evaluation.life:
        evaluation.answer(wanted)
        return evaluation.finish()


def _reusable(
    ladder: LadderRun, rung: Rung, found: Sequence[store.EvaluationRun], judging: Judging
) -> Evaluated | None:
    facts = judging.facts(rung.baseline)
    if not found or any(found[0].params.get(name) != value for name, value in facts.items()):
        return None
    return _reused(ladder, found[0])


def _first_of(ladder: LadderRun, rung: Rung, done: Evaluated, before: Sequence[store.EvaluationRun]) -> Evaluated:
    """Return the evaluation of another process where it has completed the same rung first."""
    known = {run.run_id for run in before}
    rivals = [run for run in find_whole(ladder, rung) if run.run_id not in known]
    if done.run_id not in {run.run_id for run in rivals}:  # it lacks answers, or had all of them before
        return done
    first = store.first_to_complete(rivals)
    if first.run_id == done.run_id:
        return done
    store.supersede(ladder.tracker, done.run_id, by=first.run_id)
    log.info("%s: run %s, of another process, was complete first and counts", rung.name, first.run_id)
    return _reused(ladder, first)


def _reused(ladder: LadderRun, run: store.EvaluationRun) -> Evaluated:
    shown: dict[str, float] = {name: run.metrics[name] for name in ladder.suite.metrics if name in run.metrics}
    return Evaluated(run.baseline, run.seed, run.run_id, True, shown)
