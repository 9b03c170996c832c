"""One rung on its way from its signature to its completed run, in one go or in several."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mlbaseline import serving, store
from mlbaseline.engine import hardware
from mlbaseline.engine.judging.scoring import Figures, Judging
from mlbaseline.engine.reference import Reference, make_workload
from mlbaseline.engine.rungs import OpenedRung, Rung
from mlbaseline.errors import MlbaselineError
from mlbaseline.judge.contrasts.chosen_checkpoint import DEV
from mlbaseline.judge.cost.estimates import cost_of
from mlbaseline.judge.cost.metered import MeteredEvaluation
from mlbaseline.judge.standing import measure_overall, measure_slices
from mlbaseline.metrics import add_scores
from mlbaseline.progress import working_on
from mlbaseline.records import Answer, Example, Scalar, TaskData, select
from mlbaseline.results import CompletedEvaluation, ResultTable
from mlbaseline.suite import Suite
from mlbaseline.workflows.evaluations.answering import tabulate_answers
from mlbaseline.workflows.evaluations.evaluation_result import Evaluated
from mlbaseline.workflows.evaluations.ladder_run import LadderRun

log = logging.getLogger("mlbaseline")


class RungEvaluation:
    """A rung that answers some examples of a split, then perhaps more, and then completes its run.

    Answers of an earlier run with the same signature are kept. Nothing is opened before the first answer that is
    missing: not the run, which carries all that is known before the first score, and not the model.
    """

    def __init__(
        self,
        ladder: LadderRun,
        data: TaskData,
        rung: Rung,
        *,
        judging: Judging,
        earlier: CompletedEvaluation | None = None,
        later: Sequence[Rung] = (),
    ) -> None:
        """Prepare, and open nothing.

        Args:
            ladder: The run that its own belongs to.
            data: The split that it answers.
            rung: What is evaluated.
            judging: Scores the answers by the judges of the suite, when all of them are there.
            earlier: The run whose answers are kept.
            later: Rungs of the same baseline that are evaluated next, and may share a part of their training with it.
        """
        assert rung.open is not None  # a published score has no answers
        self.rung, self._ladder, self._data, self._judging = rung, ladder, data, judging
        self._earlier, self._later = earlier, later
        self._load = rung.open
        self._table = earlier.table.without_unanswered() if earlier else None
        self.device = str(rung.signature.fields.get("engine.device", "cpu"))
        self._run: store.Run | None = None
        self.life = ExitStack()  # ends the run where a block that holds it ends with an error
        self._opened: OpenedRung | None = None
        self._facts: OpenedRung | None = None
        self._peak_bytes: int | None = None
        self._reference: Reference | None = None
        self.footprint_bytes = 0

    @property
    def n_answered(self) -> int:
        """Number of examples that have an answer."""
        return 0 if self._table is None else len(self._table.frame)

    def answer(self, wanted: Collection[str] | None = None, *, beside_bytes: int = 0) -> None:
        """Answer those examples that have no answer yet.

        Args:
            wanted: Ids of the examples; None for all of the split.
            beside_bytes: Memory that the models of other rungs hold, which is not this one's.
        """
        known = frozenset() if self._table is None else frozenset(self._table.frame["example_id"])
        missing = self._data.examples
        if known or wanted is not None:
            is_missing = [e.id not in known and (wanted is None or e.id in wanted) for e in missing]
            missing = select(missing, np.flatnonzero(is_missing))
        if missing:
            with working_on(self.rung.baseline, self.rung.seed):
                part = self._answer(missing, beside_bytes)
            self._table = part if self._table is None else self._table.joined(part)

    def _answer(self, examples: Sequence[Example], beside_bytes: int) -> ResultTable:
        suite, rung = self._ladder.suite, self.rung
        self._start()
        before = hardware.memory_in_use(self.device)
        opened = self._open()
        computes = not rung.external_device and rung.kind not in ("trivial", "human")
        if computes and self._reference is None:
            self._reference = Reference(make_workload(self.device))
        # From here on, so that the memory is that of answering, whether the training was done now or found done.
        with hardware.measure_peak_memory(self.device) as peak:
            answers = opened.model.answer(examples)
            if self._reference is not None:
                answers = self._reference.beside(answers)
            table = tabulate_answers(suite, replace(self._data, examples=examples), rung, answers)
        if self._peak_bytes is None:  # later looks have more models beside them
            self._peak_bytes = max(0, peak.bytes - beside_bytes)
        self.footprint_bytes = max(self.footprint_bytes, hardware.memory_in_use(self.device) - before)
        return add_scores(table, suite.task.labels, suite.metrics)

    def _start(self) -> None:
        """Open the run, and train, together with the seeds that come next."""
        if self._run is not None:
            return
        ladder, rung = self._ladder, self.rung
        opening = store.open_evaluation(
            ladder.tracker,
            ladder.suite,
            baseline=rung.baseline,
            seed=rung.seed,
            signature=rung.signature,
            data=self._data,
            params=self._params,
            parent=ladder.run_id,
        )
        self._run = self.life.enter_context(opening)
        _prepare(rung, self._later)
        if rung.train_by_program is not None:
            rung.train_by_program(partial(store.open_program_run, self._run, ladder.suite, rung.baseline))

    def _open(self) -> OpenedRung:
        if self._opened is None:
            self._opened = self._load()
            # What the run says of it, without its model. The first opening: a later one times nothing anew.
            self._facts = self._facts or replace(self._opened, model=_NoModel())
        return self._opened

    def release(self) -> None:
        """Drop the model; the next answer loads it again."""
        self._opened = None

    def so_far(self) -> CompletedEvaluation:
        """Return what has been answered, as it would be read back from the run."""
        assert self._table is not None
        measured: dict[str, float] = dict(self._earlier.measured) if self._earlier else {}
        if self._facts is not None and self._facts.trained is not None:
            measured = {f"{DEV}{name}": float(value) for name, value in self._facts.trained.dev.items()}
        return CompletedEvaluation(f"{self.rung.baseline} {self.rung.seed}", self._table, measured)

    def finish(self) -> Evaluated:
        """Write the results and complete the run; the earlier run where it had all answers already."""
        assert self._table is not None
        table, rung, suite = self._table, self.rung, self._ladder.suite
        if self._run is None:
            assert self._earlier is not None
            found = measure_overall(table, suite)
            return Evaluated(rung.baseline, rung.seed, self._earlier.run_id, True, found, self._data.split)
        with working_on(rung.baseline, rung.seed):
            table, judged = self._judging.score(table, self._data)
            found = measure_overall(table, suite)
            self._write(self._run, table, found, judged)
            self.life.close()
        self.release()
        if not table.n_unanswered:
            forget_answers(rung)  # the run has them now
        return Evaluated(rung.baseline, rung.seed, self._run.run_id, False, found, self._data.split)

    def _write(self, run: store.Run, table: ResultTable, found: Mapping[str, float], judged: Figures) -> None:
        suite, rung, opened = self._ladder.suite, self.rung, self._facts
        assert opened is not None
        # People have no memory to measure, and that of another process is not ours to see.
        measures_nothing = rung.external_device or rung.kind == "human" or opened.is_in_other_process
        metered = MeteredEvaluation(
            table,
            self._machine,
            train_s=opened.trained.train_s if opened.trained else None,
            trainable_params=opened.trained.trainable_params if opened.trained else None,
            peak_memory_bytes=None if measures_nothing else self._peak_bytes,
        )
        _warn_about_rows(rung, table)
        with TemporaryDirectory() as staging:
            figures = store.EvaluationFigures(
                found,
                measure_slices(table, suite),
                cost_of(suite, [metered]),
                others={**(opened.figures or {}), **judged, **(self._reference.figures() if self._reference else {})},
                facts={name: value for name, value in self._params.items() if name.startswith(store.FACTS)},
            )
            is_ours = opened.weights is not None or opened.shots is not None
            logged = (
                serving.package_model(Path(staging), suite, table, opened.weights, opened.shots or ())
                if is_ours
                else None
            )
            model = store.EvaluatedModel(opened.weights, opened.trained, logged)
            store.log_evaluation(run, table, suite=suite, data=self._data, figures=figures, model=model)

    @property
    def _machine(self) -> dict[str, Scalar]:
        return _describe_hardware(self.rung, self.device)

    @property
    def _params(self) -> dict[str, Scalar]:
        suite, rung = self._ladder.suite, self.rung
        judged = self._judging.facts(rung.baseline)
        return {**_about(suite, rung), **rung.params, **self._machine, **_prices(suite), **judged}


class _NoModel:
    """Stands for a model that was dropped."""

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Never called."""
        raise NotImplementedError


def forget_answers(rung: Rung) -> None:
    """Delete the answers of an interrupted evaluation, so that every example is answered anew."""
    if rung.answer_journal is not None:
        rung.answer_journal.unlink(missing_ok=True)


def record_published(ladder: LadderRun, rung: Rung) -> Evaluated:
    """Write the run of a published score, which answers nothing."""
    metric, value = rung.params["published.metric"], rung.params["published.value"]
    found = {str(metric): float(str(value))}
    opening = store.open_evaluation(
        ladder.tracker,
        ladder.suite,
        baseline=rung.baseline,
        seed=None,
        signature=rung.signature,
        data=None,
        params={**_about(ladder.suite, rung), **rung.params},
        parent=ladder.run_id,
    )
    with opening as run:
        store.log_published(run, rung.signature, found)
    return Evaluated(rung.baseline, None, run.run_id, False, found)


def _about(suite: Suite, rung: Rung) -> dict[str, Scalar]:
    """Where a run stands in the ladder, under the names that MLflow's lists and charts put first."""
    names = list(suite.baselines)
    position = str(names.index(rung.baseline) + 1).zfill(len(str(len(names))))
    return {"about.baseline": rung.baseline, "about.position": position, "about.seed": rung.seed}


def _describe_hardware(rung: Rung, device: str) -> dict[str, Scalar]:
    return {"hardware.device": rung.external_device} if rung.external_device else hardware.describe_hardware(device)


def _prices(suite: Suite) -> dict[str, Scalar]:
    """List what the run's cost is computed with: another price list or another number of queries gives another cost."""
    return {
        "cost.usd_per_hour": json.dumps(suite.cost.usd_per_hour, sort_keys=True),
        "cost.queries": suite.cost.queries,
    }


def _prepare(rung: Rung, later: Sequence[Rung]) -> None:
    """Train the seeds of a baseline one after the other.

    One that fails does so again when its turn comes, after those before it have answered.
    """
    for each in (rung, *later):
        try:
            if each.prepare is not None:
                each.prepare()
        except MlbaselineError:
            if each is rung:
                raise
            return


def _warn_about_rows(rung: Rung, table: ResultTable) -> None:
    n = len(table.frame)
    errors, truncated = int(table.frame["error"].notna().sum()), int(table.frame["truncated"].sum())
    if errors:
        log.warning("%s: %d of %d examples failed; they stay in every denominator", rung.name, errors, n)
    if table.n_unanswered:
        log.warning(
            "%s: %d of them were not answered; evaluating again asks for these and no others",
            rung.name,
            table.n_unanswered,
        )
    if truncated:
        log.warning("%s: %d of %d prompts exceed max_length and lost tokens from their left", rung.name, truncated, n)
