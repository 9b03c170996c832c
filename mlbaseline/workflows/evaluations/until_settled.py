"""The registered contrasts together, look by look, until every candidate is settled."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack

from mlbaseline.engine import hardware
from mlbaseline.engine.judging.scoring import Judging
from mlbaseline.engine.rungs import Rung
from mlbaseline.errors import SuiteError
from mlbaseline.judge.ladder import Ladder, build_ladder
from mlbaseline.judge.looks import is_settled, look_at
from mlbaseline.records import Look, LookOutcome, LookSchedule, TaskData
from mlbaseline.suite import Suite
from mlbaseline.workflows.evaluations.earlier_answers import find_earlier
from mlbaseline.workflows.evaluations.evaluation_result import Evaluated, metrics_text
from mlbaseline.workflows.evaluations.ladder_run import LadderRun
from mlbaseline.workflows.evaluations.one_by_one import evaluate_each
from mlbaseline.workflows.evaluations.rung_evaluation import RungEvaluation, forget_answers

log = logging.getLogger("mlbaseline")


def check_can_settle(suite: Suite, names: Collection[str], seeds: Collection[int]) -> None:
    """Raise SuiteError where the suite registers no looks, or where not all rungs of the contrasts are asked for."""
    matrix = suite.matrix
    if not matrix.looks:
        raise SuiteError(
            "--until-settled",
            [
                f"{suite.name} registers no looks at the test. Add them to its rules before the first evaluation, such "
                "as `matrix: {looks: [0.2, 0.4, 0.6, 0.8, 1.0]}`, or leave the option out"
            ],
        )
    if not matrix.primary:
        raise SuiteError("--until-settled", [f"{suite.name} registers no primary contrast that a look could settle"])
    missing = [name for name in matrix.looked_at_rungs if name not in names]
    if missing or len(seeds) < len(suite.seeds):
        what = f"the baselines {', '.join(missing)} are" if missing else "some seeds are"
        raise SuiteError(
            "--until-settled",
            [
                f"{what} left out, and the contrasts that are looked at need both sides with every seed; leave out "
                "--baseline, --kind and --seed"
            ],
        )


def evaluate_until_settled(
    run: LadderRun, data: TaskData, rungs: Sequence[Rung], *, judging: Judging, fresh: bool, earlier_looks: int
) -> list[Evaluated]:
    """Evaluate a ladder whose registered contrasts stop at the first look that settles every candidate.

    All rungs of contrasts that are looked at, with every seed, have the same answers at each look. Those of other rungs
    end where these do. With `stop: primary`, the rungs of the guardrails of a candidate that is shown to be better
    then answer the rest of the test, too.

    Args:
        run: The run that the rungs belong to.
        data: The test.
        rungs: Of the whole ladder.
        judging: The judges of the suite, which has none where it has looks.
        fresh: Evaluate again even where a completed run could be reused.
        earlier_looks: At smaller versions of the test.

    Returns:
        One for each rung, those of the contrasts first.
    """
    matrix = run.suite.matrix
    schedule = LookSchedule.of(data, matrix.looks)
    looked_at = [rung for rung in rungs if rung.baseline in matrix.looked_at_rungs and rung.open is not None]
    with ExitStack() as stack:
        evaluations = [
            _prepared(run, data, rung, looked_at[index + 1 :], judging=judging, fresh=fresh)
            for index, rung in enumerate(looked_at)
        ]
        for evaluation in evaluations:
            stack.push(evaluation.life)
        memory = _Memory(evaluations)
        look = _answer_until_settled(run.suite, schedule, evaluations, memory, earlier_looks)
        first, whole = schedule.first(look.n), _whole(run.suite, look)
        evaluated: list[Evaluated] = []
        for evaluation in evaluations:
            memory.answer(evaluation, None if evaluation.rung.baseline in whole else first)
            evaluated.append(evaluation.finish())
            log.info("%s: %s", evaluation.rung.name, metrics_text(evaluated[-1].metrics))
            run.log(evaluated)
    others = [rung for rung in rungs if rung not in looked_at]
    wanted = {rung.baseline: first for rung in others if rung.baseline not in whole}
    rest = evaluate_each(run, data, others, judging=judging, fresh=fresh, wanted=wanted)
    return run.collect(rest, before=evaluated)


def _prepared(
    run: LadderRun, data: TaskData, rung: Rung, following: Sequence[Rung], *, judging: Judging, fresh: bool
) -> RungEvaluation:
    if fresh:
        forget_answers(rung)
    later = [other for other in following if other.baseline == rung.baseline]
    return RungEvaluation(
        run, data, rung, judging=judging, earlier=None if fresh else find_earlier(run, rung), later=later
    )


def _answer_until_settled(
    suite: Suite,
    schedule: LookSchedule,
    evaluations: Sequence[RungEvaluation],
    memory: _Memory,
    earlier_looks: int,
) -> Look:
    """Answer up to each registered look in turn; return the one that settles every candidate, or the last."""
    for position, n in enumerate(schedule.sizes, start=1):
        where = f"look {position} of {len(schedule.sizes)}, {n:,} of {schedule.n:,} examples"
        for evaluation in evaluations:
            if evaluation.n_answered < n:
                log.info("%s: %s", where, evaluation.rung.name)
            memory.answer(evaluation, schedule.first(n))
        ladder = _ladder(suite, evaluations, schedule, earlier_looks)
        look = look_at(ladder, n)
        for line in _look_lines(look):
            log.info("%s: %s", where, line)
        if is_settled(ladder, look):
            break
    return look


def _ladder(suite: Suite, evaluations: Sequence[RungEvaluation], schedule: LookSchedule, earlier_looks: int) -> Ladder:
    answered = [evaluation.so_far() for evaluation in evaluations]
    return build_ladder(
        suite,
        answered,
        absent=suite.matrix.registered_rungs,
        schedule=schedule,
        earlier_looks=earlier_looks,
    )


def _look_lines(look: Look) -> Iterator[str]:
    for row in look.contrasts:
        place = f" on {row.where}" if row.where else ""
        yield (
            f"{row.candidate} over {row.baseline}{place} by {row.metric}: z {row.z:+.2f}, efficacy from "
            f"{row.efficacy:+.2f}, futility up to {row.futility:+.2f}: {row.outcome}"
        )
    settled = ", ".join(f"{name} ({outcome})" for name, outcome in look.settled.items())
    yield f"settled: {settled}" if settled else "nothing is settled"


def _whole(suite: Suite, look: Look) -> frozenset[str]:
    """Rungs of the guardrails that are still to be judged, on the whole test: those of candidates that were shown."""
    if suite.matrix.stop == "all":
        return frozenset()
    asked = [c for c in suite.matrix.guardrails if look.settled.get(c.candidate) is LookOutcome.EFFICACY]
    return frozenset(name for contrast in asked for name in (contrast.candidate, *contrast.over))


class _Memory:
    """Keeps models between looks as long as another of their size would fit beside them."""

    def __init__(self, evaluations: Sequence[RungEvaluation]) -> None:
        self._at_first: dict[str, int] = {}
        self._evaluations = evaluations

    def answer(self, evaluation: RungEvaluation, wanted: Collection[str] | None) -> None:
        """Answer, and drop the model where the next one might not fit."""
        device = evaluation.device
        start = self._at_first.setdefault(device, hardware.memory_in_use(device))
        evaluation.answer(wanted, beside_bytes=max(0, hardware.memory_in_use(device) - start))
        if hardware.free_memory(device) < 2 * max(each.footprint_bytes for each in self._evaluations):
            evaluation.release()
