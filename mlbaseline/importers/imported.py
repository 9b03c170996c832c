"""Answers in the words of another tool ─▶ rows of recorded answers, joined to our examples and labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mlbaseline.errors import DataError
from mlbaseline.records import Example, Scalar, TaskData
from mlbaseline.suite import Task
from mlbaseline.tasks import TaskKind, kind_of
from mlbaseline.tasks.data_files import Row
from mlbaseline.tasks.prompting import Prompting, placeholders, render, value_text
from mlbaseline.values import as_text, is_missing


@dataclass(frozen=True, slots=True)
class Said:
    """One answer of another tool.

    where: it stands, for errors. id: what the source calls the item, None where it has no name for it. fields: what
    the source holds of the item. shown: what was asked, where items may be told by it. context: all that stood before
    the answer, where nothing else did. text: the answer, as it was extracted. choices: the texts that could be said,
    in the source's order; chosen: position among them; nats: log-likelihood of each. scores: verdicts of the source, by
    name. repeat: which pass over the item, from 1. columns: further columns of its row.
    """

    where: str
    id: str | None
    fields: Mapping[str, Any]
    text: str | None = None
    shown: str | None = None
    context: str | None = None
    choices: tuple[str, ...] = ()
    chosen: int | None = None
    nats: tuple[float, ...] = ()
    scores: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    repeat: int = 1
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Foreign:
    """All answers of a source. known: fields of their signature that the source records.

    shots_seed: of its few-shot sampler, None where that is not known.
    """

    said: Sequence[Said]
    known: Mapping[str, Scalar]
    shots_seed: int | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to take of a source.

    id_field: field of an item that holds our example ids; without it, items are told by the suite's id column, by the
    source's own names, or by what the prompt shows of them. score: verdict of the source that counts, and as which
    metric; without it only the answers are taken.
    """

    id_field: str | None = None
    score: tuple[str, str] | None = None


def rows_of(foreign: Foreign, path: str, task: Task, data: TaskData, wanted: Wanted) -> list[Row]:
    """Rows for `models.recorded.read_answers`: example_id, prediction, `loglik_nats.<label>`, `score.<metric>`, error.

    Answers that belong to no example keep a name by which the join reports them. Raises DataError.
    """
    id_of, kind = _identifier(path, task, data, foreign.said, wanted.id_field), kind_of(task)
    examples = {example.id: example for example in data.examples}
    rows: list[Row] = []
    for number, said in enumerate(foreign.said, start=1):
        id = id_of(said)
        example = examples.get(id)
        row = {"example_id": id, "prediction": None, "error": said.error, **said.columns}
        if example is not None and said.error is None:
            row |= _answer(_with_choice(said, kind), example, data.labels)
        if wanted.score is not None and example is not None and not row["error"]:
            name, metric = wanted.score
            row[f"score.{metric}"] = _score(said, name)
        rows.append((number, row))
    columns = dict.fromkeys(name for _, row in rows for name in row)
    return [(number, {name: row.get(name) for name in columns}) for number, row in rows]


def has_prompts(foreign: Foreign, rows: Sequence[Row], data: TaskData, prompting: Prompting) -> bool:
    """Whether all answers were given to the very prompts, and choices behind them, that `prompting` makes.

    rows: of the same answers, from `rows_of`.
    """
    examples = {example.id: example for example in data.examples}
    for said, (_, row) in zip(foreign.said, rows, strict=True):
        example = examples.get(row["example_id"])
        if example is None or said.context is None:
            return False
        prompt = prompting.prompt(example)
        if said.context != prompt.context or (said.choices and sorted(said.choices) != sorted(prompt.continuations)):
            return False
    return True


def _with_choice(said: Said, kind: TaskKind[Any]) -> Said:
    """With the choice predicted that the task takes by the log-likelihoods, where the source has some."""
    try:
        chosen = kind.choose(said.nats, said.choices) if said.nats else None
    except DataError as error:
        raise DataError(f"{said.where}: {error}") from None
    return said if chosen is None else replace(said, chosen=chosen)


def _answer(said: Said, example: Example, labels: Sequence[str]) -> dict[str, Any]:
    if said.choices:
        return _chosen(said, example, labels)
    if said.text is None or not labels:
        return {"prediction": said.text}
    text, choices = said.text.strip(), [choice.strip() for choice in example.choices]
    if text in choices:
        return {"prediction": labels[choices.index(text)]}
    return {"prediction": None, "error": f"answered {text[:80]!r}, which is none of the choices"}


def _chosen(said: Said, example: Example, labels: Sequence[str]) -> dict[str, Any]:
    asked = [choice.strip() for choice in said.choices]
    choices = [choice.strip() for choice in example.choices]
    if sorted(asked) != sorted(choices) or len(set(choices)) < len(choices):
        raise DataError(f"{said.where}: its choices {asked} are not those of the suite, {choices}")
    if said.chosen is None:
        return {"prediction": None, "error": f"answered {(said.text or '')[:80]!r}, which is none of the choices"}
    # An example may have fewer choices than the task has labels, but not others.
    nats = {label: said.nats[asked.index(choice)] for label, choice in zip(labels, choices, strict=False) if said.nats}
    logliks = {f"loglik_nats.{label}": value for label, value in nats.items()}
    return {"prediction": labels[choices.index(asked[said.chosen])], **logliks}


_WORDS = {"c": 1.0, "yes": 1.0, "true": 1.0, "pass": 1.0, "i": 0.0, "no": 0.0, "false": 0.0, "fail": 0.0, "p": 0.5}
"""How verdicts are worded: inspect's Correct, Incorrect, Partial and No answer (`n`), and what judges say."""
_NO_ANSWER = "n"


def _score(said: Said, name: str) -> float | None:
    if name not in said.scores:
        raise DataError(f"{said.where}: has no score {name!r}; it has: {', '.join(said.scores) or 'none'}")
    value = said.scores[name]
    if isinstance(value, bool | int | float):
        return float(value)
    word = value.strip().casefold() if isinstance(value, str) else None
    if word == _NO_ANSWER:
        return 0.0
    if word in _WORDS:
        return _WORDS[word]
    if value is None:
        return None
    if isinstance(value, list | tuple | dict):
        raise DataError(
            f"{said.where}: {name} is {str(value)[:60]}, which goes into a figure of the whole corpus and is no score "
            "of this item; leave --score out, and such metrics follow from the answers"
        )
    raise DataError(f"{said.where}: the score {name} is {value!r}, which is neither a number nor a known verdict")


def _identifier(
    path: str, task: Task, data: TaskData, said: Sequence[Said], id_field: str | None
) -> Callable[[Said], str]:
    """Gives an answer's example id; of an item that is none of the examples, what to call it in an error."""
    first = said[0]
    columns_id = getattr(task.columns, "id", None)
    name = id_field or (columns_id if columns_id in first.fields else None)
    if name is not None:
        if name not in first.fields:
            raise DataError(f"{path}: items have no field {name!r}; they have: {', '.join(first.fields) or 'none'}")
        return lambda one: "" if is_missing(one.fields.get(name)) else as_text(one.fields[name])
    ids = {example.id for example in data.examples}
    if all(one.id in ids for one in said):
        return lambda one: str(one.id)
    return _by_content(path, task, data, first)


def _by_content(path: str, task: Task, data: TaskData, first: Said) -> Callable[[Said], str]:
    names = placeholders(task.prompt)
    columns = [
        next((c for c in (task.columns.fields.get(name, name), name) if c in first.fields), None) for name in names
    ]
    known = [column for column in columns if column is not None]

    def unknown(said: Said) -> str:
        return f"item {said.id}" if said.id is not None else said.where

    if known and len(known) == len(names):
        contents = {tuple(value_text(e.fields[name]) for name in names): e.id for e in data.examples}
        return lambda one: contents.get(tuple(value_text(one.fields.get(c)) for c in known), unknown(one))
    shown = {render(task.prompt, e.fields).strip(): e.id for e in data.examples}
    if len(names) == 1:  # what was asked may be the one field, without our words around it
        shown |= {value_text(e.fields[names[0]]).strip(): e.id for e in data.examples}
    if first.shown is not None:
        return lambda one: shown.get((one.shown or "").strip(), unknown(one))
    raise DataError(
        f"{path}: cannot tell which example an item is: it has {', '.join(first.fields) or 'no field'}, the prompt "
        f"shows {', '.join(names) or 'no field'}. Name the field that holds the example's id with --id."
    )
