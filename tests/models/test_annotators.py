"""What annotators said: the expected score of one, the vote of all, and how far they agree."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from mlbaseline.errors import DataError
from mlbaseline.models.annotators import Annotators, read_labels
from mlbaseline.records import Example, TaskData

LABELS = ("1", "2", "3", "4", "5")

# The reliability data of Krippendorff (2011), Computing Krippendorff's alpha-reliability, section C: four observers,
# twelve units, values missing; nominal alpha is 0.743.
OBSERVERS = {
    "A": [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    "B": [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    "C": [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    "D": [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
}
TARGETS = [1, 2, 3, 3, 2, 1, 4, 1, 2, 5, 1, 3]
DATA = TaskData(
    "test", tuple(Example(f"u{i}", {}, str(target), LABELS) for i, target in enumerate(TARGETS)), LABELS, "d" * 64
)


def rows(**observers: list[Any]) -> list[tuple[int, dict[str, Any]]]:
    long = [
        {"example_id": f"u{i}", "annotator": name, "label": label}
        for name, labels in observers.items()
        for i, label in enumerate(labels)
    ]
    return list(enumerate(long, start=1))


def annotators(**observers: list[Any]) -> Annotators:
    return Annotators(read_labels(rows(**observers), DATA, where="human"), LABELS, "f" * 64)


def test_alpha_is_the_published_one() -> None:
    assert annotators(**OBSERVERS).figures(DATA)["human", "alpha"] == pytest.approx(0.743, abs=5e-4)


def test_each_annotator_against_target_and_others() -> None:
    figures = annotators(**OBSERVERS).figures(DATA)
    assert figures["human", "annotators"] == 4
    assert figures["human", "labelled"] == 1.0
    assert figures["human", "annotator", "A", "accuracy"] == 1.0
    assert figures["human", "annotator", "C", "accuracy"] == pytest.approx(7 / 10)
    # On u5 the others of A say 2, 3 and 4: no label leads, and A's 1 is not among them.
    assert figures["human", "annotator", "A", "with_others"] == pytest.approx(8 / 9)


def test_the_score_is_that_of_one_annotator_and_the_prediction_the_vote() -> None:
    answers = {answer.example_id: answer for answer in annotators(**OBSERVERS).answer(DATA.examples)}
    assert answers["u1"].scores == {"accuracy": 0.75}
    assert answers["u1"].prediction == "2"
    assert answers["u5"].prediction == "1"  # four labels lead: the first in label order
    assert np.mean([answer.scores["accuracy"] for answer in answers.values()]) < 1.0


def test_an_example_that_nobody_labelled_has_neither_score_nor_failure() -> None:
    model = annotators(A=[1, *[None] * 11], B=[None] * 12)
    first, second, *_ = model.answer(DATA.examples)
    assert (first.prediction, first.scores) == ("1", {"accuracy": 1.0})
    assert (second.prediction, second.scores, second.error) == (None, {}, None)
    figures = model.figures(DATA)
    assert figures["human", "labelled"] == pytest.approx(1 / 12)
    assert ("human", "alpha") not in figures
    assert not any(math.isnan(value) for value in figures.values())


def test_one_label_throughout_has_no_alpha() -> None:
    assert ("human", "alpha") not in annotators(A=[1] * 12, B=[1] * 12).figures(DATA)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"example_id": "u99"}, r"1 ids that are not in the split test; .*\(row 1: 'u99'\)"),
        ({"label": "six"}, r"1 labels that are none of .*\(row 1: 'six'\)"),
        ({"annotator": " "}, r"1 labels without an annotator \(row 1\)"),
        ({"example_id": "u1"}, r"1 annotators that label an example twice \(row 2: 'A', 'u1'\)"),
    ],
)
def test_what_does_not_fit_is_said(change: dict[str, Any], message: str) -> None:
    given = rows(A=TARGETS)
    given[0][1].update(change)
    with pytest.raises(DataError, match=message):
        read_labels(given, DATA, where="human")


def test_other_files_are_told_by_their_columns() -> None:
    with pytest.raises(DataError, match="expected the columns example_id, annotator, label, got: id"):
        read_labels([(1, {"id": "u1"})], DATA, where="human")
    with pytest.raises(DataError, match="no row has a label"):
        read_labels(rows(A=[None] * 12), DATA, where="human")
