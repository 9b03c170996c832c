"""What the gates find."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlbaseline.documentation import finding_url
from mlbaseline.records import Finding, GateCode, Outcome, Severity


def gate_finding(code: GateCode, outcome: Outcome, reason: str, evidence: Mapping[str, Any] | None = None) -> Finding:
    """Make a finding of a gate. Whatever a gate finds decides, so its severity is always `error`.

    Args:
        code: What it is about.
        outcome: Whether it is passed.
        reason: Why, in a sentence.
        evidence: JSON values, so that they come back from a file as they were.
    """
    return Finding(code.value, Severity.ERROR, outcome, reason, evidence or {}, docs=finding_url(code.value))
