"""Weights of the test's examples: read from a column, or checked against the slice that they are to follow."""

from __future__ import annotations

from typing import Any

import pytest

from mlbaseline.errors import DataError
from mlbaseline.records import Example
from mlbaseline.suite import Weighting
from mlbaseline.tasks.weighing import weigh_examples


def examples(*values: Any) -> list[Example]:
    return [
        Example(f"i{n}", {"w": value}, "no", ("no", "yes"), slices={"half": "ab"[n % 2]})
        for n, value in enumerate(values)
    ]


def test_a_column_gives_each_example_its_weight() -> None:
    found = weigh_examples(examples("1", 2.5, "0.5"), Weighting(column="w"))
    assert [example.weight for example in found] == [1.0, 2.5, 0.5]


@pytest.mark.parametrize("value", [0, -1, "", None, "heavy", "inf", "nan"])
def test_an_example_without_a_weight_is_named(value: Any) -> None:
    with pytest.raises(DataError, match=r"'w' has no number above 0 for 1 of 3 examples of the test \(first: i1\)"):
        weigh_examples(examples(1, value, 2), Weighting(column="w"))


def test_the_column_must_be_there() -> None:
    with pytest.raises(DataError, match=r"no column 'weight' in the data of the test; there are: 'w'"):
        weigh_examples(examples(1, 2), Weighting(column="weight"))


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ({"a": 0.5, "c": 0.5}, "without a share: b; without an example: c"),
        ({"a": 0.4, "b": 0.4, "c": 0.2}, "without a share: none; without an example: c"),
    ],
)
def test_a_mix_names_what_the_test_has(mix: dict[str, float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        weigh_examples(examples(1, 2), Weighting(slice="half", mix=mix))
    assert weigh_examples(examples(1, 2), Weighting(slice="half", mix={"a": 0.9, "b": 0.1}))[0].weight is None
