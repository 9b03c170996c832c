"""The keys `monitor:` of a suite file: what goes on after a promotion, and the rules by which it is judged."""

from mlbaseline.suite.monitor.canary import CanaryRules, Guardrail, GuardrailKind, RampStep, guardrail_kind
from mlbaseline.suite.monitor.durations import duration_text
from mlbaseline.suite.monitor.keys import LIVE_METRICS, DriftRules, HoldoutRules, Monitor, RetrainRules, TrafficSource

__all__ = [
    "LIVE_METRICS",
    "CanaryRules",
    "DriftRules",
    "Guardrail",
    "GuardrailKind",
    "HoldoutRules",
    "Monitor",
    "RampStep",
    "RetrainRules",
    "TrafficSource",
    "duration_text",
    "guardrail_kind",
]
