"""Runs of audits of a suite that are neither evaluations nor comparisons."""

from mlbaseline.store.audits.determinism import DETERMINISM, DeterminismRecord, find_determinism, log_determinism

__all__ = ["DETERMINISM", "DeterminismRecord", "find_determinism", "log_determinism"]
