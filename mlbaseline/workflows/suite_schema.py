"""The JSON Schema of a suite file, for editors."""

from __future__ import annotations

import json

from mlbaseline.suite import Suite
from mlbaseline.workflows.command_result import CommandResult


def schema() -> CommandResult:
    """Return the JSON Schema of a suite file."""
    document = Suite.model_json_schema()
    return CommandResult(document, lambda *_: json.dumps(document, indent=2))
