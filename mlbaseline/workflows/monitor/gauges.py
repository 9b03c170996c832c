"""The decisions as gauges, in the text format of Prometheus."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from mlbaseline.monitor.canary.report import CanaryDecision, CanaryReport
from mlbaseline.monitor.drift.report import DriftOutcome, DriftReport

_HELP = {
    "mlbaseline_watch_up": "1 where the last look at the ledger succeeded.",
    "mlbaseline_watch_age_seconds": "Seconds since the last look at the ledger.",
    "mlbaseline_canary_decision": "1 for the decision that holds.",
    "mlbaseline_canary_share": "Share of the traffic that the candidate should have.",
    "mlbaseline_canary_log_e_ratio": "log e over its threshold; at 1 it decides.",
    "mlbaseline_canary_measure": "What a guardrail looks at, by arm.",
    "mlbaseline_canary_units": "Different units that were split.",
    "mlbaseline_drift_alarm": "1 where a slice raised an alarm since the detector started.",
    "mlbaseline_drift_log_e_ratio": "log e of the detector over its threshold.",
    "mlbaseline_drift_loss": "Mean loss of the newest seven closed days.",
    "mlbaseline_drift_loss_bound": "Largest acceptable mean loss.",
    "mlbaseline_drift_late_labels": "Labels that came after their day was closed.",
    "mlbaseline_latency_p95_seconds": "95th percentile of the latency, live and recorded.",
    "mlbaseline_cost_per_query_usd": "Mean cost of a query, live and recorded.",
}
_Sample = tuple[str, Mapping[str, str], float]


def gauges_text(canary: CanaryReport | None, drift: DriftReport | None, *, age_s: float, ok: bool) -> str:
    """Write all gauges. What is not known has no line."""
    samples: list[_Sample] = [
        ("mlbaseline_watch_up", {}, float(ok)),
        ("mlbaseline_watch_age_seconds", {}, age_s),
        *(_canary(canary) if canary else ()),
        *(_drift(drift) if drift else ()),
    ]
    lines: list[str] = []
    for name, text in _HELP.items():
        found = [sample for sample in samples if sample[0] == name and math.isfinite(sample[2])]
        if found:
            lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
            lines += [f"{name}{_labels(labels)} {value:.10g}" for _, labels, value in found]
    return "\n".join(lines) + "\n"


def _canary(report: CanaryReport) -> Iterable[_Sample]:
    for decision in CanaryDecision:
        yield "mlbaseline_canary_decision", {"decision": str(decision)}, float(report.decision is decision)
    yield "mlbaseline_canary_share", {}, report.share
    yield "mlbaseline_canary_units", {}, float(report.units)
    mismatch = max(report.mismatch.requests.last, report.mismatch.labels.last) / report.mismatch.threshold
    yield "mlbaseline_canary_log_e_ratio", {"guardrail": "split", "evidence": "mismatch"}, mismatch
    for result in report.guardrails:
        name = {"guardrail": result.test.label}
        yield "mlbaseline_canary_log_e_ratio", {**name, "evidence": "harm"}, result.harm.last / result.test.threshold
        if result.non_inferior is not None:
            ratio = result.non_inferior.last / math.log(1.0 / report.alpha)
            yield "mlbaseline_canary_log_e_ratio", {**name, "evidence": "non_inferior"}, ratio
        for arm, measure in (("champion", result.champion), ("candidate", result.candidate)):
            yield "mlbaseline_canary_measure", {**name, "arm": arm}, measure.value


def _drift(report: DriftReport) -> Iterable[_Sample]:
    for each in report.slices:
        name = {"slice": each.watched.slice or "", "value": each.watched.value or ""}
        yield "mlbaseline_drift_alarm", name, float(each.outcome is DriftOutcome.ALARM)
        yield "mlbaseline_drift_log_e_ratio", name, each.last / each.threshold
        yield "mlbaseline_drift_loss", name, each.recent_loss
        yield "mlbaseline_drift_loss_bound", name, each.bound
    yield "mlbaseline_drift_late_labels", {}, float(report.late)
    yield "mlbaseline_latency_p95_seconds", {"source": "live"}, report.cost.latency_p95_s
    yield "mlbaseline_latency_p95_seconds", {"source": "recorded"}, report.cost.reference_latency_p95_s
    yield "mlbaseline_cost_per_query_usd", {"source": "live"}, report.cost.cost_usd
    yield "mlbaseline_cost_per_query_usd", {"source": "recorded"}, report.cost.reference_cost_usd


def _labels(labels: Mapping[str, str]) -> str:
    """Write labels; in their values, backslash, quote and line break are escaped, as the format demands."""
    if not labels:
        return ""
    escaped = {
        name: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for name, value in labels.items()
    }
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"
