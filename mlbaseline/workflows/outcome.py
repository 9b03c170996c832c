"""What every workflow gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

EXIT_CODES = {"promote": 0, "hold": 3, "inconclusive": 4}
"""Exit code of a command whose last word is a verdict."""


def document_json(document: Mapping[str, Any]) -> str:
    """As a command prints it. JSON has no NaN and no infinity: both are null."""
    return to_json(document, indent=2, inf_nan_mode="null").decode() + "\n"


@dataclass(frozen=True)
class Outcome:
    """The result of a workflow: a JSON document, and the same as text for a person.

    Attributes:
        document: What `--json` prints.
        text: Renders the document, given whether to use colour and how many characters are in a line.
        exit_code: Exit code of the command.
    """

    document: Mapping[str, Any]
    text: Callable[[bool, int], str]
    exit_code: int = 0
