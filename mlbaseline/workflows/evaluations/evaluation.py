"""Evaluate rungs of a suite, each as a run; what is completed already is reused."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from mlbaseline import assets, serving, store
from mlbaseline.engine import hardware
from mlbaseline.engine.rungs import Rung, RungContext, build_rungs
from mlbaseline.errors import MlbaselineError
from mlbaseline.judge.cost.estimates import Metered, cost_of
from mlbaseline.judge.standing import measure_overall, measure_slices
from mlbaseline.metrics import add_scores
from mlbaseline.records import Scalar, TaskData
from mlbaseline.results import ResultTable, tabulate
from mlbaseline.suite import Recorded, Suite
from mlbaseline.tasks import Fetch, LoadedTask, kind_of_suite, load_task, open_suite
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.ladder_run import (
    Evaluated,
    choose_baselines,
    choose_seeds,
    evaluations_text,
    ladder_note,
    metrics_text,
    open_ladder,
)

log = logging.getLogger("mlbaseline")


def evaluate(
    suite: str | Path,
    *,
    kind: str | None = None,
    baselines: Sequence[str] = (),
    seeds: Sequence[int] = (),
    fresh: bool = False,
    processes: int = 1,
    tracking_uri: str | None = None,
) -> CommandResult:
    """Evaluate baselines on `test`, once per seed, and reuse completed runs that have the same signature.

    Args:
        suite: Path of a suite file, or the name of a packaged suite.
        kind: Only baselines of this kind, such as `trivial` or `peft`.
        baselines: Only these baselines. By default all.
        seeds: Only these of the suite's seeds. By default all.
        fresh: Evaluate again even where a completed run could be reused.
        processes: Number of processes that answer together, each with a copy of the model. It changes no score.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document has `ladder_run_id` and `evaluations`, one for each run: baseline, seed, run_id, metrics, and
        whether it was `reused`.

    Raises:
        SuiteError: The suite file is not valid, or has no such baseline, kind or seed.
        DataError: The data is not what the suite says.
        AssetError: A model or a data file cannot be fetched, or has another checksum.

    Example:
        >>> import mlbaseline
        >>> outcome = mlbaseline.evaluate("suite.yaml", kind="trivial")
        >>> for evaluation in outcome.document["evaluations"]:
        ...     print(evaluation["baseline"], round(evaluation["metrics"]["accuracy"], 2))
        majority 0.51
    """
    loaded = open_suite(suite)
    names = choose_baselines(loaded, kind, baselines)
    chosen_seeds = choose_seeds(loaded, seeds)
    tracker = store.connect(tracking_uri, loaded.name)
    with open_ladder(tracker, loaded) as ladder:
        evaluated = evaluate_rungs(loaded, names, chosen_seeds, tracker, ladder, fresh=fresh, processes=processes)
    document = {"ladder_run_id": ladder.run_id, "evaluations": [asdict(rung) for rung in evaluated]}
    return CommandResult(document, lambda *_: evaluations_text(evaluated))


def evaluate_rungs(
    suite: Suite,
    names: Sequence[str],
    seeds: Sequence[int],
    tracker: store.Tracker,
    ladder: store.Run,
    *,
    fresh: bool,
    processes: int = 1,
) -> list[Evaluated]:
    fetch = make_fetcher(suite, tracker)
    task = load_task(suite, fetch)
    _tell_data(suite, task)
    _warn_of_other_tasks(suite, task, tracker)

    context = RungContext(
        suite,
        task,
        fetch,
        find_registered=lambda uri: serving.find_registered(tracker, uri),
        fresh=fresh,
        processes=processes,
    )
    rungs: list[Rung] = []
    for name in names:
        built = build_rungs(context, name, seeds)
        if not built:
            log.info("%s: left out, there is no such model in production yet", name)
        rungs += built
    evaluated = evaluate_each(suite, task.splits["test"], rungs, tracker, ladder, fresh=fresh)
    if suite.evaluation.answer_dev:
        on_dev = replace(context, split="dev")
        rungs = [rung for name in names if _answers_dev(suite, name) for rung in build_rungs(on_dev, name, seeds)]
        evaluated = evaluate_each(suite, task.splits["dev"], rungs, tracker, ladder, fresh=fresh, before=evaluated)
    return evaluated


def _answers_dev(suite: Suite, name: str) -> bool:
    """Whether the rung is a side of a primary contrast and computes its answers: recorded ones are those of test."""
    sides = {side for contrast in suite.matrix.primary for side in (contrast.candidate, *contrast.over)}
    return name in sides and not isinstance(suite.baselines[name], Recorded)


def evaluate_each(
    suite: Suite,
    data: TaskData,
    rungs: Sequence[Rung],
    tracker: store.Tracker,
    ladder: store.Run,
    *,
    fresh: bool,
    before: Sequence[Evaluated] = (),
) -> list[Evaluated]:
    """One run per rung, on the examples of `data`, or the completed run that it would only repeat; after `before`."""
    evaluated = list(before)
    completed = [None if fresh else _find_completed(suite, rung, tracker) for rung in rungs]
    for index, (rung, found) in enumerate(zip(rungs, completed, strict=True)):
        where = f"[{index + 1}/{len(rungs)}] {rung.name}{'' if data.split == 'test' else f', {data.split}'}"
        if fresh:
            _forget(rung)
        log.info("%s: %s", where, "evaluating" if found is None else f"reused, run {found.run_id} has its signature")
        later = [
            other
            for other, known in zip(rungs[index + 1 :], completed[index + 1 :], strict=True)
            if known is None and other.baseline == rung.baseline
        ]
        done = found or _evaluate_rung(suite, data, rung, tracker, ladder, later=later)
        evaluated.append(replace(done, split=data.split))
        log.info("%s: %s", where, metrics_text(evaluated[-1].metrics))
        # After each rung: what an interrupted ladder has done is found under it.
        store.log_ladder(ladder, [rung.run_id for rung in evaluated], ladder_note(suite, ladder, evaluated))
    return evaluated


def _find_completed(suite: Suite, rung: Rung, tracker: store.Tracker) -> Evaluated | None:
    signature = rung.signature.digest
    found = store.find_completed(tracker, baseline=rung.baseline, seed=rung.seed, signature_digest=signature)
    if found is None:
        return None
    shown: dict[str, float] = {name: found.metrics[name] for name in suite.metrics if name in found.metrics}
    return Evaluated(rung.baseline, rung.seed, found.run_id, True, shown)


def _prepare(rung: Rung, later: Sequence[Rung]) -> None:
    """Train the seeds of a baseline one after the other. One that fails does so again when its turn comes, after those
    before it have answered."""
    for each in (rung, *later):
        try:
            if each.prepare is not None:
                each.prepare()
        except MlbaselineError:
            if each is rung:
                raise
            return


def _evaluate_rung(
    suite: Suite, data: TaskData, rung: Rung, tracker: store.Tracker, ladder: store.Run, *, later: Sequence[Rung]
) -> Evaluated:
    """later: rungs of the same baseline that are evaluated next."""
    if rung.open is None:
        return _record_published(suite, rung, tracker, ladder)
    device = str(rung.signature.fields.get("engine.device", "cpu"))
    machine = _describe_hardware(rung, device)
    params = {**_about(suite, rung), **rung.params, **machine, **_prices(suite)}
    opening = store.open_evaluation(
        tracker,
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
        # From here on, so that the memory is that of answering, whether the training was done now or found done.
        with hardware.measure_peak_memory(device) as peak:
            answers = opened.model.answer(data.examples)
            is_raw = not rung.external_device and rung.kind not in ("trivial", "human")
            answers = kind_of_suite(suite).conclude(answers, data.examples, is_raw=is_raw)
            table = tabulate(
                data,
                answers,
                baseline=rung.baseline,
                kind=rung.kind,
                seed=rung.seed,
                signature=rung.signature,
            )
        table = add_scores(table, suite.task.labels, suite.metrics)
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
            is_ours = opened.weights is not None or opened.shots is not None
            store.log_evaluation(
                run,
                table,
                suite=suite,
                data=data,
                metrics=found,
                slices=measure_slices(table, suite),
                cost=cost_of(suite, [metered]),
                weights=opened.weights,
                trained=opened.trained,
                model=serving.package_model(Path(staging), suite, table, opened.weights, opened.shots or ())
                if is_ours
                else None,
                figures=opened.figures,
                facts={name: value for name, value in params.items() if name.startswith(store.FACTS)},
            )
    if not table.n_unanswered:
        _forget(rung)  # the run has them now
    return Evaluated(rung.baseline, rung.seed, run.run_id, False, found)


def _forget(rung: Rung) -> None:
    """Answers that were kept for whoever goes on are asked anew."""
    if rung.answer_journal is not None:
        rung.answer_journal.unlink(missing_ok=True)


def _record_published(suite: Suite, rung: Rung, tracker: store.Tracker, ladder: store.Run) -> Evaluated:
    metric, value = rung.params["published.metric"], rung.params["published.value"]
    found = {str(metric): float(str(value))}
    opening = store.open_evaluation(
        tracker,
        suite,
        baseline=rung.baseline,
        seed=None,
        signature=rung.signature,
        data=None,
        params={**_about(suite, rung), **rung.params},
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
    """What the run's cost is reckoned with: another price list or another number of queries gives another cost."""
    return {
        "cost.usd_per_hour": json.dumps(suite.cost.usd_per_hour, sort_keys=True),
        "cost.queries": suite.cost.queries,
    }


def make_fetcher(suite: Suite, server: store.Server) -> Fetch:
    """Brings the suite's assets to this machine, those on the tracking server included."""
    return lambda asset: assets.fetch(asset, root=suite.root, resolve=lambda uri: store.resolve(server, uri))


def _tell_data(suite: Suite, task: LoadedTask) -> None:
    sizes = ", ".join(f"{name} {len(data.examples):,}" for name, data in task.splits.items())
    notes = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in task.counts.items() if count)
    log.info("%s: %s (%s)", suite.name, sizes, notes)


def _warn_of_other_tasks(suite: Suite, task: LoadedTask, tracker: store.Tracker) -> None:
    """Warn where the experiment has runs on other test data: of an earlier version of the suite, or of a namesake."""
    ours = task.splits["test"].digest
    others = {run.task_digest for run in store.find_evaluations(tracker) if run.split == "test"} - {ours}
    if others:
        log.warning(
            "%s: the experiment has runs on other test data (digest %s…, here %s…). They are of an earlier version of "
            "this suite, or of another suite of the same name; comparisons leave them aside.",
            suite.name,
            "…, ".join(sorted(digest[:12] for digest in others)),
            ours[:12],
        )


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
