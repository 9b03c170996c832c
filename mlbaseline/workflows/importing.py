"""Results that other tools computed, as completed evaluations of a suite's baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import get_args

from mlbaseline import assets, store
from mlbaseline.engine.rungs import Rung, RungContext, build_annotators_rung, build_recorded_rungs
from mlbaseline.errors import DataError, SuiteError
from mlbaseline.importers.imported import Foreign, Wanted, has_prompts, rows_of
from mlbaseline.importers.inspect_log import find_log, read_log
from mlbaseline.importers.lm_eval_samples import find_samples, read_samples
from mlbaseline.models.recorded import read_answers
from mlbaseline.records import Scalar, TaskData, digest_of
from mlbaseline.suite import External, Human, MetricName, Suite
from mlbaseline.tasks import kind_of_suite, load_task, open_suite
from mlbaseline.tasks.data_files import Row, read_table
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.evaluation import evaluate_each, make_fetcher
from mlbaseline.workflows.ladder_run import evaluations_text, open_ladder

LM_EVAL, INSPECT, MLFLOW = "lm-eval", "inspect", "mlflow"
FORMATS = (LM_EVAL, INSPECT, MLFLOW, "csv", "tsv", "jsonl", "parquet")
_TAKES = {
    "task": (LM_EVAL,),
    "filter": (LM_EVAL,),
    "epoch": (INSPECT,),
    "id": (LM_EVAL, INSPECT, MLFLOW),
    "score": (LM_EVAL, INSPECT, MLFLOW),
}


@dataclass(frozen=True)
class _Source:
    """Rows to join, and where they come from. name: for people. foreign: what another tool said, if it was one."""

    rows: Sequence[Row]
    name: str
    sha256: str
    foreign: Foreign | None = None


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
) -> CommandResult:
    """Write answers to the suite's test split as completed evaluations of `baseline`, one a seed.

    format: one of FORMATS. path: a file; of lm-eval and inspect also a folder; of mlflow the id of a run. Tables have
    the columns that `read_answers` says; for a human baseline also those of a sheet of labels. seed: of all the
    answers, where the source names none. task, filter: which of lm-eval's samples. epoch: which of inspect's; without
    it, each epoch is one of the suite's seeds. id_field, score: see `tasks.foreign.Wanted`; score is NAME or
    NAME=METRIC, by default the suite's first metric.
    """
    loaded = open_suite(suite)
    _check_baseline(loaded, baseline)
    _check_options(format, {"task": task, "filter": filter, "id": id_field, "score": score, "epoch": epoch})
    tracker = store.connect(tracking_uri, loaded.name)
    fetch = make_fetcher(loaded, tracker)
    context = RungContext(loaded, load_task(loaded, fetch), fetch)
    data = context.data
    wanted = Wanted(id_field, _score(loaded, score))
    if format == MLFLOW:
        source = _from_run(tracker, str(path), loaded, data, wanted)
    else:
        source = _from_file(format, Path(path), loaded, data, wanted, task=task, filter=filter, epoch=epoch)
    source = replace(source, rows=_with_seed(source, seed))
    rungs = _rungs(context, baseline, source)
    rungs = [replace(rung, params={**rung.params, **_described(format, source, score)}) for rung in rungs]
    with open_ladder(tracker, loaded) as ladder:
        evaluated = evaluate_each(loaded, data, rungs, tracker, ladder, fresh=False)
    document = {"ladder_run_id": ladder.run_id, "evaluations": [asdict(rung) for rung in evaluated]}
    return CommandResult(document, lambda *_: evaluations_text(evaluated))


def _from_run(server: store.Server, run_id: str, suite: Suite, data: TaskData, wanted: Wanted) -> _Source:
    foreign = store.read_mlflow_results(server, run_id)
    rows = rows_of(foreign, f"run {run_id}", suite.task, data, wanted)
    return _Source(rows, run_id, digest_of([run_id, [values for _, values in rows]]), foreign)


def _from_file(
    format: str,
    path: Path,
    suite: Suite,
    data: TaskData,
    wanted: Wanted,
    *,
    task: str | None,
    filter: str | None,
    epoch: int | None,
) -> _Source:
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if format not in (LM_EVAL, INSPECT):
        return _Source(read_table(path, format).rows, path.name, assets.sha256_of(path))
    file = find_samples(path, task) if format == LM_EVAL else find_log(path)
    if format == LM_EVAL:
        foreign = read_samples(file, filter=filter)
    else:
        foreign = read_log(file, scorer=wanted.score[0] if wanted.score else None)
    foreign = _of_epoch(file, foreign, epoch)
    rows = _repeats_as_seeds(file, foreign, rows_of(foreign, str(file), suite.task, data, wanted), suite)
    return _Source(rows, file.name, assets.sha256_of(file), foreign)


def _of_epoch(file: Path, foreign: Foreign, epoch: int | None) -> Foreign:
    epochs = sorted({said.repeat for said in foreign.said})
    if epoch is None:
        return foreign
    if epoch not in epochs:
        raise DataError(f"{file}: has no epoch {epoch}; it has: {', '.join(map(str, epochs))}")
    return replace(foreign, said=[replace(said, repeat=1) for said in foreign.said if said.repeat == epoch])


def _repeats_as_seeds(file: Path, foreign: Foreign, rows: list[Row], suite: Suite) -> list[Row]:
    """Every pass over the items is a draw of its own: the k-th gets the suite's k-th seed."""
    repeats = sorted({said.repeat for said in foreign.said})
    if len(repeats) == 1:
        return rows
    if len(repeats) > len(suite.seeds):
        raise DataError(
            f"{file}: has {len(repeats)} epochs, {suite.name} has {len(suite.seeds)} seeds to take them for; add "
            "seeds, or name one epoch with --epoch"
        )
    seeds = dict(zip(repeats, suite.seeds, strict=False))
    return [
        (number, {**values, "seed": seeds[said.repeat]})
        for said, (number, values) in zip(foreign.said, rows, strict=True)
    ]


def _rungs(context: RungContext, baseline: str, source: _Source) -> list[Rung]:
    spec = context.suite.baselines[baseline]
    if isinstance(spec, Human) and source.foreign is None and {"annotator", "label"} <= set(source.rows[0][1]):
        return [build_annotators_rung(context, baseline, source.rows, sha256=source.sha256)]
    answers = read_answers(source.rows, context.data, where=source.name)
    known = _known(context, source)
    return build_recorded_rungs(
        context, baseline, answers, sha256=source.sha256, seeds=context.suite.seeds, known=known
    )


def _known(context: RungContext, source: _Source) -> dict[str, Scalar]:
    """What the source says of its making, and that its prompts are ours, if it has them and they are."""
    if source.foreign is None:
        return {}
    shots = int(str(source.foreign.known.get("prompt.shots", 0)))
    prompting = kind_of_suite(context.suite).imported_prompting(shots, source.foreign.shots_seed)
    is_ours = has_prompts(source.foreign, source.rows, context.data, prompting)
    return {**source.foreign.known, **(prompting.signature_fields() if is_ours else {})}


def _described(format: str, source: _Source, score: str | None) -> dict[str, str]:
    described = {"imported.format": format, "imported.file": source.name}
    return {**described, "imported.score": score} if score else described


def _score(suite: Suite, score: str | None) -> tuple[str, str] | None:
    if score is None:
        return None
    name, _, metric = score.rpartition("=") if score.rpartition("=")[2] in get_args(MetricName) else (score, "", "")
    return name, metric or suite.metrics[0]


def _check_options(format: str, options: dict[str, object]) -> None:
    for name, value in options.items():
        if value is not None and format not in _TAKES[name]:
            raise SuiteError("import", [f"--{name} goes with {' and '.join(_TAKES[name])}, not with {format}"])


def _check_baseline(suite: Suite, name: str) -> None:
    if name not in suite.baselines:
        raise SuiteError(
            "--as",
            [
                f"unknown baseline {name!r}; {suite.name} has: {', '.join(suite.baselines)}. What is compared is "
                f"written down beforehand: add `{name}` to the suite"
            ],
        )
    if isinstance(suite.baselines[name], External):
        raise SuiteError("--as", [f"{name!r} is a published score, which has no answers to import"])


def _with_seed(source: _Source, seed: int | None) -> Sequence[Row]:
    if seed is None:
        return source.rows
    if "seed" in source.rows[0][1]:
        raise SuiteError("--seed", [f"{source.name} has seeds of its own"])
    return [(number, {**values, "seed": seed}) for number, values in source.rows]
