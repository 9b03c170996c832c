"""What the cell of a data file means: nothing, a text, a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

NumberedRow = tuple[int, Mapping[str, Any]]
"""Number of a row in its file, and column ─▶ value."""

_NOT_A_NUMBER = frozenset({"", "na", "n/a", "nan", "null", "none"})


def is_missing(value: Any) -> bool:
    """Nothing there: null, NaN, or text without a visible character."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and math.isnan(value))


def as_text(value: Any) -> str:
    """Read a value as a label or name: 1 and 1.0 are both "1", since a column with gaps makes floats of integers."""
    if isinstance(value, str):
        return value
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def as_number(value: Any) -> float | None:
    """Read the value as a number, None where it is missing ("NA", "null" and their like included).

    Raises ValueError if it is something else.
    """
    if is_missing(value) or (isinstance(value, str) and value.strip().casefold() in _NOT_A_NUMBER):
        return None
    if not isinstance(value, str | int | float):
        raise ValueError(f"not a number: {value!r}")
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError("not a number: an integer that no float can hold") from error
