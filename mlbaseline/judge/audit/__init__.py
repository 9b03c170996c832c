"""The field's checklist and its common traps, asked of every comparison. The package `documentation` explains each."""

from mlbaseline.judge.audit import baselines, claims, fairness, hygiene, timing
from mlbaseline.judge.audit.check import AuditInput, Champion, Check, Trials
from mlbaseline.records import Finding

CHECKS: tuple[Check, ...] = (*baselines.CHECKS, *fairness.CHECKS, *timing.CHECKS, *claims.CHECKS, *hygiene.CHECKS)

__all__ = ["CHECKS", "AuditInput", "Champion", "Check", "Trials", "audit"]


def audit(subject: AuditInput) -> tuple[Finding, ...]:
    """Run every check, one finding each, in the order of their codes."""
    return tuple(check(subject) for check in CHECKS)
