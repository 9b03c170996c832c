"""Results that other tools computed, as completed evaluations of a suite's baseline."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlbaseline import assets, store
from mlbaseline.engine.rungs import Rung, RungContext, build_annotators_rung, build_recorded_rungs
from mlbaseline.errors import DataError, SuiteError
from mlbaseline.importers.imported import (
    IMPORTED_FILE,
    IMPORTED_FORMAT,
    IMPORTED_SCORE,
    MLFLOW,
    ImportedResults,
    ImportOptions,
    has_prompts,
    ids_of_others,
    make_rows,
    scorer_and_metric,
    without_other_splits,
)
from mlbaseline.importers.inspect_log import find_log, read_log
from mlbaseline.importers.lm_eval_samples import find_samples, read_samples
from mlbaseline.importers.nemo_results import find_records, read_records
from mlbaseline.models.recorded import read_answers
from mlbaseline.records import Scalar, digest_of
from mlbaseline.suggestions import unknown_name
from mlbaseline.suite import External, Human, Suite
from mlbaseline.tasks import kind_of_suite, load_task, open_suite
from mlbaseline.tasks.data_files import read_table
from mlbaseline.values import NumberedRow
from mlbaseline.workflows.asset_fetcher import make_fetcher
from mlbaseline.workflows.evaluations.evaluation_result import EvaluationResult, evaluation_result
from mlbaseline.workflows.evaluations.ladder_run import open_ladder
from mlbaseline.workflows.evaluations.one_by_one import evaluate_each
from mlbaseline.workflows.judging import open_judging, scorer_finder

log = logging.getLogger("mlbaseline")
LM_EVAL, INSPECT, REVIEWS, NEMO = "lm-eval", "inspect", "mlflow-reviews", "nemo"
FORMATS = (LM_EVAL, INSPECT, MLFLOW, REVIEWS, NEMO, "csv", "tsv", "jsonl", "parquet")
_TAKES = {
    "task": (LM_EVAL,),
    "filter": (LM_EVAL,),
    "epoch": (INSPECT, NEMO),
    "id": (LM_EVAL, INSPECT, MLFLOW, REVIEWS, NEMO),
    "score": (LM_EVAL, INSPECT, MLFLOW, REVIEWS, NEMO),
}


@dataclass(frozen=True)
class _Source:
    """Rows to join, and where they come from. name: for people. results: those of another tool, if it was one."""

    rows: Sequence[NumberedRow]
    name: str
    sha256: str
    results: ImportedResults | None = None


def import_results(
    format: str,
    path: str | Path,
    suite: str | Path,
    *,
    baseline: str,
    seed: int | None = None,
    task: str | None = None,
    filter: str | None = None,
    id_field: str | None = None,
    score: str | None = None,
    epoch: int | None = None,
    tracking_uri: str | None = None,
) -> EvaluationResult:
    """Write answers of another tool as completed evaluations of a baseline, one for each seed.

    Args:
        format: `lm-eval`, `inspect`, `mlflow`, `mlflow-reviews`, `nemo`, `csv`, `tsv`, `jsonl` or `parquet`.
        path: A file; of lm-eval, inspect and nemo also a folder; of mlflow the id of a run; of mlflow-reviews the name
            of a review queue. Tables have the columns of recorded answers, or those of a sheet of labels for a baseline
            of kind human.
        suite: Path of a suite file, or the name of a packaged suite. Its test split is what was answered.
        baseline: Of the suite.
        seed: Of all answers, where the source has no seeds.
        task: Which of lm-eval's tasks.
        filter: Which of lm-eval's filters.
        id_field: Field of an item that holds our example ids.
        score: The source's score that counts, as NAME or NAME=METRIC; by default as the suite's first metric. Of
            mlflow-reviews the question whose answers are labels.
        epoch: Which of inspect's epochs, or of NeMo's repeats from 1; without it, each is one of the suite's seeds.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Raises:
        SuiteError: The suite is not valid, or does not have the baseline.
        DataError: The source cannot be read, or its answers do not fit the suite.
    """
    loaded = open_suite(suite)
    _check_baseline(loaded, baseline)
    _check_options(format, {"task": task, "filter": filter, "id": id_field, "score": score, "epoch": epoch})
    tracker = store.connect(tracking_uri, loaded.name)
    fetch = make_fetcher(loaded, tracker)
    context = RungContext(loaded, load_task(loaded, fetch), fetch, find_scorer=scorer_finder(tracker))
    counted = None if score is None else scorer_and_metric(loaded, score)
    options = ImportOptions(id_field, counted, task, filter, epoch)
    if format == REVIEWS:
        source = _from_reviews(tracker, str(path), baseline, context, options)
    elif format == MLFLOW:
        source = _from_run(tracker, str(path), context, options)
    else:
        source = _from_file(format, Path(path), context, options)
    source = replace(source, rows=_with_seed(source, seed))
    rungs = _rungs(context, baseline, source)
    rungs = [replace(rung, params={**rung.params, **_described(format, source, score)}) for rung in rungs]
    store.register_rules(tracker, loaded, task_digest=context.task.splits["test"].digest)
    with open_ladder(tracker, loaded) as ladder:
        judging = open_judging(context, tracker, fresh=False)
        evaluated = ladder.collect(evaluate_each(ladder, context.data, rungs, judging=judging, fresh=False))
    return evaluation_result(ladder.run_id, evaluated)


def _from_run(server: store.Server, run_id: str, context: RungContext, options: ImportOptions) -> _Source:
    results = store.read_mlflow_results(server, run_id)
    results = _of_test(results, f"run {run_id}", context, options)
    rows = make_rows(results, f"run {run_id}", context.suite.task, context.data, options)
    return _Source(rows, run_id, digest_of([run_id, [values for _, values in rows]]), results)


def _from_reviews(
    tracker: store.Tracker, queue: str, baseline: str, context: RungContext, options: ImportOptions
) -> _Source:
    if not isinstance(context.suite.baselines[baseline], Human):
        raise SuiteError("--as", [f"{baseline!r}: what people answered goes into a baseline of kind human"])
    results = store.read_reviews(tracker, queue, options.score[0] if options.score else None)
    unscored = replace(options, score=None)
    results = _of_test(results, f"review queue {queue}", context, unscored)
    columns = ("example_id", "annotator", "label")
    rows = [
        (number, {name: values[name] for name in columns})
        for number, values in make_rows(results, queue, context.suite.task, context.data, unscored)
    ]
    return _Source(rows, queue, digest_of([queue, [values for _, values in rows]]))


def _from_file(format: str, path: Path, context: RungContext, options: ImportOptions) -> _Source:
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if format not in (LM_EVAL, INSPECT, NEMO):
        return _Source(_rows_of_test(path, format, context), path.name, assets.sha256_of(path))
    if format == LM_EVAL:
        file = find_samples(path, options.task)
        results = read_samples(file, filter=options.filter)
    elif format == NEMO:
        file = find_records(path)
        results = read_records(file)
    else:
        file = find_log(path)
        results = read_log(file, scorer=options.score[0] if options.score else None)
    results = _of_test(_of_epoch(file, results, options.epoch), str(file), context, options)
    rows = make_rows(results, str(file), context.suite.task, context.data, options)
    return _Source(_repeats_as_seeds(file, results, rows, context.suite), file.name, assets.sha256_of(file), results)


def _of_test(results: ImportedResults, source: str, context: RungContext, options: ImportOptions) -> ImportedResults:
    kept = without_other_splits(results, source, context.suite.task, context.task.splits, options)
    _tell_left_out(source, len(results.answers), len(kept.answers))
    return kept


def _rows_of_test(path: Path, format: str, context: RungContext) -> Sequence[NumberedRow]:
    rows, others = read_table(path, format).rows, ids_of_others(context.task.splits)
    kept = [row for row in rows if str(row[1].get("example_id")) not in others]
    _tell_left_out(str(path), len(rows), len(kept))
    return kept


def _tell_left_out(source: str, n: int, n_kept: int) -> None:
    if n and not n_kept:
        raise DataError(f"{source}: all of its {n} rows are of train or dev; what is compared are answers to test")
    if n_kept < n:
        log.info("%s: %d of %d rows left out, which are of train or dev", source, n - n_kept, n)


def _of_epoch(file: Path, results: ImportedResults, epoch: int | None) -> ImportedResults:
    epochs = sorted({answer.repeat for answer in results.answers})
    if epoch is None:
        return results
    if epoch not in epochs:
        raise DataError(f"{file}: has no epoch {epoch}; it has: {', '.join(map(str, epochs))}")
    answers = [replace(answer, repeat=1) for answer in results.answers if answer.repeat == epoch]
    return replace(results, answers=answers)


def _repeats_as_seeds(file: Path, results: ImportedResults, rows: list[NumberedRow], suite: Suite) -> list[NumberedRow]:
    """Give the k-th of several answers to each item the suite's k-th seed: each is drawn by itself."""
    repeats = sorted({answer.repeat for answer in results.answers})
    if len(repeats) == 1:
        return rows
    if len(repeats) > len(suite.seeds):
        raise DataError(
            f"{file}: has {len(repeats)} epochs, {suite.name} has {len(suite.seeds)} seeds to take them for; add "
            "seeds, or name one epoch with --epoch"
        )
    seeds = dict(zip(repeats, suite.seeds, strict=False))
    return [
        (number, {**values, "seed": seeds[answer.repeat]})
        for answer, (number, values) in zip(results.answers, rows, strict=True)
    ]


def _rungs(context: RungContext, baseline: str, source: _Source) -> list[Rung]:
    spec = context.suite.baselines[baseline]
    if isinstance(spec, Human) and source.results is None and {"annotator", "label"} <= set(source.rows[0][1]):
        return [build_annotators_rung(context, baseline, source.rows, sha256=source.sha256)]
    answers = read_answers(source.rows, context.data, where=source.name)
    known = _known(context, source)
    return build_recorded_rungs(
        context, baseline, answers, sha256=source.sha256, seeds=context.suite.seeds, known=known
    )


def _known(context: RungContext, source: _Source) -> dict[str, Scalar]:
    """Collect the signature fields that the source tells, those of our prompt among them if its prompts are ours."""
    if source.results is None:
        return {}
    shots = int(str(source.results.known.get("prompt.shots", 0)))
    prompting = kind_of_suite(context.suite).imported_prompting(shots, source.results.shots_seed)
    is_ours = has_prompts(source.results, source.rows, context.data, prompting)
    return {**source.results.known, **(prompting.signature_fields() if is_ours else {})}


def _described(format: str, source: _Source, score: str | None) -> dict[str, str]:
    described = {IMPORTED_FORMAT: format, IMPORTED_FILE: source.name}
    return {**described, IMPORTED_SCORE: score} if score else described


def _check_options(format: str, options: dict[str, object]) -> None:
    for name, value in options.items():
        if value is not None and format not in _TAKES[name]:
            raise SuiteError("import", [f"--{name} goes with {' and '.join(_TAKES[name])}, not with {format}"])


def _check_baseline(suite: Suite, name: str) -> None:
    if name not in suite.baselines:
        raise SuiteError(
            "--as",
            [
                f"{unknown_name('baseline', name, suite.baselines, f'{suite.name} has')}. What is compared is written "
                f"down beforehand: add `{name}` to the suite"
            ],
        )
    if isinstance(suite.baselines[name], External):
        raise SuiteError("--as", [f"{name!r} is a published score, which has no answers to import"])


def _with_seed(source: _Source, seed: int | None) -> Sequence[NumberedRow]:
    if seed is None:
        return source.rows
    if "seed" in source.rows[0][1]:
        raise SuiteError("--seed", [f"{source.name} has seeds of its own"])
    return [(number, {**values, "seed": seed}) for number, values in source.rows]
