"""Kinds of task in a suite file: what each one decides, and what does not go with it."""

from __future__ import annotations

import pytest

from mlbaseline.errors import SuiteError
from mlbaseline.suite import Full
from mlbaseline.suite.reading import parse_suite
from tests.support.ladders.tweets_suite import GENERATE, PERPLEXITY


@pytest.mark.parametrize(
    ("text", "metric"), [(GENERATE, "exact_match"), (PERPLEXITY, "byte_perplexity")], ids=["generate", "perplexity"]
)
def test_what_is_left_out_follows_from_the_kind_of_the_task(text: str, metric: str) -> None:
    suite = parse_suite(text)
    assert suite.metrics == (metric,)
    assert suite.matrix.primary[0].metric == metric
    full = suite.baselines["full"]
    assert isinstance(full, Full)
    assert full.select == "nll_nats"
    assert parse_suite(text.replace("1.0e-3}", "1.0e-3, select: " + metric + "}")).digest != suite.digest


def test_a_rung_runs_once_a_seed_where_its_answers_are_drawn() -> None:
    greedy = parse_suite(GENERATE)
    drawn = parse_suite(GENERATE.replace("  split:", "  temperature: 0.8\n  samples: 4\n  k: 2\n  split:"))
    assert [greedy.is_random(name) for name in ("rule", "zero_shot", "full")] == [True, False, True]
    assert [drawn.is_random(name) for name in ("rule", "zero_shot", "full")] == [True, True, True]
    assert not parse_suite(PERPLEXITY).is_random("rule")  # nothing is drawn from the frequencies of bytes


WITH = "evaluation: {generate_with"


@pytest.mark.parametrize(
    ("text", "old", "new", "expected"),
    [
        (GENERATE, "matrix:", "metrics: [chrf, accuracy]\nmatrix:", "metrics.1: 'accuracy' is of tasks of kind choice"),
        (GENERATE, "stratified", "uniform", "baselines.rule.strategy: 'uniform' cannot answer a task of kind generate"),
        (GENERATE, "stratified", "constant", "`default` alone with `constant`"),
        (GENERATE, "  split:", "  extract: '('\n  split:", "task.extract: not a regular expression"),
        (GENERATE, "  split:", "  samples: 2\n  split:", "would all be the same at temperature 0"),
        (GENERATE, "  split:", "  k: 2\n  split:", "must not exceed the samples"),
        (GENERATE, "  split:", "  choices: [a, b]\n  split:", "task.choices: unknown key"),
        (GENERATE, ", target: answer", "", "task.columns.target: is missing"),
        (GENERATE, "  split:", "  slices: {class: {target: true}}\n  split:", "tasks of kind choice"),
        (
            GENERATE,
            "kind: generate",
            "kind: write",
            "task.kind: expected one of choice, generate, perplexity, lm_eval, got",
        ),
        (GENERATE, "kind: trivial, strategy: stratified", "kind: human, labels: a.csv", "has none; their texts can be"),
        (
            PERPLEXITY,
            "source: model}",
            "source: model}, shots: 2",
            "baselines.zero_shot.shots: a text whose",
        ),
        (PERPLEXITY, "{text: text}", "{body: text}", "task.columns.text: is missing"),
        (PERPLEXITY, "matrix:", f"{WITH}: vllm}}\nmatrix:", "a task of kind perplexity generates no texts"),
        (
            GENERATE.replace("  split:", "  temperature: 0.5\n  split:"),
            "matrix:",
            f"{WITH}: transformers}}\nmatrix:",
            "draws depends on the batch",
        ),
        (GENERATE, "matrix:", f"{WITH}: llama}}\nmatrix:", "evaluation.generate_with: input should be 'engine'"),
        (PERPLEXITY, "1.0e-3", "1.0e-3, select: accuracy", "'accuracy' is not among the suite's metrics"),
    ],
)
def test_what_does_not_fit_the_kind_of_the_task_is_said(text: str, old: str, new: str, expected: str) -> None:
    assert old in text
    with pytest.raises(SuiteError) as caught:
        parse_suite(text.replace(old, new))
    assert expected in "\n".join(caught.value.problems)
