from __future__ import annotations

import math
from dataclasses import replace

import pytest

from mlbaseline.judge.determinism import AnswerDifference, Stability, difference_of, differing_share, judge_stability
from mlbaseline.records import Answer

ONE = Answer("a", "x", loglik_nats=(-1.0, -2.0), tokens_in=5, compute_s=1.0)
FIRST = {"a": ONE, "b": replace(ONE, example_id="b", prediction="y")}


@pytest.mark.parametrize(
    ("change", "identical", "nats", "predictions"),
    [
        ({}, 2, 0.0, 0),
        ({"compute_s": 9.0, "latency_s": 1.0, "batch": 3}, 2, 0.0, 0),
        ({"loglik_nats": (-1.0, -2.25)}, 1, 0.25, 0),
        ({"loglik_nats": (-2.0, -1.0), "prediction": "y"}, 1, 1.0, 1),
        ({"raw": "x and more"}, 1, 0.0, 0),
        ({"error": "no memory", "prediction": None}, 1, 0.0, 1),
        ({"loglik_nats": ()}, 1, math.inf, 0),
        ({"sums": {"nats": 3.0}}, 1, math.inf, 0),
        ({"loglik_nats": (-1.0, -math.inf)}, 1, math.inf, 0),
    ],
)
def test_what_differs_is_counted(change: dict, identical: int, nats: float, predictions: int) -> None:
    found = difference_of(FIRST, {**FIRST, "a": replace(ONE, **change)})
    assert found == AnswerDifference(2, identical, nats, predictions)


def test_impossible_choices_that_stay_impossible_do_not_differ() -> None:
    never = {"a": replace(ONE, loglik_nats=(-1.0, -math.inf))}
    assert difference_of(never, never) == AnswerDifference(1, 1, 0.0, 0)


def test_texts_alone_have_no_nats() -> None:
    texts = {"a": Answer("a", "yes"), "b": Answer("b", "no")}
    found = difference_of(texts, {"b": Answer("b", "maybe")})
    assert (found.n, found.n_identical, found.n_predictions) == (1, 0, 1)
    assert math.isnan(found.largest_nats)


def test_an_example_of_which_nothing_is_known_is_an_error() -> None:
    with pytest.raises(KeyError):
        difference_of({}, FIRST)


def test_seeds_are_compared_in_pairs_on_what_they_share() -> None:
    assert differing_share([{"a": 1, "b": 1}, {"a": 0, "c": 1}]) == 1.0
    assert differing_share([{"a": 1}, {"a": 1}]) == 0.0


@pytest.mark.parametrize(
    ("n_identical", "n_predictions", "seeds", "stability"),
    [
        (100, 0, [], Stability.IDENTICAL),
        (99, 0, [], Stability.UNKNOWN),
        (99, 0, [0.0], Stability.SMALL),
        (90, 1, [0.0], Stability.LARGE),
        (90, 5, [0.5, 0.2], Stability.SMALL),
        (90, 6, [0.5, 0.2], Stability.LARGE),
    ],
)
def test_what_differs_is_judged_beside_the_seeds(
    n_identical: int, n_predictions: int, seeds: list[float], stability: Stability
) -> None:
    differences = [AnswerDifference(100, 100, 0.0, 0), AnswerDifference(100, n_identical, 0.1, n_predictions)]
    assert judge_stability(differences, seeds) is stability
