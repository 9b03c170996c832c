"""The run of a ladder: what it covers, what has been evaluated, and its note in MLflow."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property

from mlbaseline import store
from mlbaseline.errors import SuiteError
from mlbaseline.progress import RungState, tell
from mlbaseline.suggestions import unknown_name
from mlbaseline.suite import KINDS, Suite
from mlbaseline.tasks import LoadedTask, load_task
from mlbaseline.workflows.asset_fetcher import make_fetcher
from mlbaseline.workflows.evaluations.evaluation_result import Evaluated
from mlbaseline.workflows.health.leftovers import clear_leftovers

log = logging.getLogger("mlbaseline")
_NOTED = 40
"""Runs in the note of a ladder: MLflow keeps a few thousand characters."""


@dataclass(frozen=True)
class LadderRun:
    """The parent run of rungs of a suite that are evaluated together."""

    suite: Suite
    run: store.Run

    @cached_property
    def task(self) -> LoadedTask:
        """The suite's data, loaded once for the evaluations and for their comparison.

        Raises:
            AssetError: A file cannot be had.
            DataError: A file does not hold what the suite needs.
        """
        return load_task(self.suite, make_fetcher(self.suite, self.tracker))

    @property
    def tracker(self) -> store.Tracker:
        return self.run.tracker

    @property
    def run_id(self) -> str:
        return self.run.run_id

    def collect(self, evaluations: Iterable[Evaluated], before: Sequence[Evaluated] = ()) -> list[Evaluated]:
        """Note each evaluation as it completes: what an interrupted ladder has done is found under it.

        Args:
            evaluations: Of its rungs.
            before: What it has noted already.

        Returns:
            `before`, and then the evaluations.
        """
        evaluated = list(before)
        for each in evaluations:
            evaluated.append(each)
            self.log(evaluated)
        return evaluated

    def log(self, evaluated: Sequence[Evaluated], verdict: str = "") -> None:
        """Note and show which evaluations the ladder stands on. verdict: a sentence that goes first in its note."""
        for rung in evaluated:
            if rung.split == "test":
                state = RungState.REUSED if rung.reused else RungState.DONE
                tell(rung.baseline, rung.seed, state, rung.metrics.get(self.suite.metrics[0]))
        store.log_ladder(self.run, [rung.run_id for rung in evaluated], self._note(evaluated, verdict))

    def _note(self, evaluated: Sequence[Evaluated], verdict: str) -> str:
        """Write in Markdown what every rung came to, with links to the runs."""
        names = self.suite.metrics[:4]
        lines = [
            f"| rung | seed | {' | '.join(names)} | |",
            "| --- | --- |" + " --- |" * (len(names) + 1),
        ]
        for rung in evaluated[:_NOTED]:
            link = f"[{rung.baseline}](#/experiments/{self.tracker.experiment_id}/runs/{rung.run_id})"
            values = (f"{rung.metrics[name]:.3f}" if name in rung.metrics else "" for name in names)
            seed = "" if rung.seed is None else rung.seed
            lines.append(f"| {link} | {seed} | {' | '.join(values)} | {'reused' if rung.reused else ''} |")
        more = [f"… and {len(evaluated) - _NOTED} more runs."] if len(evaluated) > _NOTED else []
        return "\n".join([*([verdict, ""] if verdict else []), *lines, "", *more, "", _about_ladder(self.suite)])


@contextmanager
def open_ladder(tracker: store.Tracker, suite: Suite) -> Iterator[LadderRun]:
    """Open the parent run of what is evaluated together, after what a killed process left open has been ended."""
    clear_leftovers(tracker, suite)
    name, tags = f"{suite.name} ladder", store.suite_tags(suite)
    with store.open_run(tracker, "ladder", name=name, tags=tags, note=_about_ladder(suite)) as run:
        yield LadderRun(suite, run)


def showing_evaluations(suite: Suite, names: Sequence[str], seeds: Sequence[int]) -> AbstractContextManager[None]:
    """Show the ladder in the terminal while a block evaluates these baselines with these seeds."""
    from mlbaseline.progress.live_ladder import showing_ladder  # imports rich, which no other command needs at once

    plan = {name: seeds if suite.is_random(name) else (None,) for name in names}
    return showing_ladder(f"{suite.name}, {suite.metrics[0]}", plan)


def _about_ladder(suite: Suite) -> str:
    return (
        f"The baseline ladder of the suite **{suite.name}**: each run in it is one baseline with one seed. To read it "
        "from bottom to top, sort its runs by the parameter `about.position`.\n\n"
        f"Suite digest `{suite.digest[:12]}`, rules of the decision `{suite.matrix_digest[:12]}`."
    )


def choose_baselines(suite: Suite, kind: str | None, names: Sequence[str]) -> tuple[str, ...]:
    if kind is not None and kind not in KINDS:
        raise SuiteError("--kind", [unknown_name("kind", kind, KINDS, "there are")])
    unknown = [name for name in names if name not in suite.baselines]
    if unknown:
        has = f"{suite.name} has"
        raise SuiteError("--baseline", [unknown_name("baseline", name, suite.baselines, has) for name in unknown])
    chosen = tuple(name for name in suite.of_kind(kind) if not names or name in names)
    if not chosen:
        raise SuiteError(suite.name, [f"no baseline of kind {kind} among {', '.join(names or suite.baselines)}"])
    return chosen


def choose_seeds(suite: Suite, seeds: Sequence[int]) -> tuple[int, ...]:
    unknown = [seed for seed in seeds if seed not in suite.seeds]
    if unknown:
        # Seeds are registered beforehand: an extra one would be a second draw.
        raise SuiteError("--seed", [f"{seed} is not among the suite's seeds {list(suite.seeds)}" for seed in unknown])
    return tuple(seed for seed in suite.seeds if not seeds or seed in seeds)
