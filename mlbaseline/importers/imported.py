"""Answers of another tool ─▶ rows of recorded answers, joined to our examples and labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from mlbaseline.errors import DataError
from mlbaseline.records import Example, Scalar, TaskData
from mlbaseline.suite import MetricName, Split, Suite, Task
from mlbaseline.tasks import TaskKind, kind_of
from mlbaseline.tasks.prompting import Prompting, placeholders, render, value_text
from mlbaseline.values import NumberedRow, as_text, is_missing

IMPORTED_FORMAT, IMPORTED_FILE, IMPORTED_SCORE = "imported.format", "imported.file", "imported.score"
"""Parameters of an imported evaluation: the format, the file or the id of the run, and `--score` where it was given."""
MLFLOW = "mlflow"
"""The format of runs of MLflow's own evaluations."""


@dataclass(frozen=True, slots=True)
class ImportedAnswer:
    """One answer of another tool.

    Attributes:
        where: Its place in the source, for messages.
        id: The source's name of the item; None where it has none.
        fields: What the source holds of the item.
        text: The answer, as the tool extracted it.
        shown: What the model was shown, where items are told apart by it.
        context: The whole prompt in front of the answer, where that is known.
        choices: Texts that could be answered, in the source's order.
        chosen: Position of the answer among them.
        nats: Log-likelihood of each choice.
        scores: The source's own scores, by name.
        error: Why there is no answer.
        repeat: Which of several answers to the item, from 1.
        columns: Further columns of its row.
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
class ImportedResults:
    """All answers of a source.

    Attributes:
        answers: In the source's order.
        known: What the source records of how they came about, as fields of a signature.
        shots_seed: Of its few-shot sampler; None where that is not known.
    """

    answers: Sequence[ImportedAnswer]
    known: Mapping[str, Scalar]
    shots_seed: int | None = None


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What to take of a source.

    Attributes:
        id_field: Field of an item that holds our example ids. Without it, items are told apart by the suite's id
            column, by the source's own names, or by what the prompt shows of them.
        score: Name of the source's score that counts, and the metric that it counts as. Without it, only answers are
            taken.
        task: Of lm-eval's samples, where a folder has several tasks.
        filter: Of lm-eval's samples, where a file has several filters.
        epoch: Of inspect's samples; without it, each epoch is one of the suite's seeds.
    """

    id_field: str | None = None
    score: tuple[str, str] | None = None
    task: str | None = None
    filter: str | None = None
    epoch: int | None = None


def without_other_splits(
    results: ImportedResults, source: str, task: Task, splits: Mapping[Split, TaskData], options: ImportOptions
) -> ImportedResults:
    """Leave out answers to examples of train and dev, which the source was asked as well.

    Args:
        results: The answers of the other tool.
        source: Name of the file or run, for messages.
        task: The task of the suite.
        splits: Its examples.
        options: What counts of the source.

    Raises:
        DataError: The examples cannot be told apart.
    """
    test = splits["test"]
    everything = replace(test, examples=tuple(example for data in splits.values() for example in data.examples))
    id_of, others = _find_ids(source, task, everything, results.answers, options.id_field), ids_of_others(splits)
    return replace(results, answers=[answer for answer in results.answers if id_of(answer) not in others])


def ids_of_others(splits: Mapping[Split, TaskData]) -> frozenset[str]:
    """Collect the ids of examples that are in train or dev, and not in test."""
    others = {example.id for split, data in splits.items() if split != "test" for example in data.examples}
    return frozenset(others - {example.id for example in splits["test"].examples})


def make_rows(
    results: ImportedResults, source: str, task: Task, data: TaskData, options: ImportOptions
) -> list[NumberedRow]:
    """Make the rows of `models.recorded.read_answers` from the answers of another tool.

    Columns are example_id, prediction, `loglik_nats.<label>`, `score.<metric>` and error. Answers that belong to no
    example get a name by which the join reports them.

    Args:
        results: The answers of the other tool.
        source: Name of the file or run, for messages.
        task: The task of the suite.
        data: The split that was answered.
        options: What counts of the source.

    Raises:
        DataError: The answers do not fit the task, or the examples cannot be told apart.
    """
    id_of, kind = _find_ids(source, task, data, results.answers, options.id_field), kind_of(task)
    examples = {example.id: example for example in data.examples}
    rows: list[NumberedRow] = []
    for number, answer in enumerate(results.answers, start=1):
        id = id_of(answer)
        example = examples.get(id)
        row = {"example_id": id, "prediction": None, "error": answer.error, **answer.columns}
        if example is not None and answer.error is None:
            row |= _prediction(_with_choice(answer, kind), example, data.labels)
        if options.score is not None and example is not None and not row["error"]:
            name, metric = options.score
            row[f"score.{metric}"] = _score(answer, name)
        rows.append((number, row))
    columns = dict.fromkeys(name for _, row in rows for name in row)
    return [(number, {name: row.get(name) for name in columns}) for number, row in rows]


def has_prompts(results: ImportedResults, rows: Sequence[NumberedRow], data: TaskData, prompting: Prompting) -> bool:
    """Tell whether all answers were given to the very prompts and choices that `prompting` makes.

    Args:
        results: The answers of the other tool.
        rows: Of the same answers, from `make_rows`.
        data: The split that was answered.
        prompting: How the suite writes its prompts.
    """
    examples = {example.id: example for example in data.examples}
    for answer, (_, row) in zip(results.answers, rows, strict=True):
        example = examples.get(row["example_id"])
        if example is None or answer.context is None:
            return False
        prompt = prompting.prompt(example)
        has_choices = not answer.choices or sorted(answer.choices) == sorted(prompt.continuations)
        if answer.context != prompt.context or not has_choices:
            return False
    return True


def _with_choice(answer: ImportedAnswer, kind: TaskKind[Any]) -> ImportedAnswer:
    """Return the answer with the choice that the task takes by the log-likelihoods, where the source has some."""
    try:
        chosen = kind.choose(answer.nats, answer.choices) if answer.nats else None
    except DataError as error:
        raise DataError(f"{answer.where}: {error}") from None
    return answer if chosen is None else replace(answer, chosen=chosen)


def _prediction(answer: ImportedAnswer, example: Example, labels: Sequence[str]) -> dict[str, Any]:
    """Return the columns of a row that hold the answer."""
    if answer.choices:
        return _chosen(answer, example, labels)
    if answer.text is None or not labels:
        return {"prediction": answer.text}
    text, choices = answer.text.strip(), [choice.strip() for choice in example.choices]
    if text in choices:
        return {"prediction": labels[choices.index(text)]}
    return {"prediction": None, "error": f"answered {text[:80]!r}, which is none of the choices"}


def _chosen(answer: ImportedAnswer, example: Example, labels: Sequence[str]) -> dict[str, Any]:
    theirs = [choice.strip() for choice in answer.choices]
    choices = [choice.strip() for choice in example.choices]
    if sorted(theirs) != sorted(choices) or len(set(choices)) < len(choices):
        raise DataError(f"{answer.where}: its choices {theirs} are not those of the suite, {choices}")
    if answer.chosen is None:
        return {"prediction": None, "error": f"answered {(answer.text or '')[:80]!r}, which is none of the choices"}
    # An example may have fewer choices than the task has labels, but not others.
    pairs = zip(labels, choices, strict=False)
    nats = {label: answer.nats[theirs.index(choice)] for label, choice in pairs if answer.nats}
    logliks = {f"loglik_nats.{label}": value for label, value in nats.items()}
    return {"prediction": labels[choices.index(theirs[answer.chosen])], **logliks}


_WORDS = {"c": 1.0, "yes": 1.0, "true": 1.0, "pass": 1.0, "i": 0.0, "no": 0.0, "false": 0.0, "fail": 0.0, "p": 0.5}
"""Scores in words: inspect's Correct, Incorrect, Partial and No answer (`n`), and those of judges."""
_NO_ANSWER = "n"


def _score(answer: ImportedAnswer, name: str) -> float | None:
    if name not in answer.scores:
        raise DataError(f"{answer.where}: has no score {name!r}; it has: {', '.join(answer.scores) or 'none'}")
    value = answer.scores[name]
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
            f"{answer.where}: {name} is {str(value)[:60]}, which goes into a figure of the whole corpus and is no "
            "score of this item; leave --score out, and such metrics follow from the answers"
        )
    raise DataError(f"{answer.where}: the score {name} is {value!r}, which is neither a number nor a known word")


def _find_ids(
    source: str, task: Task, data: TaskData, answers: Sequence[ImportedAnswer], id_field: str | None
) -> Callable[[ImportedAnswer], str]:
    """Return how an answer gets its example id, or a name for messages where its item is none of the examples."""
    first = answers[0]
    columns_id = task.columns.id
    name = id_field or (columns_id if columns_id in first.fields else None)
    if name is not None:
        if name not in first.fields:
            raise DataError(f"{source}: items have no field {name!r}; they have: {', '.join(first.fields) or 'none'}")
        return lambda answer: "" if is_missing(answer.fields.get(name)) else as_text(answer.fields[name])
    ids = {example.id for example in data.examples}
    if all(answer.id in ids for answer in answers):
        return lambda answer: str(answer.id)
    return _by_content(source, task, data, first)


def _by_content(source: str, task: Task, data: TaskData, first: ImportedAnswer) -> Callable[[ImportedAnswer], str]:
    names = placeholders(task.prompt)
    columns = [
        next((c for c in (task.columns.fields.get(name, name), name) if c in first.fields), None) for name in names
    ]
    known = [column for column in columns if column is not None]

    def unknown(answer: ImportedAnswer) -> str:
        return f"item {answer.id}" if answer.id is not None else answer.where

    if known and len(known) == len(names):
        contents = {tuple(value_text(e.fields[name]) for name in names): e.id for e in data.examples}
        return lambda answer: contents.get(tuple(value_text(answer.fields.get(c)) for c in known), unknown(answer))
    shown = {render(task.prompt, e.fields).strip(): e.id for e in data.examples}
    if len(names) == 1:  # what was asked may be the one field, without our words around it
        shown |= {value_text(e.fields[names[0]]).strip(): e.id for e in data.examples}
    if first.shown is not None:
        return lambda answer: shown.get((answer.shown or "").strip(), unknown(answer))
    raise DataError(
        f"{source}: cannot tell which example an item is: it has {', '.join(first.fields) or 'no field'}, the prompt "
        f"shows {', '.join(names) or 'no field'}. Name the field that holds the example's id with --id."
    )


def scorer_and_metric(suite: Suite, score: str) -> tuple[str, str]:
    """Split `NAME` or `NAME=METRIC` into the source's score and what it counts as: by default the first metric."""
    name, _, metric = score.rpartition("=")
    return (name, metric) if name and metric in get_args(MetricName) else (score, suite.metrics[0])
