"""The rungs of a suite with their completed evaluations, checked to be comparable: what every judgement is about."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mlbaseline.errors import DataError
from mlbaseline.judge.answered import AnsweredByAll, Rungs, cut, find_answered
from mlbaseline.judge.comparability import require_comparable, require_same_reference, software_warnings
from mlbaseline.judge.contrasts.chosen_checkpoint import ChosenCheckpoint, choose_checkpoint
from mlbaseline.metrics import metric_of
from mlbaseline.metrics.labels import Labels
from mlbaseline.records import Estimand, LookSchedule, Mismatch, Scalar
from mlbaseline.results import SLICE, CompletedEvaluation, ResultTable
from mlbaseline.stats.sequential import rate_of_look
from mlbaseline.suite import Suite


@dataclass(frozen=True)
class Ladder:
    """rungs: in the order of the suite, their seeds ascending. checkpoints: the one that stands for each rung.

    warnings: differences between the runs that do not forbid a comparison. dev: rung ─▶ its chosen checkpoint's answers
    to the dev split, where those were asked for. left_aside: rung of the matrix whose runs are all of another suite ─▶
    how they differ; such a rung is not among `rungs`. labels: judged metric ─▶ what people said.

    Where answers stop at a look, rungs and checkpoints have the examples that every registered rung has. whole: the
    rungs with all that they answered. schedule: the order of the test and its registered looks; None where nothing is
    known of either. in_order: whether the answers are the first in that order. left_out: rungs of no registered
    contrast that lack some of the examples. earlier_looks: at smaller versions of the test.
    """

    suite: Suite
    rungs: Rungs
    checkpoints: Mapping[str, ChosenCheckpoint]
    warnings: tuple[Mismatch, ...]
    dev: Mapping[str, ResultTable] = field(default_factory=dict)
    left_aside: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, Labels] = field(default_factory=dict)
    whole: Rungs = field(default_factory=dict)
    schedule: LookSchedule | None = None
    in_order: bool = True
    left_out: tuple[str, ...] = ()
    earlier_looks: int = 0

    @property
    def n(self) -> int:
        """Number of examples that are compared."""
        return len(next(iter(self.rungs.values()))[0].table.frame)

    @property
    def level(self) -> float:
        """The level of registered intervals: the suite's, unless the test has grown since it was looked at first."""
        matrix = self.suite.matrix
        look = self.earlier_looks + 1
        if look == 1 and not matrix.may_grow:
            return matrix.level
        return 1.0 - rate_of_look(1.0 - matrix.level, look, from_first=matrix.may_grow)

    def at(self, n: int) -> Ladder:
        """Give the same ladder when the first n examples of the order were answered."""
        assert self.schedule is not None
        ids = self.schedule.first(n)
        rungs = {name: tuple(cut(evaluation, ids) for evaluation in rung) for name, rung in self.rungs.items()}
        cut_runs = {evaluation.run_id: evaluation for rung in rungs.values() for evaluation in rung}
        checkpoints = {
            name: replace(chosen, evaluation=cut_runs[chosen.evaluation.run_id])
            for name, chosen in self.checkpoints.items()
        }
        return replace(self, rungs=rungs, checkpoints=checkpoints)

    def whole_sides(self, names: tuple[str, str], estimand: Estimand) -> tuple[list[ResultTable], list[ResultTable]]:
        """Give the tables of two rungs on all examples that both have answered, in or beyond the look."""
        chosen = {name: self.checkpoints[name].evaluation.run_id for name in names}
        sides = [
            [
                e
                for e in self.whole.get(name, self.rungs[name])
                if estimand == Estimand.RECIPE or e.run_id == chosen[name]
            ]
            for name in names
        ]
        ids = [frozenset(e.table.frame["example_id"]) for side in sides for e in side]
        common = frozenset.intersection(*ids)
        first, second = ([cut(e, common).table for e in side] for side in sides)
        return first, second

    def tables(self, name: str, estimand: Estimand) -> list[ResultTable]:
        """Give the tables of a rung: the chosen checkpoint's, or for a recipe those of all its seeds."""
        if estimand == Estimand.CHECKPOINT:
            return [self.checkpoints[name].evaluation.table]
        return [evaluation.table for evaluation in self.rungs[name]]

    @property
    def slice_values(self) -> dict[str, tuple[str, ...]]:
        """Slice ─▶ its values in the whole test, sorted."""
        if self.schedule is not None and self.schedule.sizes:
            return {name: self.schedule.slice_values.get(name, ()) for name in self.suite.task.slices}
        frame = next(iter(self.rungs.values()))[0].table.frame
        return {name: tuple(sorted(frame[SLICE + name].unique())) for name in self.suite.task.slices}


def build_ladder(
    suite: Suite,
    evaluations: Sequence[CompletedEvaluation],
    dev: Sequence[CompletedEvaluation] = (),
    *,
    absent: Collection[str] = (),
    left_aside: Mapping[str, str] | None = None,
    labels: Mapping[str, Labels] | None = None,
    schedule: LookSchedule | None = None,
    earlier_looks: int = 0,
) -> Ladder:
    """Arrange evaluations by rung, check that they may be compared, and choose the checkpoint of each rung.

    Args:
        suite: The suite that they are of.
        evaluations: Completed runs on test, in any order, one for each baseline and seed.
        dev: Completed runs on dev.
        absent: Optional baselines known not to exist yet, whose contrasts are then left out.
        left_aside: Rung whose runs do not count ─▶ why. A comparison without it holds.
        labels: Judged metric ─▶ what people said.
        schedule: Order of the test and its registered looks.
        earlier_looks: At smaller versions of the test.

    Returns:
        The ladder, its rungs in the order of the suite.

    Raises:
        IncomparableError: Two runs may not be compared, see `require_comparable` and `find_answered`.
        DataError: A rung of the matrix has no evaluation.
    """
    by_seed = sorted(evaluations, key=lambda evaluation: evaluation.table.seed or 0)
    found = {name: tuple(e for e in by_seed if e.table.baseline == name) for name in suite.baselines}
    rungs = {name: rung for name, rung in found.items() if rung}
    missing = {name: why for name, why in (left_aside or {}).items() if name not in rungs}
    _require_matrix(suite, rungs, (*absent, *missing))
    answered = AnsweredByAll(rungs, 0) if schedule is None else find_answered(suite, rungs, schedule)
    whole, rungs = (rungs if answered.rungs is not rungs else {}), dict(answered.rungs)
    everything = [evaluation for rung in rungs.values() for evaluation in rung]
    warnings = (*require_comparable([e.table for e in everything]), *software_warnings(everything))
    require_same_reference(suite, everything)
    checkpoints = {name: _checkpoint(suite, name, rung) for name, rung in rungs.items()}
    return Ladder(
        suite,
        rungs,
        checkpoints,
        warnings,
        _on_dev(checkpoints, [e.table for e in dev]),
        missing,
        labels or {},
        whole,
        schedule,
        answered.in_order,
        answered.left_out,
        earlier_looks,
    )


def _on_dev(checkpoints: Mapping[str, ChosenCheckpoint], tables: Sequence[ResultTable]) -> dict[str, ResultTable]:
    """Select what the chosen checkpoints answered on dev: other weights or another prompt would be another model.

    Raises IncomparableError where these are not all of the same dev split.
    """

    def nature(table: ResultTable) -> dict[str, Scalar]:
        return {name: value for name, value in table.signature.fields.items() if not name.startswith("data.")}

    chosen = {name: checkpoint.evaluation.table for name, checkpoint in checkpoints.items()}
    found = {t.baseline: t for t in tables if t.baseline in chosen and nature(t) == nature(chosen[t.baseline])}
    require_comparable(list(found.values()))
    return found


def _require_matrix(suite: Suite, rungs: Mapping[str, Sequence[CompletedEvaluation]], absent: Collection[str]) -> None:
    if not rungs:
        raise DataError(f"{suite.name}: no completed evaluation was found. Run `mlbaseline evaluate` first.")
    contrasts = (*suite.matrix.primary, *suite.matrix.guardrails)
    needed = {name for contrast in contrasts for name in (contrast.candidate, *contrast.over)}
    missing = [name for name in suite.baselines if name in needed and name not in rungs and name not in absent]
    if missing:
        raise DataError(
            f"{suite.name}: the matrix compares {', '.join(missing)}, but no completed evaluation of "
            f"{'it' if len(missing) == 1 else 'them'} was found. Run `mlbaseline evaluate` for what is missing first."
        )


def _checkpoint(suite: Suite, name: str, rung: Sequence[CompletedEvaluation]) -> ChosenCheckpoint:
    """By the metric that the rung is a candidate for; by the suite's first for all others."""
    metric = next((c.metric for c in suite.matrix.primary if c.candidate == name), suite.metrics[0])
    return choose_checkpoint(rung, metric, higher_is_better=metric_of(metric).higher_is_better)
