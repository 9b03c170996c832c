"""Which examples of a test were answered by everybody: what is compared when answers stop at a look."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from mlbaseline.errors import IncomparableError
from mlbaseline.records import LookSchedule
from mlbaseline.results import CompletedEvaluation
from mlbaseline.suite import Suite

Rungs = Mapping[str, tuple[CompletedEvaluation, ...]]
"""Baseline ─▶ its evaluations, one for each seed."""


@dataclass(frozen=True)
class AnsweredByAll:
    """Rungs on the examples that every registered rung has answered.

    Attributes:
        rungs: With the rows of these examples and no others.
        n: Number of these examples.
        in_order: Whether each registered rung has answered the first examples of the schedule's order, and no others.
        left_out: Rungs of no registered contrast that lack some of these examples.
    """

    rungs: Rungs
    n: int
    in_order: bool = True
    left_out: tuple[str, ...] = ()


def find_answered(suite: Suite, rungs: Rungs, schedule: LookSchedule) -> AnsweredByAll:
    """Find the examples that every registered rung has answered, and cut all rungs to them.

    Raises:
        IncomparableError: A table lacks examples and the suite registers no looks, or the tables have too few examples
            in common.
    """
    tables = [evaluation.table for rung in rungs.values() for evaluation in rung]
    if all(len(table.frame) == schedule.n for table in tables):
        return AnsweredByAll(rungs, schedule.n)
    if not schedule.sizes:
        short = next(table for table in tables if len(table.frame) != schedule.n)
        raise IncomparableError(
            f"{short.name} has answers to {len(short.frame):,} of {schedule.n:,} examples of the test. A part of the "
            "test counts only where `matrix.looks` is registered: evaluate again, which answers the rest."
        )
    registered = {name: rung for name, rung in rungs.items() if name in suite.matrix.registered_rungs} or rungs
    ids = {e.run_id: frozenset(e.table.frame["example_id"]) for rung in rungs.values() for e in rung}
    of_registered = [ids[e.run_id] for rung in registered.values() for e in rung]
    common = frozenset.intersection(*of_registered)
    if len(common) < 2:
        raise IncomparableError(
            f"{suite.name}: the registered rungs have {len(common)} answered examples in common, two are the least. "
            "Evaluate again, which answers the rest."
        )
    left_out = [name for name, rung in rungs.items() if not all(common <= ids[e.run_id] for e in rung)]
    kept = {name: tuple(cut(e, common) for e in rung) for name, rung in rungs.items() if name not in left_out}
    return AnsweredByAll(kept, len(common), all(map(schedule.follows, of_registered)), tuple(left_out))


def cut(evaluation: CompletedEvaluation, ids: Collection[str]) -> CompletedEvaluation:
    """Keep the rows of some examples."""
    frame = evaluation.table.frame
    kept = np.fromiter((name in ids for name in frame["example_id"].to_numpy()), dtype=bool, count=len(frame))
    if kept.all():
        return evaluation
    return replace(evaluation, table=replace(evaluation.table, frame=frame[kept].reset_index(drop=True)))
