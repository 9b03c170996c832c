from __future__ import annotations

from typing import Any

import pytest

from mlbaseline.values import as_number, as_text, is_missing


@pytest.mark.parametrize("value", [None, "", " \t\n", float("nan")])
def test_missing(value: Any) -> None:
    assert is_missing(value)
    assert as_number(value) is None


@pytest.mark.parametrize("value", [0, 0.0, False, "0", "NA", "null", []])
def test_not_missing(value: Any) -> None:
    assert not is_missing(value)


def test_text_of_a_whole_float_is_that_of_the_integer() -> None:
    assert [as_text(value) for value in (1, 1.0, 1.5, "1.0", True)] == ["1", "1", "1.5", "1.0", "True"]


@pytest.mark.parametrize(
    ("value", "number"), [("0.75", 0.75), (" 1e3 ", 1000.0), (2, 2.0), ("NA", None), ("NaN", None)]
)
def test_numbers(value: Any, number: float | None) -> None:
    assert as_number(value) == number


@pytest.mark.parametrize("value", ["high", "1,5", [1], {}, 10**400])
def test_not_a_number(value: Any) -> None:
    with pytest.raises(ValueError, match=r"1,5|high|\[1\]|\{\}|no float can hold"):
        as_number(value)
