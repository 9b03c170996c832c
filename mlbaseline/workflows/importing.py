"""Results that other tools computed, as completed evaluations of a suite's baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from mlbaseline import assets, store
from mlbaseline.engine.rungs import build_recorded_rungs
from mlbaseline.errors import DataError, SuiteError
from mlbaseline.models.recorded import read_answers
from mlbaseline.suite import External, Suite
from mlbaseline.suite_file import load_suite
from mlbaseline.tasks import load_task
from mlbaseline.tasks.harness import find_samples, read_samples
from mlbaseline.tasks.reading import Row, read_table
from mlbaseline.workflows.evaluation import evaluate_each, evaluations_text, make_fetcher, open_ladder
from mlbaseline.workflows.outcome import Outcome

LM_EVAL = "lm-eval"
FORMATS = (LM_EVAL, "csv", "tsv", "jsonl", "parquet")


def import_results(
    format: str,
    path: Path,
    suite: str | Path,
    *,
    baseline: str,
    seed: int | None = None,
    task: str | None = None,
    filter: str | None = None,
    id_field: str | None = None,
    tracking_uri: str | None = None,
) -> Outcome:
    """Write answers to the suite's test split as completed evaluations of `baseline`, one a seed.

    format: one of FORMATS; all but lm-eval's have the columns that `read_answers` says. seed: of all the answers, where
    the file names none. task, filter, id_field: which of lm-eval's samples, see `find_samples` and `read_samples`.
    """
    loaded = load_suite(suite)
    _check_baseline(loaded, baseline)
    if format != LM_EVAL and any((task, filter, id_field)):
        raise SuiteError("import", [f"--task, --filter and --id go with {LM_EVAL}, not with {format}"])
    tracker = store.connect(tracking_uri, loaded.name)
    data = load_task(loaded, make_fetcher(loaded, tracker)).splits["test"]
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    file = find_samples(path, task) if format == LM_EVAL else path
    if format == LM_EVAL:
        rows = read_samples(file, loaded.task, data, filter=filter, id_field=id_field)
    else:
        rows = read_table(file, format).rows
    answers = read_answers(_with_seed(rows, seed, file), data, where=str(file))
    rungs = build_recorded_rungs(loaded, data, baseline, answers, sha256=assets.sha256_of(file), seeds=loaded.seeds)
    source = {"imported.format": format, "imported.file": file.name}
    rungs = [replace(rung, params={**rung.params, **source}) for rung in rungs]
    with open_ladder(tracker, loaded) as ladder:
        evaluated = evaluate_each(loaded, data, rungs, tracker, ladder, fresh=False)
    document = {"ladder_run_id": ladder.run_id, "evaluations": [asdict(rung) for rung in evaluated]}
    return Outcome(document, lambda *_: evaluations_text(evaluated))


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


def _with_seed(rows: Sequence[Row], seed: int | None, file: Path) -> list[Row]:
    if seed is None:
        return list(rows)
    if "seed" in rows[0][1]:
        raise SuiteError("--seed", [f"{file.name} has a column seed of its own"])
    return [(number, {**values, "seed": seed}) for number, values in rows]
