"""Decisions as the JSON documents that commands print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from mlbaseline.monitor.canary.report import CanaryReport, GuardrailResult
from mlbaseline.monitor.drift.report import DriftReport, SliceDrift
from mlbaseline.monitor.event_rows import EPOCH

Document = Mapping[str, Any]


def iso(moment_us: int | None) -> str | None:
    """Write microseconds since 1970 as ISO 8601, UTC."""
    if moment_us is None:
        return None
    return (EPOCH + timedelta(microseconds=moment_us)).isoformat(timespec="seconds").replace("+00:00", "Z")


def canary_document(report: CanaryReport) -> Document:
    """Make the document of `mlbaseline canary --json`."""
    paths = (report.mismatch.requests, report.mismatch.labels)
    return {
        "decision": report.decision,
        "decided_at": iso(report.decided_us),
        "share": report.share,
        "guardrails": [_guardrail(result) for result in report.guardrails],
        "mismatch": {
            "log_e": max(path.last for path in paths),
            "threshold": report.mismatch.threshold,
            "outcome": report.mismatch_outcome,
            "returning_units": report.mismatch.returning,
        },
        "ramp": {
            "share": report.ramp.share,
            "since": iso(report.ramp.since_us),
            "next_share": report.ramp.next_share,
            "next_at": iso(report.ramp.next_us),
        },
        "units": report.units,
        "requests": report.requests,
        "labels": report.labels,
        "crossing_units": report.crossing_units,
        "experiment": report.experiment,
        "started_at": iso(report.started_us),
        "horizon_at": iso(report.horizon_us),
        "looked_at": iso(report.looked_us),
    }


def drift_document(report: DriftReport) -> Document:
    """Make the document of `mlbaseline drift --json`."""
    return {
        "alarm": bool(report.alarms),
        "slices": [_slice(each) for each in report.slices],
        "since": report.days[0].isoformat() if report.days else None,
        "days": len(report.days),
        "late_labels": report.late,
        "requests": report.requests,
        "reference": report.reference,
        "inputs": asdict(report.inputs),
        "vocabulary": None if report.vocabulary is None else asdict(report.vocabulary),
        "cost": asdict(report.cost),
        "looked_at": iso(report.looked_us),
    }


def _guardrail(result: GuardrailResult) -> Document:
    test, good = result.test, result.non_inferior
    return {
        "name": test.name,
        "slice": test.slice,
        "value": test.value,
        "log_e_harm": result.harm.last,
        "log_e_non_inferior": None if good is None else good.last,
        "threshold": test.threshold,
        "outcome": result.outcome,
        "limit": test.limit,
        "negligible": test.negligible,
        "champion": asdict(result.champion),
        "candidate": asdict(result.candidate),
    }


def _slice(each: SliceDrift) -> Document:
    return {
        "slice": each.watched.slice,
        "value": each.watched.value,
        "log_e": each.last,
        "threshold": each.threshold,
        "outcome": each.outcome,
        "alarmed_at": each.alarmed.isoformat() if each.alarmed else None,
        "n": each.n,
        "loss": each.loss,
        "recent_loss": each.recent_loss,
        "reference_loss": each.reference_loss,
        "bound": each.bound,
    }
