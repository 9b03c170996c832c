"""`evaluation` of a suite file: placement of models, invariance, and what goes with neither."""

from __future__ import annotations

import pytest

from mlbaseline.suite.reading import parse_suite
from tests.support.ladders.tweets_suite import TWEETS, problems_of


def test_answering_dev_needs_a_dev() -> None:
    text = TWEETS.replace("max_length: 512}", "max_length: 512, answer_dev: true}")
    assert parse_suite(text).evaluation.answer_dev
    (problem,) = problems_of(("max_length: 512}", "max_length: 512, answer_dev: true}"), ("dev: 120, ", ""))
    assert "evaluation.answer_dev: expected a split dev to answer, the suite has none" in problem


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("max_memory: {0: 70GiB}", "max_memory: goes with a strategy in `device_map`"),
        ("device_map: {lm_head: 0}, max_memory: {0: 70GiB}", "max_memory: goes with a strategy in `device_map`"),
        ("device_map: everywhere", "evaluation.device_map"),
        ("device_map: {lm_head: gpu}", "evaluation.device_map"),
        ("device_map: auto, max_memory: {0: much}", "evaluation.max_memory.0"),
        ("device_map: auto, generate_with: vllm", "device_map: vllm places a model in a way of its own"),
    ],
)
def test_a_placement_that_cannot_be_is_an_error(options: str, said: str) -> None:
    assert said in " ".join(problems_of(("precision: auto,", f"precision: auto, {options},")))


def test_quantised_weights_lie_on_one_device() -> None:
    (problem,) = problems_of(("precision: auto,", "precision: int4, device_map: auto,"))
    assert "device_map: expected a precision without quantised weights, got int4" in problem


def test_invariance_is_an_option_that_leaves_other_digests_alone() -> None:
    suite = parse_suite(TWEETS)
    invariant = parse_suite(TWEETS.replace("max_length: 512}", "max_length: 512, invariant: true}"))
    assert "invariant" not in suite.evaluation.model_dump()
    assert invariant.evaluation.model_dump()["invariant"] is True
    assert invariant.digest != suite.digest
    (problem,) = problems_of(("precision: auto,", "precision: int8, invariant: true,"))
    assert "invariant: expected a precision without quantised weights, got int8" in problem
    (problem,) = problems_of(("precision: auto,", "precision: auto, generate_with: transformers, invariant: true,"))
    assert "invariant: what transformers generates depends on its batch; expected `generate_with: engine`" in problem
