"""What the codes of findings mean, without the documentation site."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from mlbaseline.documentation import Explanation, explanations
from mlbaseline.errors import UnknownCodeError
from mlbaseline.judge.audit import CHECKS
from mlbaseline.records import Severity
from mlbaseline.suggestions import did_you_mean
from mlbaseline.workflows.command_result import CommandResult

_CHECKS = {check.code: check for check in CHECKS}


def explain(codes: Sequence[str] = ()) -> CommandResult:
    """Explain codes of audit checks and gates: what is checked, why, and what to do where it fails.

    Args:
        codes: As a report shows them, in upper or lower case. By default all.

    Returns:
        The document has `explanations`, each with `code`, `severity`, `title`, `text` and `docs`, its address.

    Raises:
        UnknownCodeError: There is no such code.

    Example:
        >>> from mlbaseline import workflows
        >>> workflows.explain(["mlb104"]).document["explanations"][0]["title"]
        'At least one parameter-efficient method'
    """
    asked = [_named(code) for code in codes] or list(explanations().values())
    document = {
        "explanations": [
            {
                "code": each.code,
                "severity": _severity(each.code).value,
                "title": _title(each),
                "text": each.text,
                "docs": each.url,
            }
            for each in asked
        ]
    }
    return CommandResult(document, lambda _colour, width: _in_full(asked, width) if codes else _list(asked, width))


def _named(code: str) -> Explanation:
    by_name = {known.lower(): each for known, each in explanations().items()}
    if code.lower() not in by_name:
        raise UnknownCodeError(
            f"{code!r} is no code of an audit check or gate{did_you_mean(code, explanations())}. `mlbaseline explain` "
            "lists all of them."
        )
    return by_name[code.lower()]


def _severity(code: str) -> Severity:
    return _CHECKS[code].severity if code in _CHECKS else Severity.ERROR


def _title(explanation: Explanation) -> str:
    """Name a check, and take the first sentence of what explains a gate."""
    if explanation.code in _CHECKS:
        return _CHECKS[explanation.code].title
    return " ".join(explanation.text.split()).partition(". ")[0].rstrip(".")


def _in_full(asked: Sequence[Explanation], width: int) -> str:
    sections = []
    for each in asked:
        check = _CHECKS.get(each.code)
        heading = f"{each.code} ({_severity(each.code)})" + (f": {check.title}" if check else "")
        paragraphs = [textwrap.fill(part, width, break_on_hyphens=False) for part in each.text.split("\n\n")]
        sections.append("\n\n".join([heading, *paragraphs, each.url]))
    return "\n\n\n".join(sections)


def _list(asked: Sequence[Explanation], width: int) -> str:
    indent = " " * (max(len(each.code) for each in asked) + 2)
    return "\n".join(
        textwrap.fill(
            _title(each),
            max(width, len(indent) + 30),
            initial_indent=each.code.ljust(len(indent)),
            subsequent_indent=indent,
            break_on_hyphens=False,
        )
        for each in asked
    )
