"""Which answers people are shown, and whose score a label becomes."""

from __future__ import annotations

import numpy as np
import pytest

from mlbaseline.metrics.labels import Labels, answers_sha256, draw_order, item_of, label_scores, score_without_judge
from mlbaseline.records import Answer, Example, Signature, TaskData
from mlbaseline.results import ResultTable, tabulate

IDS = [f"e{i:04d}" for i in range(2_000)]


def table(answers: dict[str, str | None]) -> ResultTable:
    examples = tuple(Example(id, {"q": id}, "right", ()) for id in answers)
    given = [Answer(id, text, error=None if text is not None else "failed") for id, text in answers.items()]
    data = TaskData("test", examples, (), "d" * 64)
    return tabulate(data, given, baseline="a", kind="trivial", seed=None, signature=Signature({}))


def test_the_draw_is_a_simple_random_sample_that_more_labels_continue() -> None:
    """Over many data sets every example is drawn as often as any other; the order of the rows does not matter."""
    order = draw_order(IDS, data_digest="d", metric="helpful")
    assert order == draw_order(IDS[::-1], data_digest="d", metric="helpful")
    assert sorted(order) == IDS
    assert order != draw_order(IDS, data_digest="d", metric="polite")
    few = [f"e{i}" for i in range(20)]
    counts = dict.fromkeys(few, 0)
    for digest in range(2_000):
        for id in draw_order(few, data_digest=str(digest), metric="m")[:5]:
            counts[id] += 1
    assert all(400 < count < 600 for count in counts.values())  # 500 expected, standard deviation 19


def test_an_item_is_of_exactly_one_answer() -> None:
    assert item_of("m", "e1", "yes") == item_of("m", "e1", "yes")
    others = [
        item_of("m", "e1", "yes."),
        item_of("m", "e2", "yes"),
        item_of("n", "e1", "yes"),
        item_of("m", "e1y", "es"),
    ]
    assert item_of("m", "e1", "yes").id not in {other.id for other in others}


def test_two_answers_have_one_item_and_are_shown_in_random_order() -> None:
    pairs = [(item_of("m", id, "one", "two"), item_of("m", id, "two", "one")) for id in IDS]
    assert all(ours.id == theirs.id and ours.is_swapped != theirs.is_swapped for ours, theirs in pairs)
    assert 0.45 < np.mean([ours.is_swapped for ours, _ in pairs]) < 0.55


def test_labels_become_scores_of_the_side_that_was_labelled() -> None:
    answers = {"e1": "one", "e2": "same", "e3": None, "e4": "four", "e5": "five"}
    other = {"e1": "two", "e2": "same", "e3": "three", "e4": None, "e5": "six"}
    item = item_of("m", "e1", "one", "two")
    votes = {item.id: {"kim": 1.0, "lee": 0.5}}
    labels = Labels(votes, drawn=5, sha256="")
    expected = 0.25 if item.is_swapped else 0.75
    scores = label_scores(table(answers), "m", labels, other)
    assert scores.tolist() == [expected, 0.5, 0.0, 1.0, pytest.approx(np.nan, nan_ok=True)]
    mirrored = label_scores(table(other), "m", labels, answers)
    assert mirrored[0] == 1.0 - expected


def test_a_failed_answer_is_the_worst_without_a_label() -> None:
    alone = label_scores(table({"e1": None, "e2": "x"}), "m", Labels({}, 2, ""), None)
    assert alone[0] == 0.0
    assert np.isnan(alone[1])
    assert score_without_judge("x", None, is_pair=False) is None


def test_the_digest_of_answers_tells_them_apart() -> None:
    digests = {answers_sha256(a) for a in ({"e": None}, {"e": ""}, {"e": "x"}, {"ex": ""}, {})}
    assert len(digests) == 5
