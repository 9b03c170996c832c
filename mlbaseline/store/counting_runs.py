"""Which completed evaluations count in a comparison: the newest of each baseline and seed that the suite would make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlbaseline.records import seed_text
from mlbaseline.store.runs import EvaluationRun
from mlbaseline.suite import Split, Suite


@dataclass(frozen=True)
class LeftAside:
    """A completed run that does not count, and why."""

    baseline: str
    seed: int | None
    run_id: str
    reason: str

    def __str__(self) -> str:
        seed = "" if self.seed is None else f", seed {seed_text(self.seed)}"
        return f"{self.baseline}{seed} (run {self.run_id}): {self.reason}"


@dataclass(frozen=True)
class CountingRuns:
    """runs: those that count, one for each baseline and seed. left_aside: newer ones that do not, newest first."""

    runs: tuple[EvaluationRun, ...]
    left_aside: tuple[LeftAside, ...]

    @property
    def with_rows(self) -> tuple[EvaluationRun, ...]:
        """Without published scores."""
        return tuple(run for run in self.runs if run.examples_sha256 is not None)

    @property
    def published(self) -> tuple[EvaluationRun, ...]:
        """Published scores alone."""
        return tuple(run for run in self.runs if run.examples_sha256 is None)


def counting_runs(
    suite: Suite,
    evaluations: Sequence[EvaluationRun],
    why_not: Callable[[EvaluationRun], str | None],
    *,
    split: Split = "test",
) -> CountingRuns:
    """Choose the newest run of each baseline and seed of the suite that the present suite would make.

    Args:
        suite: The suite as it is now.
        evaluations: completed ones, newest first.
        why_not: says why a run is not one that the suite would make; None where it is.
        split: that was answered. Published scores, which are of none, go with `test`.
    """
    if split == "dev":
        evaluations = [run for run in evaluations if run.split == "dev"] if suite.evaluation.answer_dev else []
    else:
        evaluations = [run for run in evaluations if run.split != "dev"]
    chosen: dict[tuple[str, int | None], EvaluationRun] = {}
    left_aside: list[LeftAside] = []
    for run in evaluations:
        key = run.baseline, run.seed
        if key in chosen or run.baseline not in suite.baselines or run.seed not in (None, *suite.seeds):
            continue
        reason = why_not(run)
        if reason is None:
            chosen[key] = run
        else:
            left_aside.append(LeftAside(run.baseline, run.seed, run.run_id, reason))
    return CountingRuns(tuple(chosen.values()), tuple(left_aside))
