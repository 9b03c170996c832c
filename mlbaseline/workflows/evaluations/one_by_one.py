"""Rungs of a ladder, one after the other; what is completed already is reused."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from mlbaseline.engine.judging.scoring import Judging
from mlbaseline.engine.rungs import Rung
from mlbaseline.records import TaskData
from mlbaseline.results import CompletedEvaluation
from mlbaseline.workflows.evaluations.earlier_answers import find_begun, find_completed
from mlbaseline.workflows.evaluations.ladder_run import Evaluated, LadderRun, metrics_text
from mlbaseline.workflows.evaluations.rung_evaluation import RungEvaluation, forget_answers, record_published

log = logging.getLogger("mlbaseline")


def evaluate_each(
    ladder: LadderRun,
    data: TaskData,
    rungs: Sequence[Rung],
    *,
    judging: Judging,
    fresh: bool,
    before: Sequence[Evaluated] = (),
    wanted: Mapping[str, Collection[str]] | None = None,
) -> list[Evaluated]:
    """Make one run for each rung, or reuse the completed run that it would only repeat.

    A run that stopped at a look is continued: its answers are kept.

    Args:
        ladder: The run that they belong to.
        data: The examples to answer.
        rungs: In the order in which they are evaluated.
        judging: Scores the answers by the judges of the suite.
        fresh: Evaluate again even where a completed run could be reused.
        before: What was evaluated earlier in the same ladder.
        wanted: Baseline ─▶ ids of the examples that it answers; all where it is not named.

    Returns:
        `before`, and one more for each rung.
    """
    evaluated = list(before)
    completed = [None if fresh else _find_completed(ladder, rung, judging) for rung in rungs]
    for index, (rung, found) in enumerate(zip(rungs, completed, strict=True)):
        where = f"[{index + 1}/{len(rungs)}] {rung.name}{'' if data.split == 'test' else f', {data.split}'}"
        if fresh:
            forget_answers(rung)
        log.info("%s: %s", where, "evaluating" if found is None else f"reused, run {found.run_id} has its signature")
        later = [
            other
            for other, known in zip(rungs[index + 1 :], completed[index + 1 :], strict=True)
            if known is None and other.baseline == rung.baseline
        ]
        if found is not None:
            done = found
        elif rung.open is None:
            done = record_published(ladder, rung)
        else:
            # Scores of a judge are of the whole table; answers that were given are in the journal.
            earlier = None if fresh or ladder.suite.judged else find_begun(ladder, rung)
            evaluation = RungEvaluation(ladder, data, rung, judging=judging, earlier=earlier, later=later)
            done = _evaluate(evaluation, earlier, (wanted or {}).get(rung.baseline))
        evaluated.append(replace(done, split=data.split))
        log.info("%s: %s", where, metrics_text(evaluated[-1].metrics))
        # After each rung: what an interrupted ladder has done is found under it.
        ladder.log(evaluated)
    return evaluated


def _evaluate(
    evaluation: RungEvaluation, earlier: CompletedEvaluation | None, wanted: Collection[str] | None
) -> Evaluated:
    if earlier is not None:
        log.info("%s: keeps the %d answers of run %s", evaluation.rung.name, evaluation.n_answered, earlier.run_id)
    with evaluation.life:
        evaluation.answer(wanted)
        return evaluation.finish()


def _find_completed(ladder: LadderRun, rung: Rung, judging: Judging) -> Evaluated | None:
    found = find_completed(ladder, rung)
    if found is None or any(found.params.get(name) != value for name, value in judging.facts(rung.baseline).items()):
        return None
    shown: dict[str, float] = {name: found.metrics[name] for name in ladder.suite.metrics if name in found.metrics}
    return Evaluated(rung.baseline, rung.seed, found.run_id, True, shown)
