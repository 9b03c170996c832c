"""Runs of audits of a suite that are neither evaluations nor comparisons."""

from mlbaseline.store.audits.audit_run import DETERMINISM, VARIANCE, AuditRecord, log_audit
from mlbaseline.store.audits.determinism import STABILITY, find_determinism

__all__ = ["DETERMINISM", "STABILITY", "VARIANCE", "AuditRecord", "find_determinism", "log_audit"]
