"""The text of suites: one function for each kind of data. What follows the task is the test's own."""

from __future__ import annotations

from textwrap import indent

from mlbaseline.suite import ChoiceTask, Suite
from mlbaseline.suite.reading import parse_suite

ONE_KIND = """
gates: {waive: {MLB101: "every table here is of one kind", MLB102: "every table here is of one kind"}}
"""
"""For tables that are made up: all have the same signature, whichever kind of baseline they stand for."""


def fill(text: str, **values: object) -> str:
    """Put values into a suite, each in place of its name in capitals."""
    for name, value in values.items():
        assert name.upper() in text, f"the suite has no {name.upper()}"
        text = text.replace(name.upper(), str(value))
    return text


def choice_suite(
    rest: str,
    *,
    name: str,
    choices: str,
    prompt: str = "{text}",
    data: str = "data.csv",
    columns: str = "{text: text, target: label}",
    split: str = "{test: 1.0}",
    slices: str = "{}",
) -> str:
    """A suite whose task is a choice. Each argument is YAML; rest: metrics, baselines, matrix and so on."""
    return f"""
name: {name}
task:
  kind: choice
  data: {{source: {data}}}
  columns: {columns}
  prompt: "{prompt}"
  choices: {choices}
  split: {split}
  slices: {slices}
{rest.strip()}
"""


def yes_no_suite(rest: str, *, n: int, slices: str = "{}") -> str:
    """A suite for tables of answers `no` and `yes` to n test examples, as `judged` makes them."""
    return choice_suite(rest, name="small", choices='["no", "yes"]', split=f"{{test: {n}}}", slices=slices)


def reviews_suite(
    rest: str, *, split: str = "{train: 96, dev: 32, test: 120, seed: 1}", slices: str = "{}", name: str = "reviews"
) -> str:
    """A suite over the reviews that `workplace.write_reviews` writes."""
    columns = "{text: review, target: label}"
    return choice_suite(
        rest, name=name, data="reviews.csv", columns=columns, choices="[bad, good]", split=split, slices=slices
    )


def written_reviews_suite(rest: str, *, options: str = "") -> str:
    """A suite over the same reviews, whose labels a model writes. options: further keys of the task, as lines."""
    task = """
name: reviews
task:
  kind: generate
  data: {source: reviews.csv}
  columns: {text: review, target: label}
  prompt: "{text}:"
  split: {train: 96, dev: 32, test: 40, seed: 1}
  stop: ["\\n"]
  max_new_tokens: 8
"""
    return f"{task}{indent(options, '  ')}\n{rest.strip()}\n"


def rows_suite(rest: str, *, split: str, choices: str = '["no", "yes"]') -> str:
    """A suite over the rows of `written_data.rows_of`, in `data.jsonl`."""
    columns = "{text: text, target: label}"
    return choice_suite(rest, name="t", data="data.jsonl", columns=columns, choices=choices, split=split)


def sentiment_suite(rest: str, *, split: str, data: str = "data.csv") -> str:
    """A suite over the texts that `choice_task.write_data` writes, with the prompt of `choice_task`."""
    return choice_suite(
        rest,
        name="tiny",
        data=data,
        columns="{text: text, target: target}",
        prompt="Tweet: {text}\\nSentiment:",
        choices="[negative, neutral, positive]",
        split=split,
    )


JUDGED_METRICS = ("accuracy", "macro_f1", "nll_nats", "ece")
JUDGED = yes_no_suite(
    """
metrics: [accuracy, macro_f1, nll_nats, ece]
seeds: [0, 1, 2]
baselines:
  floor: {kind: trivial, strategy: majority}
  base: {kind: pretrained, model: {source: m}}
  lora: {kind: peft, method: lora, base: base, learning_rate: 1.0e-3}
  annotator: {kind: human, agreement: text}
matrix:
  correction: CORRECTION
  primary: [{candidate: lora, over: [floor, base], metric: METRIC}]
  guardrails: [{candidate: lora, over: [base], metric: accuracy, slices: [half], margin: -0.1}]
"""
    + ONE_KIND,
    n=400,
    slices="{half: {column: text}}",
)


def judged_suite(correction: str = "holm", metric: str = "accuracy") -> Suite:
    return parse_suite(fill(JUDGED, correction=correction, metric=metric))


REVIEW_LABELS = ("bad", "good")
REVIEW_TASK = ChoiceTask.model_validate(
    {
        "kind": "choice",
        "data": {"test": "data.jsonl"},
        "columns": {"text": "review", "target": "label"},
        "prompt": "Review: {text}",
        "choices": REVIEW_LABELS,
    }
)
