"""Lengths of time in a suite file: `3d`, `2h`, `30m`, `45s`, `1w`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}
_PATTERN = r"^[0-9]{1,6} ?[wdhms]$"


def parse_duration(value: Any) -> timedelta:
    """Read a whole number and its unit: weeks, days, hours, minutes or seconds.

    Example:
        >>> parse_duration("36h")
        datetime.timedelta(days=1, seconds=43200)
    """
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not re.match(_PATTERN, value):
        raise ValueError(f"expected a whole number with its unit (w, d, h, m or s), as in `3d` or `2h`, got {value!r}")
    return int(value[:-1]) * _UNITS[value[-1]]


def duration_text(duration: timedelta) -> str:
    """Write a duration in the largest unit that it is a whole number of.

    Example:
        >>> duration_text(timedelta(hours=36)), duration_text(timedelta(hours=48))
        ('36h', '2d')
    """
    fitting = (name for name, unit in _UNITS.items() if name != "w" and not duration % unit)
    name = next(fitting, "s")
    return f"{duration // _UNITS[name]}{name}"


def _positive(duration: timedelta) -> timedelta:
    if not duration:
        raise ValueError("expected a duration above 0")
    return duration


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(duration_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _PATTERN}),
]
"""A length of time, 0 included."""
PositiveDuration = Annotated[
    timedelta,
    BeforeValidator(lambda value: _positive(parse_duration(value))),
    PlainSerializer(duration_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _PATTERN}),
]
"""A length of time above 0."""
