"""What every workflow gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Text = Callable[[bool, int], str]
"""colour, width ─▶ what a person reads."""


@dataclass(frozen=True)
class Outcome:
    """What a command has to say: a JSON document, the same for a person, and a verdict where one was reached."""

    document: Mapping[str, Any]
    text: Text
    verdict: str | None = None
