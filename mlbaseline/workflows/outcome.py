"""What every workflow gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

EXIT_CODES = {"promote": 0, "hold": 3, "inconclusive": 4}
"""Exit code of a command whose last word is a verdict."""


@dataclass(frozen=True)
class Outcome:
    """What a command has to say: a JSON document, and the same for a person at a width and with or without colour."""

    document: Mapping[str, Any]
    text: Callable[[bool, int], str]
    exit_code: int = 0
