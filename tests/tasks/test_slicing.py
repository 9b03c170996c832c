from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mlbaseline.errors import DataError
from mlbaseline.records import Example
from mlbaseline.suite import Slicing
from mlbaseline.tasks.slicing import slice_examples


def examples(values: list[Any]) -> list[Example]:
    return [Example(f"i{n}", {"x": value}, "no", ("no", "yes")) for n, value in enumerate(values)]


def cut(values: list[Any], other: list[Any] | None = None, **slicing: Any) -> list[str]:
    """The slice values of `other` (or of the test split itself) where `values` are the test split's."""
    splits = {"test": examples(values), "train": examples(other or [])}
    sliced = slice_examples({"s": Slicing(column="x", **slicing)}, splits)
    return [example.slices["s"] for example in sliced["train" if other else "test"]]


def test_patterns_first_match_wins() -> None:
    patterns = {"air": "(?i)flight", "car": "car"}
    values = ["my FLIGHT and car", "a car", "neither", "", None]
    assert cut(values, patterns=patterns, default="rest") == ["air", "car", "rest", "missing", "missing"]


def test_bins_are_half_open_and_the_last_is_closed() -> None:
    values = ["0", 0.69, "0.7", 0.95, "1", "", "NA", None, 1.01, -1]
    assert cut(values, bins=(0, 0.7, 0.95, 1), labels=("low", "mid", "high")) == [
        *("low", "low", "mid", "high", "high"),
        *("missing", "missing", "missing", "outside", "outside"),
    ]


def test_bins_without_labels_are_named_by_their_edges() -> None:
    assert cut([0, 1], bins=(0, 0.5, 1)) == ["0 to 0.5", "0.5 to 1"]


def test_bins_of_text_are_an_error() -> None:
    with pytest.raises(DataError, match=r"task\.slices\.s: expected numbers in column 'x', example 'i1' has 'high'"):
        cut([0.1, "high"], bins=(0, 1))


def test_quantiles_of_numbers_are_equally_large() -> None:
    values = [str(n) for n in (5, 3, 1, 2, 4, 6)]
    assert cut(values, quantiles=3) == ["q3", "q2", "q1", "q1", "q2", "q3"]


def test_quantiles_of_text_are_by_length() -> None:
    assert cut(["aaaa", "b", "cc", "dddddd", None], quantiles=2) == ["q2", "q1", "q1", "q2", "missing"]


def test_equal_values_fall_into_one_group() -> None:
    assert cut([1, 1, 1, 1, 2, 3], quantiles=2) == ["q1", "q1", "q1", "q1", "q2", "q2"]


def test_every_split_is_cut_at_the_edges_of_test() -> None:
    assert cut([1, 2, 3, 4], other=[2, 2.5, 100, -5], quantiles=2) == ["q1", "q2", "q2", "q1"]


def test_too_few_different_values_for_the_quantiles() -> None:
    with pytest.raises(DataError, match=r"task\.slices\.s: no test example has the value 'q3', there is: q1, q2"):
        cut([1, 1, 2, 2], quantiles=3)
    with pytest.raises(DataError, match="is empty in the whole test split"):
        cut(["", None], quantiles=2)


def test_values_of_a_column() -> None:
    assert cut(["en", "de", "", 1.0, 1, True]) == ["en", "de", "missing", "1", "1", "True"]


def test_a_value_without_a_test_example_is_an_error_with_all_of_them_at_once() -> None:
    slicings = {
        "topic": Slicing(column="x", patterns={"one": "1", "seven": "7"}),
        "size": Slicing(column="x", bins=(0, 5, 10), labels=("small", "large")),
    }
    with pytest.raises(DataError) as caught:
        slice_examples(slicings, {"test": examples([1, 2]), "train": examples([7])})
    message = str(caught.value)
    assert "task.slices.topic: no test example has the value 'seven', there is: one, other, seven; correct" in message
    assert "task.slices.size: no test example has the value 'large', there is: large, small; correct" in message


def test_a_default_without_an_example_is_no_error(tmp_path: Path) -> None:
    assert cut(["1"], patterns={"one": "1"}) == ["one"]


def test_classes_of_the_target_are_slices() -> None:
    labelled = [Example(f"i{n}", {}, target, ("no", "yes")) for n, target in enumerate(["no", "yes", "no"])]
    sliced = slice_examples({"class": Slicing(target=True)}, {"test": labelled})
    assert [example.slices["class"] for example in sliced["test"]] == ["no", "yes", "no"]
    assert "target" not in Slicing(column="x").model_dump()  # suites of before keep their digest


@pytest.mark.parametrize("keys", [{}, {"column": "x", "target": True}, {"target": True, "quantiles": 2}])
def test_a_slice_is_by_a_column_or_by_the_target(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="target"):
        Slicing(**keys)
