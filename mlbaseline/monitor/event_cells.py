"""What a cell of an event may say: others wrote it, and columns have whatever type their reader gave them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pandas as pd

from mlbaseline.untrusted import excerpt
from mlbaseline.values import is_missing

LONGEST_TEXT = 200
"""Characters of a request id, unit, experiment or slice value."""
_LARGEST = 10**300
_TRUE, _FALSE = {"true", "1", "1.0", "yes"}, {"false", "0", "0.0", "no"}


def is_textual(column: pd.Series) -> bool:
    """Whether a column may hold anything but numbers and times."""
    return bool(pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column))


def by_value(column: pd.Series, change: Callable[[object], object]) -> pd.Series:
    """Apply a function to a column, once for each distinct value where its values can be hashed."""
    values = column.astype(object).where(column.notna(), None).tolist()
    kinds = set(map(type, values))
    changed: list[object]
    if kinds <= {str, type(None)}:
        known = {value: None if value is None else change(value) for value in dict.fromkeys(values)}
        changed = [known[value] for value in values]
    else:  # true and 1 are one key
        changed = [None if value is None else change(value) for value in values]
    return pd.Series(changed, index=column.index, dtype=object)


def short_text(value: object) -> object:
    """Give a cell as a text of bounded length; None where it is none."""
    if isinstance(value, float):
        value = int(value) if value.is_integer() else value
    if is_missing(value) or isinstance(value, list | dict):
        return None
    text = str(value)
    return text.encode("utf-8", "replace").decode() if len(text) <= LONGEST_TEXT and "\x00" not in text else None


def flag_or_number(value: object) -> object:
    """Give 1 for a cell that says true, 0 for one that says false, and others as `number_or_text` does."""
    if isinstance(value, bool | np.bool_):
        return float(value)
    word = value.strip().casefold() if isinstance(value, str) else None
    return 1.0 if word in _TRUE else 0.0 if word in _FALSE else number_or_text(value)


def number_or_text(value: object) -> object:
    """Give what pandas can read as a number: neither true nor a list, nor an integer that no float holds."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < _LARGEST else None
    return value if isinstance(value, str | float | np.number | Decimal) else None


def shown_value(value: object) -> str:
    """Give a cell as a message shows it."""
    return repr(excerpt(value, 60)) if isinstance(value, str) else excerpt(str(value), 60)
