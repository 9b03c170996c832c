"""The interface of what carries out evaluations, and this machine as one of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mlbaseline.engine.judging.scoring import Judging
from mlbaseline.engine.rungs import Rung, RungContext, build_rungs
from mlbaseline.progress import RungState, tell
from mlbaseline.workflows.evaluations.evaluation_result import Evaluated
from mlbaseline.workflows.evaluations.ladder_run import LadderRun
from mlbaseline.workflows.evaluations.one_by_one import evaluate_each

log = logging.getLogger("mlbaseline")


@dataclass(frozen=True)
class SplitEvaluation:
    """The evaluation of rungs on one split.

    Attributes:
        ladder: The run that the evaluations belong to.
        context: The suite, its data, and which split is answered.
        judging: Scores the answers by the judges of the suite.
    """

    ladder: LadderRun
    context: RungContext
    judging: Judging


class Executor(Protocol):
    """Carries out evaluations. Which one does changes neither a score nor what stands on the tracking server."""

    @property
    def processes(self) -> int:
        """Number of processes of this machine that answer together."""
        ...

    def evaluate(self, split: SplitEvaluation, seeds: Mapping[str, Sequence[int]]) -> Iterator[Evaluated]:
        """Evaluate baselines, or reuse the completed runs that they would only repeat.

        Args:
            split: What the evaluations have in common.
            seeds: Baseline ─▶ its seeds.

        Yields:
            One for each baseline and seed, as they complete.
        """
        ...


@dataclass(frozen=True)
class LocalExecutor:
    """Evaluates one rung after the other on this machine.

    Attributes:
        processes: Number of processes that answer together, each with a copy of the model.
    """

    processes: int = 1

    def evaluate(self, split: SplitEvaluation, seeds: Mapping[str, Sequence[int]]) -> Iterator[Evaluated]:
        """Evaluate baselines, in their order. See `Executor`."""
        context = split.context
        rungs = make_rungs(context, seeds)
        return evaluate_each(split.ladder, context.data, rungs, judging=split.judging, fresh=context.fresh)


def tell_left_out(name: str) -> None:
    """Tell the log and the display that an optional baseline is left out."""
    log.info("%s: left out, there is no such model in production yet", name)
    tell(name, None, RungState.LEFT_OUT)


def make_rungs(context: RungContext, seeds: Mapping[str, Sequence[int]]) -> list[Rung]:
    """Make the rungs of baselines; an optional one that does not exist yet is left out.

    Args:
        context: The suite and its data.
        seeds: Baseline ─▶ its seeds. Raises as `build_rungs`.
    """
    rungs: list[Rung] = []
    for name, of_baseline in seeds.items():
        if of_baseline:
            built = build_rungs(context, name, of_baseline)
            if not built:
                tell_left_out(name)
            rungs += built
    return rungs
