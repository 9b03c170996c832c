"""What every command returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json
from typing_extensions import assert_never

from mlbaseline.records import Decision


def exit_code_of(decision: Decision) -> int:
    """Give the exit code of a command that ends in a verdict."""
    match decision:
        case Decision.PROMOTE:
            return 0
        case Decision.HOLD:
            return 3
        case Decision.INCONCLUSIVE:
            return 4
        case _:
            assert_never(decision)


def document_json(document: Mapping[str, Any]) -> str:
    """Write the document as a command prints it. JSON has no NaN and no infinity: both are null."""
    return to_json(document, indent=2, inf_nan_mode="null").decode() + "\n"


@dataclass(frozen=True)
class CommandResult:
    """The result of a command: a JSON document, and the same as text for a person.

    Attributes:
        document: What `--json` prints.
        text: Renders the document, given whether to use colour and how many characters are in a line.
        exit_code: Exit code of the command.
    """

    document: Mapping[str, Any]
    text: Callable[[bool, int], str]
    exit_code: int = 0
