"""Samples that lm-evaluation-harness logged (`--log_samples`).

The form is that of lm-eval 0.4: a JSON object per document and filter, with `doc`, `arguments` (of each request), and
`filtered_resps`: a pair of log-likelihood and "is greedy" per choice, or one generated text; its metrics stand beside
them by name, those of a whole corpus (F1, BLEU) as the tuples that they are computed from. lm-eval appends to the file,
which may therefore hold several runs over the same documents. What was run stands in the `results_*.json` of the same
time.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mlbaseline.errors import DataError
from mlbaseline.importers.imported import ImportedAnswer, ImportedResults
from mlbaseline.records import Scalar
from mlbaseline.suite import LM_EVAL_ID
from mlbaseline.tasks.data_files import read_table
from mlbaseline.tasks.lm_eval.conversion import document_id
from mlbaseline.untrusted import expecting
from mlbaseline.values import NumberedRow, as_text

_FILE = re.compile(r"^samples_(?P<task>.+)_(?P<time>\d{4}-\d\d-\d\dT[\d.-]+)\.jsonl$")
_NEEDED = ("doc_id", "doc", "arguments", "filtered_resps", "filter")


def find_samples(path: Path, task: str | None) -> Path:
    """Return the file itself or, in a folder, the newest one of the task. Raises DataError where that is not one."""
    if not path.is_dir():
        return path
    named = [(file, match) for file in sorted(path.rglob("samples_*.jsonl")) if (match := _FILE.match(file.name))]
    tasks = sorted({match["task"] for _, match in named})
    chosen = [(match["time"], file) for file, match in named if task in (None, match["task"])]
    if not chosen or (task is None and len(tasks) > 1):
        raise DataError(f"{path}: name one of its tasks with --task; it has samples of: {', '.join(tasks) or 'none'}")
    folders = sorted({str(file.parent) for _, file in chosen})
    if len(folders) > 1:
        raise DataError(f"{path}: holds the samples of several models; name one of the folders: {', '.join(folders)}")
    return max(chosen)[1]


def read_samples(path: Path, *, filter: str | None) -> ImportedResults:
    """Read the samples of a file; where it was appended to, those of the last run.

    Args:
        path: The file of samples.
        filter: Which of the file's filters, needed where there are several.

    Raises:
        DataError: The file holds no samples of lm-eval 0.4, or an incomplete run.
    """
    rows = read_table(path, "jsonl").rows
    lacking = [name for name in _NEEDED if name not in rows[0][1]]
    if lacking:
        raise DataError(f"{path}: no samples of lm-eval 0.4: a row lacks {', '.join(lacking)}")
    chosen = _last_run(path, _of_filter(path, rows, filter))
    results = _results(path)
    answers = []
    for number, values in chosen:
        with expecting("a sample of lm-eval 0.4", where := f"{path}, row {number}"):
            answers.append(_answer(where, values))
    return ImportedResults(answers, results.known, results.shots_seed)


def _of_filter(path: Path, rows: Sequence[NumberedRow], filter: str | None) -> list[NumberedRow]:
    filters = list(dict.fromkeys(str(values["filter"]) for _, values in rows))
    if filter is None and len(filters) == 1:
        return list(rows)
    if filter not in filters:
        raise DataError(f"{path}: name one of its filters with --filter; it has: {', '.join(filters)}")
    return [(number, values) for number, values in rows if values["filter"] == filter]


def _last_run(path: Path, rows: Sequence[NumberedRow]) -> list[NumberedRow]:
    runs: defaultdict[str, list[NumberedRow]] = defaultdict(list)
    for row in rows:
        runs[as_text(row[1]["doc_id"])].append(row)
    counts = sorted({len(of_doc) for of_doc in runs.values()})
    if len(counts) > 1:
        raise DataError(
            f"{path}: was appended to, and a run is incomplete: documents have {counts[0]} to {counts[-1]} rows. Keep "
            "the rows of one whole run."
        )
    return [of_doc[-1] for of_doc in runs.values()]


def _answer(where: str, values: Mapping[str, Any]) -> ImportedAnswer:
    id, responses, document = as_text(values["doc_id"]), values["filtered_resps"], values["doc"]
    if "doc_hash" in values:
        document = {**document, LM_EVAL_ID: document_id(id, str(values["doc_hash"]))}
    answer = partial(ImportedAnswer, where, id, document)
    scores = {name: values.get(name) for name in values.get("metrics") or ()}
    continuations = [request.get("arg_1") for request in values["arguments"].values()]
    contexts = [request.get("arg_0") for request in values["arguments"].values()]
    if continuations == [None]:  # the likelihood of a whole text
        return answer(context=contexts[0], columns={"nats": -_number(where, responses)})
    if not all(isinstance(text, str) for text in continuations):  # a generation has its options there
        return answer(text=_text(where, responses), context=contexts[0], scores=scores)
    half = len(continuations) // 2
    if half and continuations[half:] == continuations[:half] and not any(contexts[half:]):
        # acc_mutual_info asks every choice again, behind nothing
        continuations, responses, contexts = continuations[:half], responses[:half], contexts[:half]
    nats = [float(response[0]) for response in responses]
    if len(nats) != len(continuations):
        raise DataError(f"{where}: expected a likelihood of each of its {len(continuations)} choices, got {len(nats)}")
    # Of equal likelihoods the first wins, as lm-eval has it.
    best = max(range(len(nats)), key=nats.__getitem__)
    context = contexts[0] if len(set(contexts)) == 1 else None
    return answer(context=context, choices=tuple(continuations), chosen=best, nats=tuple(nats), scores=scores)


def _number(where: str, answers: Any) -> float:
    while isinstance(answers, list) and answers:
        answers = answers[0]
    try:
        return float(answers)
    except (TypeError, ValueError):
        raise DataError(f"{where}: expected one log-likelihood, got {str(answers)[:80]}") from None


def _text(where: str, answers: Any) -> str:
    while isinstance(answers, list) and len(answers) == 1:
        (answers,) = answers
    if not isinstance(answers, str):
        raise DataError(f"{where}: expected one answer, got {str(answers)[:80]}; choose a filter that leaves one")
    return answers


_PRECISIONS = {"torch.float32": "fp32", "torch.bfloat16": "bf16", "torch.float16": "fp16"}


def _results(path: Path) -> ImportedResults:
    """Return what the results file beside the samples says of how they came about; nothing where there is none."""
    named = _FILE.match(path.name)
    results = path.with_name(f"results_{named['time']}.json") if named else None
    if named is None or results is None or not results.is_file():
        return ImportedResults((), {})
    try:
        content = json.loads(results.read_text(encoding="utf-8"))
        task, config = named["task"], content["config"]
        known: dict[str, Scalar] = {
            "engine.version": f"lm-eval {content['lm_eval_version']}",
            "engine.precision": _PRECISIONS.get(config.get("model_dtype", ""), config.get("model_dtype")),
            "prompt.shots": content["n-shot"][task],
            "prompt.chat_template": content.get("chat_template_sha"),
            "model.name": content.get("model_name"),
            "model.harness_task_sha256": content.get("task_hashes", {}).get(task),
            "model.harness_task_version": as_text(content["versions"][task]),
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{results}: are no results of lm-eval 0.4: {type(error).__name__}: {error}") from error
    # No chat template is a fact here; elsewhere null is what was not written down.
    known = {name: value for name, value in known.items() if value is not None or name == "prompt.chat_template"}
    return ImportedResults((), known, config.get("fewshot_seed"))
