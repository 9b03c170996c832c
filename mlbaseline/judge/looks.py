"""Where the answers to a test may stop: derived from the rows at every registered look, whatever anybody says of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from mlbaseline.judge.contrasts.at_look import boundaries
from mlbaseline.judge.contrasts.comparison import Family
from mlbaseline.judge.contrasts.matrix import plan, sign_of
from mlbaseline.judge.ladder import Ladder
from mlbaseline.records import (
    Comparison,
    ContrastLook,
    Estimand,
    Look,
    LookOutcome,
    LookReport,
    Outcome,
    Role,
    StopStatus,
)

RESAMPLING_SEED = 20_260_202
"""A look at the same rows comes to the same every time."""


def look_at(ladder: Ladder, n: int) -> Look:
    """Look at the first n examples of the order, where a look is registered.

    A candidate is settled where all of its contrasts that are looked at are shown (efficacy), or where one of them is
    shown to be below its margin (harm) or is unlikely to be shown by the rest of the test (futility).
    """
    matrix, part = ladder.suite.matrix, ladder.at(n)
    rng = np.random.default_rng(RESAMPLING_SEED)
    planned = plan(ladder.suite, tuple(part.rungs), part.slice_values)
    contrasts: list[ContrastLook] = []
    for role in (Role.PRIMARY, Role.GUARDRAIL) if matrix.stop == "all" else (Role.PRIMARY,):
        rows = [row for row in planned if row.role == role]
        family = Family(part, role, Estimand.CHECKPOINT, rng)
        contrasts += _contrast_looks(part, family.judge_with_statistics(rows), family.level, family.n_sharing(rows))
    names = dict.fromkeys(contrast.candidate for contrast in matrix.primary)
    found = {name: _settled([each.outcome for each in contrasts if each.candidate == name]) for name in names}
    return Look(n, tuple(contrasts), {name: outcome for name, outcome in found.items() if outcome is not None})


def is_settled(ladder: Ladder, look: Look) -> bool:
    """Whether no further example is needed: every candidate is settled, on as many as `gates.min_examples` asks for."""
    enough = ladder.suite.gates.min_examples or 0
    return look.n >= enough and all(contrast.candidate in look.settled for contrast in ladder.suite.matrix.primary)


def report_looks(ladder: Ladder) -> LookReport | None:
    """Derive where the answers end, and every registered look up to there; None where no looks are registered."""
    schedule = ladder.schedule
    if schedule is None or not schedule.sizes or not ladder.suite.matrix.primary:
        return None
    looks = [look_at(ladder, size) for size in schedule.sizes if size <= ladder.n] if ladder.in_order else []
    first = next((look.n for look in looks if is_settled(ladder, look)), None)
    if not ladder.in_order or schedule.look_of(ladder.n) is None:
        status = StopStatus.UNPLANNED
    elif ladder.n == schedule.n:
        status = StopStatus.WHOLE
    else:
        status = StopStatus.SETTLED if is_settled(ladder, looks[-1]) else StopStatus.UNSETTLED
    matrix = ladder.suite.matrix
    whole = matrix.stop == "primary" and bool(matrix.guardrails)
    return LookReport(status, ladder.n, schedule.n, schedule.sizes, tuple(looks), first, whole)


def _contrast_looks(
    ladder: Ladder, judged: Sequence[tuple[Comparison, float]], level: float, sharing: int
) -> Iterator[ContrastLook]:
    schedule = ladder.schedule
    assert schedule is not None
    look = schedule.sizes.index(ladder.n)
    bounds = boundaries(schedule.fractions, 1.0 - (1.0 - level) / sharing)
    for row, statistic in judged:
        z = statistic * sign_of(row.metric)
        yield ContrastLook(
            candidate=row.candidate,
            baseline=row.baseline,
            metric=row.metric,
            where="" if row.slice is None else f"{row.slice} = {row.slice_value}",
            z=z,
            efficacy=bounds.efficacy[look],
            futility=bounds.futility[look],
            outcome=_outcome(row, z, bounds.futility[look]),
        )


def _outcome(row: Comparison, z: float, futility: float) -> LookOutcome:
    if row.outcome is Outcome.PASS:
        return LookOutcome.EFFICACY
    if row.outcome is Outcome.FAIL:
        return LookOutcome.HARM
    return LookOutcome.FUTILITY if not math.isnan(z) and z <= futility else LookOutcome.CONTINUE


def _settled(outcomes: Sequence[LookOutcome]) -> LookOutcome | None:
    """Tell what settles a candidate with these contrasts; None where nothing does."""
    for against in (LookOutcome.HARM, LookOutcome.FUTILITY):
        if against in outcomes:
            return against
    return LookOutcome.EFFICACY if outcomes and set(outcomes) == {LookOutcome.EFFICACY} else None
