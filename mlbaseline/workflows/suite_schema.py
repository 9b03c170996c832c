"""The JSON Schema of a suite file, for editors, and suite files checked, for hooks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mlbaseline.errors import SuiteError
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import load_suite
from mlbaseline.workflows.command_result import CommandResult


def schema(suites: Sequence[str | Path] = ()) -> CommandResult:
    """Return the JSON Schema of a suite file; with suites, check these instead, by all the rules that a run has.

    Nothing is fetched: neither data nor models are looked at.

    Args:
        suites: Paths of suite files, or names of packaged suites.

    Returns:
        The document is the schema, or has `suites`, each with its `suite` and its `problems`. The exit code is 1 where
        there is a problem.
    """
    if not suites:
        document = Suite.model_json_schema()
        return CommandResult(document, lambda *_: json.dumps(document, indent=2))
    errors = {str(suite): _error(suite) for suite in suites}
    checked = [{"suite": suite, "problems": list(error.problems if error else ())} for suite, error in errors.items()]
    text = "\n".join(str(error or f"{suite}: ok") for suite, error in errors.items())
    return CommandResult({"suites": checked}, lambda *_: text, exit_code=int(any(errors.values())))


def _error(suite: str | Path) -> SuiteError | None:
    try:
        load_suite(suite)
    except SuiteError as error:
        return error
    return None
