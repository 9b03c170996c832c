"""Judged metrics in a suite file: what may be said, what is wrong with the rest, what their signature depends on."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mlbaseline.errors import SuiteError
from mlbaseline.suite import JudgedMetric, Suite
from mlbaseline.suite.reading import load_suite, parse_suite

ENDPOINT = {"url": "http://localhost:8000", "protocol": "chat", "model": "m"}
HELPFUL: dict[str, Any] = {"rubric": "How helpful?", "judge": {"endpoint": ENDPOINT}}


def suite(metric: Any = None, **changes: Any) -> Suite:
    """A suite with one judged metric, and with other keys where a test says so."""
    content = {
        "name": "qa",
        "task": {
            "kind": "generate",
            "data": {"test": "q.jsonl"},
            "columns": {"q": "question", "target": "answer"},
            "prompt": "{q}",
        },
        "metrics": ["exact_match", {"helpful": HELPFUL if metric is None else metric}],
        "baselines": {
            "old": {"kind": "trivial", "strategy": "majority"},
            "new": {"kind": "trivial", "strategy": "constant", "default": "x"},
            "paper": {"kind": "external", "metric": "exact_match", "value": 0.5, "source": "somewhere"},
        },
        "matrix": {"primary": [{"candidate": "new", "over": ["old"], "metric": "helpful"}]},
    }
    return parse_suite(yaml.safe_dump({**content, **changes}, sort_keys=False))


def problems(metric: Any = None, **changes: Any) -> str:
    with pytest.raises(SuiteError) as raised:
        suite(metric, **changes)
    return "\n".join(raised.value.problems)


def test_a_judged_metric_is_one_among_the_names() -> None:
    read = suite()
    assert read.metrics == ("exact_match", "helpful")
    assert read.judged["helpful"].options == ("1", "2", "3", "4", "5")
    assert [read.judged["helpful"].score_of(option) for option in ("1", "4", "5")] == [0.0, 0.75, 1.0]
    written = yaml.safe_dump(read.model_dump(mode="json", exclude_none=True))
    assert parse_suite(written).digest == read.digest


def test_suites_without_a_judge_keep_their_digest() -> None:
    assert load_suite("tweets").digest.startswith("8cb4a99f83d7e418")


def test_two_answers_are_compared_by_three_words() -> None:
    metric = suite({**HELPFUL, "against": "old"}).judged["helpful"]
    assert {option: metric.score_of(option) for option in metric.options} == {"A": 1.0, "B": 0.0, "tie": 0.5}


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ({"judge": {"endpoint": ENDPOINT}}, "metrics.1.helpful: `rubric` is missing"),
        (
            {**HELPFUL, "judge": {}},
            "metrics.1.helpful.judge: expected one of endpoint, scorer, function, recorded, got",
        ),
        ({**HELPFUL, "judge": {"endpoint": ENDPOINT, "function": "a:b"}}, "got endpoint and function"),
        ({**HELPFUL, "judge": {"function": "no function"}}, "metrics.1.helpful.judge.function: string should match"),
        (
            {**HELPFUL, "judge": {"endpoint": {**ENDPOINT, "stream": True}}},
            "helpful.judge.endpoint: `stream` is of no use",
        ),
        ({**HELPFUL, "judge": {"endpoint": {"url": "http://a", "protocol": "mlflow"}}}, "got `mlflow`"),
        ({**HELPFUL, "scale": [5, 1]}, "scale: expected two whole numbers from 0 to 100"),
        ({**HELPFUL, "scale": [0, 1], "against": "old"}, "`scale` is of single answers"),
        (
            {**HELPFUL, "against": "older"},
            "metrics.1.helpful.against: unknown baseline 'older'; the suite has: old, new",
        ),
        ({**HELPFUL, "against": "paper"}, "metrics.1.helpful.against: 'paper' has no answers of its own"),
        ({**HELPFUL, "judge": {"recorded": {"path": "x"}}, "against": "old"}, "sees two answers, got `recorded`"),
        ({**HELPFUL, "rubrik": "?"}, "metrics.1.helpful.rubrik: unknown key, got '?'"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(metric: dict[str, Any], expected: str) -> None:
    assert expected in problems(metric)


def test_all_problems_are_told_at_once() -> None:
    listed = problems(
        metrics=["exact_match", {"bleu": {**HELPFUL, "against": "nobody", "more": 1}}, "exact_match"],
        matrix={"primary": [{"candidate": "new", "over": ["old"], "metric": "helpful"}]},
    )
    for expected in (
        "metrics.1.bleu: is the name of a built-in metric",
        "metrics.1.bleu.against: unknown baseline 'nobody'",
        "metrics.1.bleu.more: unknown key",
        "metrics.2: 'exact_match' stands twice",
        "matrix.primary.0.metric: 'helpful' is not among the suite's metrics",
    ):
        assert expected in listed


def test_metrics_are_a_list() -> None:
    assert "a judged metric is one of its items, `- NAME: {judge: …}`" in problems(metrics={"helpful": HELPFUL})


def test_a_judge_scores_texts_only() -> None:
    task = {
        "kind": "choice",
        "data": {"test": "q.jsonl"},
        "columns": {"target": "answer"},
        "prompt": "{q}",
        "choices": ["a", "b"],
    }
    assert "a judge scores texts, and a task of kind choice generates none" in problems(task=task)


def test_answers_that_differ_by_seed_are_nothing_to_compare_with() -> None:
    task = {
        "kind": "generate",
        "data": {"test": "q.jsonl"},
        "columns": {"q": "question", "target": "answer"},
        "prompt": "{q}",
        "temperature": 0.7,
    }
    model = {"kind": "pretrained", "model": {"source": "m"}}
    rungs = {"old": model, "new": model}
    assert "'old' answers differently with each seed" in problems(
        {**HELPFUL, "against": "old"}, task=task, baselines=rungs
    )


def test_labels_and_patience_change_no_score() -> None:
    patient = {"endpoint": {**ENDPOINT, "timeout_s": 5, "retries": 1, "api_key_env": "KEY"}, "anchors": 3}
    same = suite({**HELPFUL, "judge": patient, "labels": "labels.csv"}).judged["helpful"]
    assert same.distinguishing() == suite().judged["helpful"].distinguishing()
    other = suite({**HELPFUL, "judge": {"endpoint": {**ENDPOINT, "model": "other"}}}).judged["helpful"]
    assert other.distinguishing() != same.distinguishing()
    assert isinstance(same, JudgedMetric)
