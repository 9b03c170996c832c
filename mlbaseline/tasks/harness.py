"""Samples that lm-evaluation-harness logged (`--log_samples`) ─▶ rows of recorded answers.

The form is that of lm-eval 0.4: a JSON object per document and filter, with `doc`, `arguments` (of each request), and
`filtered_resps`: a pair of log-likelihood and "is greedy" per choice, or one generated text. Its file is opened for
appending, so that it may hold several passes over the same documents.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlbaseline.errors import DataError
from mlbaseline.records import Example, TaskData
from mlbaseline.suite import Task
from mlbaseline.tasks.prompting import placeholders, value_text
from mlbaseline.tasks.reading import Row, read_table
from mlbaseline.values import as_text, is_missing

_FILE = re.compile(r"^samples_(?P<task>.+)_(?P<time>\d{4}-\d\d-\d\dT[\d.-]+)\.jsonl$")
_NEEDED = ("doc_id", "doc", "arguments", "filtered_resps", "filter")


def find_samples(path: Path, task: str | None) -> Path:
    """The file itself or, in a folder, the newest one of the task. Raises DataError where that is not one file."""
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


def read_samples(path: Path, task: Task, data: TaskData, *, filter: str | None, id_field: str | None) -> list[Row]:
    """Rows with example_id, prediction or error, and where there are log-likelihoods `loglik_nats.<label>`.

    filter: which of the file's filters, needed where there are several. id_field: field of `doc` that holds our example
    ids; without it, documents are found by the suite's id column or else by what the prompt shows of them. Of several
    passes the last is taken. Raises DataError.
    """
    rows = read_table(path, "jsonl").rows
    lacking = [name for name in _NEEDED if name not in rows[0][1]]
    if lacking:
        raise DataError(f"{path}: no samples of lm-eval 0.4: a row lacks {', '.join(lacking)}")
    chosen = _last_pass(path, _of_filter(path, rows, filter))
    id_of = _identifier(path, task, data, chosen[0][1]["doc"], id_field)
    examples = {example.id: example for example in data.examples}
    return [
        (number, _row(f"{path}, row {number}", values, id_of(values), examples, data.labels))
        for number, values in chosen
    ]


def _of_filter(path: Path, rows: Sequence[Row], filter: str | None) -> list[Row]:
    filters = list(dict.fromkeys(str(values["filter"]) for _, values in rows))
    if filter is None and len(filters) == 1:
        return list(rows)
    if filter not in filters:
        raise DataError(f"{path}: name one of its filters with --filter; it has: {', '.join(filters)}")
    return [(number, values) for number, values in rows if values["filter"] == filter]


def _last_pass(path: Path, rows: Sequence[Row]) -> list[Row]:
    passes: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        passes[as_text(row[1]["doc_id"])].append(row)
    counts = sorted({len(of_doc) for of_doc in passes.values()})
    if len(counts) > 1:
        raise DataError(
            f"{path}: was appended to, and a pass is incomplete: documents have {counts[0]} to {counts[-1]} rows. Keep "
            "the rows of one whole pass."
        )
    return [of_doc[-1] for of_doc in passes.values()]


def _identifier(
    path: Path, task: Task, data: TaskData, doc: Mapping[str, Any], id_field: str | None
) -> Callable[[Mapping[str, Any]], str]:
    """Gives a row's example id; of a document that is none of the examples, what to call it in an error."""
    field = id_field or (task.columns.id if task.columns.id in doc else None)
    if field is not None:
        if field not in doc:
            raise DataError(f"{path}: documents have no field {field!r}; they have: {', '.join(doc)}")
        return lambda values: "" if is_missing(values["doc"].get(field)) else as_text(values["doc"][field])
    names = placeholders(task.prompt)
    columns = [next((c for c in (task.columns.fields.get(name, name), name) if c in doc), None) for name in names]
    known = [column for column in columns if column is not None]
    if not known or len(known) < len(names):
        raise DataError(
            f"{path}: cannot tell which example a document is: it has {', '.join(doc)}, the prompt shows "
            f"{', '.join(names) or 'no field'}. Name the field that holds the example's id with --id."
        )
    by_content = {tuple(value_text(example.fields[name]) for name in names): example.id for example in data.examples}

    def found(values: Mapping[str, Any]) -> str:
        content = tuple(value_text(values["doc"].get(column)) for column in known)
        return by_content.get(content, f"document {as_text(values['doc_id'])}")

    return found


def _row(
    where: str, values: Mapping[str, Any], id: str, examples: Mapping[str, Example], labels: Sequence[str]
) -> dict[str, Any]:
    example, answers = examples.get(id), values["filtered_resps"]
    if example is None:  # whoever joins the rows says so, with all the others
        return {"example_id": id, "prediction": None, "error": "unknown"}
    asked = [request.get("arg_1") for request in values["arguments"].values()]
    if all(isinstance(continuation, str) for continuation in asked):  # a generation has its options there
        return {"example_id": id, **_choice(where, asked, answers, example, labels), "error": None}
    return {"example_id": id, **_generated(where, answers, example, labels)}


def _choice(
    where: str, continuations: Sequence[str], answers: Sequence[Any], example: Example, labels: Sequence[str]
) -> dict[str, Any]:
    asked = [continuation.strip() for continuation in continuations]
    choices = [choice.strip() for choice in example.choices]
    if sorted(asked) != sorted(choices) or len(set(choices)) < len(choices):
        raise DataError(f"{where}: its choices {asked} are not those of the suite, {choices}")
    nats = {label: float(answers[asked.index(choice)][0]) for label, choice in zip(labels, choices, strict=True)}
    # Of equal likelihoods the first asked wins, as lm-eval has it.
    best = max(range(len(answers)), key=lambda position: float(answers[position][0]))
    logliks = {f"loglik_nats.{label}": value for label, value in nats.items()}
    return {"prediction": labels[choices.index(asked[best])], **logliks}


def _generated(where: str, answers: Any, example: Example, labels: Sequence[str]) -> dict[str, Any]:
    while isinstance(answers, list) and len(answers) == 1:
        (answers,) = answers
    if not isinstance(answers, str):
        raise DataError(f"{where}: expected one answer, got {str(answers)[:80]}; choose a filter that leaves one")
    said = answers.strip()
    choices = [choice.strip() for choice in example.choices]
    if said in choices:
        return {"prediction": labels[choices.index(said)], "error": None}
    return {"prediction": None, "error": f"answered {said[:80]!r}, which is none of the choices"}
