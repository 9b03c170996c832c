"""Evaluate one rung after the other, each as a run of its own under the run of the ladder."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from mlbaseline import serving, store
from mlbaseline.engine import hardware
from mlbaseline.engine.judging.scoring import Judging
from mlbaseline.engine.reference import Reference, make_workload
from mlbaseline.engine.rungs import Rung
from mlbaseline.errors import MlbaselineError
from mlbaseline.judge.cost.estimates import Metered, cost_of
from mlbaseline.judge.standing import measure_overall, measure_slices
from mlbaseline.metrics import add_scores
from mlbaseline.records import Scalar, TaskData
from mlbaseline.results import ResultTable
from mlbaseline.suite import Suite
from mlbaseline.workflows.evaluations.answering import tabulate_answers
from mlbaseline.workflows.evaluations.ladder_run import Evaluated, LadderRun, metrics_text

log = logging.getLogger("mlbaseline")


def evaluate_each(
    ladder: LadderRun,
    data: TaskData,
    rungs: Sequence[Rung],
    *,
    judging: Judging,
    fresh: bool,
    before: Sequence[Evaluated] = (),
) -> list[Evaluated]:
    """Make one run for each rung, or reuse the completed run that it would only repeat.

    Args:
        ladder: The run that they belong to.
        data: The examples to answer.
        rungs: In the order in which they are evaluated.
        judging: Scores the answers by the judges of the suite.
        fresh: Evaluate again even where a completed run could be reused.
        before: What was evaluated earlier in the same ladder.

    Returns:
        `before`, and one more for each rung.
    """
    evaluated = list(before)
    completed = [None if fresh else _find_completed(ladder, rung, judging) for rung in rungs]
    for index, (rung, found) in enumerate(zip(rungs, completed, strict=True)):
        where = f"[{index + 1}/{len(rungs)}] {rung.name}{'' if data.split == 'test' else f', {data.split}'}"
        if fresh:
            _forget_answers(rung)
        log.info("%s: %s", where, "evaluating" if found is None else f"reused, run {found.run_id} has its signature")
        later = [
            other
            for other, known in zip(rungs[index + 1 :], completed[index + 1 :], strict=True)
            if known is None and other.baseline == rung.baseline
        ]
        done = found or _evaluate_rung(ladder, data, rung, later=later, judging=judging)
        evaluated.append(replace(done, split=data.split))
        log.info("%s: %s", where, metrics_text(evaluated[-1].metrics))
        # After each rung: what an interrupted ladder has done is found under it.
        ladder.log(evaluated)
    return evaluated


def _find_completed(ladder: LadderRun, rung: Rung, judging: Judging) -> Evaluated | None:
    signature = rung.signature.digest
    found = store.find_completed(ladder.tracker, baseline=rung.baseline, seed=rung.seed, signature_digest=signature)
    if found is None or any(found.params.get(name) != value for name, value in judging.facts(rung.baseline).items()):
        return None
    shown: dict[str, float] = {name: found.metrics[name] for name in ladder.suite.metrics if name in found.metrics}
    return Evaluated(rung.baseline, rung.seed, found.run_id, True, shown)


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


def _evaluate_rung(
    ladder: LadderRun, data: TaskData, rung: Rung, *, later: Sequence[Rung], judging: Judging
) -> Evaluated:
    """Evaluate a rung in a run of its own. later: rungs of the same baseline that are evaluated next."""
    if rung.open is None:
        return _record_published(ladder, rung)
    suite = ladder.suite
    device = str(rung.signature.fields.get("engine.device", "cpu"))
    machine = _describe_hardware(rung, device)
    params = {**_about(suite, rung), **rung.params, **machine, **_prices(suite), **judging.facts(rung.baseline)}
    opening = store.open_evaluation(
        ladder.tracker,
        suite,
        baseline=rung.baseline,
        seed=rung.seed,
        signature=rung.signature,
        data=data,
        params=params,
        parent=ladder.run_id,
    )
    with opening as run:
        _prepare(rung, later)
        opened = rung.open()
        computes = not rung.external_device and rung.kind not in ("trivial", "human")
        reference = Reference(make_workload(device)) if computes else None
        # From here on, so that the memory is that of answering, whether the training was done now or found done.
        with hardware.measure_peak_memory(device) as peak:
            answers = opened.model.answer(data.examples)
            if reference is not None:
                answers = reference.beside(answers)
            table = tabulate_answers(suite, data, rung, answers)
        table, judged = judging.score(add_scores(table, suite.task.labels, suite.metrics), data)
        found = measure_overall(table, suite)
        metered = Metered(
            table,
            machine,
            train_s=opened.trained.train_s if opened.trained else None,
            trainable_params=opened.trained.trainable_params if opened.trained else None,
            peak_memory_bytes=None if rung.external_device or rung.kind == "human" else peak.bytes,  # people have none
        )
        _warn_about_rows(rung, table)
        with TemporaryDirectory() as staging:
            figures = store.EvaluationFigures(
                found,
                measure_slices(table, suite),
                cost_of(suite, [metered]),
                others={**(opened.figures or {}), **judged, **(reference.figures() if reference else {})},
                facts={name: value for name, value in params.items() if name.startswith(store.FACTS)},
            )
            is_ours = opened.weights is not None or opened.shots is not None
            logged = (
                serving.package_model(Path(staging), suite, table, opened.weights, opened.shots or ())
                if is_ours
                else None
            )
            model = store.EvaluatedModel(opened.weights, opened.trained, logged)
            store.log_evaluation(run, table, suite=suite, data=data, figures=figures, model=model)
    if not table.n_unanswered:
        _forget_answers(rung)  # the run has them now
    return Evaluated(rung.baseline, rung.seed, run.run_id, False, found)


def _forget_answers(rung: Rung) -> None:
    """Delete the answers of an interrupted evaluation, so that every example is answered anew."""
    if rung.answer_journal is not None:
        rung.answer_journal.unlink(missing_ok=True)


def _record_published(ladder: LadderRun, rung: Rung) -> Evaluated:
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
