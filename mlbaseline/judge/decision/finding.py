"""What the gates find."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlbaseline.records import Finding, Outcome, Severity


def gate_finding(code: str, outcome: Outcome, reason: str, evidence: Mapping[str, Any] | None = None) -> Finding:
    """Make a finding of a gate. Whatever a gate finds decides, so its severity is always `error`.

    Args:
        code: Name of the gate.
        outcome: Whether it is passed.
        reason: Why, in a sentence.
        evidence: JSON values, so that they come back from a file as they were.
    """
    return Finding(code, Severity.ERROR, outcome, reason, evidence or {})
