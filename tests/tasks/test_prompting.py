from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from mlbaseline.errors import DataError
from mlbaseline.records import Example, TaskData
from mlbaseline.suite import Shots
from mlbaseline.tasks.prompting import Prompting, choose_shots, placeholders, render, shots_text

TEMPLATE = "Tweet: {text}\nSentiment:"
CHOICES = ("very bad", "good")


def example(position: int, text: str | None = None) -> Example:
    fields = {"text": text or f"tweet {position}", "label": position % 2}
    return Example(f"id{position}", fields, CHOICES[position % 2], CHOICES)


def data(number: int) -> TaskData:
    return TaskData("train", tuple(example(i) for i in range(number)), CHOICES, "")


def prefix_of(template: str, shots: Shots, train: TaskData, seed: int) -> str:
    return shots_text(template, choose_shots(shots, train, seed), train.labels)


def test_a_prompt_is_the_prefix_the_template_and_one_continuation_a_choice() -> None:
    prompt = Prompting(TEMPLATE, "Be brief.\n\n").prompt(example(0))
    assert prompt.context == "Be brief.\n\nTweet: tweet 0\nSentiment:"
    assert prompt.continuations == (" very bad", " good")


def test_braces_in_the_data_are_only_text() -> None:
    assert render("{{{text}}}", {"text": "{label} {0} {{"}) == "{{label} {0} {{}"


def test_values_are_shown_as_they_are() -> None:
    assert render("{a} {b} {c}", {"a": 7, "b": 0.5, "c": ["é", 1]}) == '7 0.5 ["é", 1]'


def test_placeholders_in_order_and_once() -> None:
    assert placeholders("{b} {a b} {{c}} {b}") == ("b", "a b")


@pytest.mark.parametrize("template", ["{text!r}", "{text:>10}", "{}", "{text:{label}}"])
def test_what_is_no_plain_placeholder_is_refused(template: str) -> None:
    with pytest.raises(DataError, match=r"is not a plain placeholder; write \{name\}"):
        placeholders(template)


@pytest.mark.parametrize("template", ["{text.__class__}", "{text[0]}", "{text.__init__.__globals__}", "{0}"])
def test_attributes_and_indices_are_names_that_no_data_has(template: str) -> None:
    with pytest.raises(DataError, match=r"no field '.*'; the example has: text, label"):
        Prompting(template).prompt(example(0))


@pytest.mark.parametrize("template", ["{text", "text}", "{te{xt}"])
def test_unbalanced_braces_are_refused(template: str) -> None:
    with pytest.raises(DataError, match=r"write a literal brace as \{\{ or \}\}"):
        placeholders(template)


def test_few_shot_takes_the_first_of_train() -> None:
    assert prefix_of(TEMPLATE, Shots(k=2), data(5), seed=0) == (
        "Tweet: tweet 0\nSentiment: very bad\n\nTweet: tweet 1\nSentiment: good\n\n"
    )


def test_few_shot_by_seed_differs_by_seed_and_not_by_order() -> None:
    shots = Shots(k=5, sample="seed")
    train = data(40)
    turned = TaskData("train", train.examples[::-1], CHOICES, "")
    prefixes = [prefix_of(TEMPLATE, shots, train, seed) for seed in range(4)]
    assert prefixes == [prefix_of(TEMPLATE, shots, turned, seed) for seed in range(4)]
    assert len(set(prefixes)) == 4
    assert all(prefix.count("Tweet: ") == len({*prefix.split("\n\n")} - {""}) == 5 for prefix in prefixes)


def test_more_shots_than_train_has_is_an_error() -> None:
    with pytest.raises(DataError, match="shots: expected at least 6 examples, train has 5"):
        prefix_of(TEMPLATE, Shots(k=6), data(5), seed=0)


@pytest.fixture
def lm_eval_task() -> Any:
    import datasets
    from lm_eval.api.task import ConfigurableTask

    rows = [dict(example(i).fields) for i in range(6)]
    split = datasets.Dataset.from_list(rows)
    test = datasets.Dataset.from_list([dict(example(1, "braces {x} and  two spaces ").fields)])
    return ConfigurableTask(
        config={
            "task": "joining",
            "custom_dataset": lambda **_: {"train": split, "test": test},
            "output_type": "multiple_choice",
            "fewshot_split": "train",
            "fewshot_config": {"sampler": "first_n"},
            "test_split": "test",
            "doc_to_text": "Tweet: {{text}}\nSentiment:",
            "doc_to_target": "{{label}}",
            "doc_to_choice": list(CHOICES),
            "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        }
    )


@pytest.mark.parametrize("k", [0, 1, 3])
def test_joins_as_lm_eval_does(lm_eval_task: Any, k: int) -> None:
    doc = next(iter(lm_eval_task.test_docs()))
    context = lm_eval_task.fewshot_context(doc, num_fewshot=k)
    requests = lm_eval_task.construct_requests(doc, context, metadata=("joining", 0, 1))
    prefix = prefix_of(TEMPLATE, Shots(k=k), data(6), seed=0) if k else ""
    ours = Prompting(TEMPLATE, prefix).prompt(example(1, doc["text"]))
    assert [request.args for request in requests] == [
        (ours.context, continuation) for continuation in ours.continuations
    ]


def test_a_prefix_ends_where_the_next_prompt_starts() -> None:
    prefixes = [prefix_of(TEMPLATE, Shots(k=k), data(4), seed=0) for k in (1, 2, 3)]
    assert all(longer.startswith(shorter) and shorter.endswith("\n\n") for shorter, longer in pairwise(prefixes))
