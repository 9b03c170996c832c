"""What every command returns."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json
from typing_extensions import assert_never

from mlbaseline.format_versions import DOCUMENT, KEY
from mlbaseline.records import Decision

if TYPE_CHECKING:
    import pandas as pd

_ROWS = ("comparisons", "examples", "evaluations", "suites", "explanations")
_NOTEBOOK_WIDTH = 110
"""Characters in a line."""


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
    """Write the document as a command prints it, with the version of its form.

    JSON has no NaN and no infinity: both are null. A JSON Schema has a version of its own (`$schema`).
    """
    versioned = document if "$defs" in document else {KEY: DOCUMENT.newest, **document}
    return to_json(versioned, indent=2, inf_nan_mode="null").decode() + "\n"


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

    def to_frame(self) -> pd.DataFrame:
        """Return the rows of the document: contrasts, else evaluations, examples, suites or explanations.

        Returns:
            One row for each, with the columns that the document has.

        Raises:
            ValueError: The document holds no rows.

        Example:
            >>> from mlbaseline import workflows
            >>> list(workflows.suites().to_frame().columns)
            ['name', 'about']
        """
        import pandas as pd

        compared = self.document.get("comparison")
        document = compared if isinstance(compared, Mapping) else self.document
        for name in _ROWS:
            if name in document:
                return pd.DataFrame(list(document[name]))
        raise ValueError(f"the document holds no rows; it has: {', '.join(self.document)}")

    def _repr_html_(self) -> str:
        """Show the text in a notebook, in the colours of its page."""
        return f"<pre>{html.escape(self.text(False, _NOTEBOOK_WIDTH))}</pre>"
