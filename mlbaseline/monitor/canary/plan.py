"""The canary's rules as tests: how the error rate is split over guardrails and slices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from mlbaseline.suite.monitor.canary import CanaryRules, GuardrailKind, RampStep, guardrail_kind, latency_quantile

_SLICED = (GuardrailKind.ERROR, GuardrailKind.SCORE)


@dataclass(frozen=True)
class GuardrailTest:
    """One question about the candidate's harm.

    Attributes:
        name: Of the guardrail: `error`, `cost`, `latency_p95` or a metric.
        kind: What it looks at.
        limit: Tolerated ratio (errors, latency, cost) or difference of the mean loss (scores).
        alpha: Its part of the canary's error rate, for harm.
        quantile: Probability of the quantile, of latencies only.
        slice: Slice on whose `value` it looks, None for all traffic.
        value: Value of the slice.
        promotes: Whether the candidate must be shown to be no worse here before it is promoted.
        negligible: Failure rate that is no harm, whatever the ratio is; None where each rate counts.
    """

    name: str
    kind: GuardrailKind
    limit: float
    alpha: float
    quantile: float | None = None
    slice: str | None = None
    value: str | None = None
    promotes: bool = True
    negligible: float | None = None

    @property
    def threshold(self) -> float:
        """The log e-value at which harm is shown."""
        return math.log(1.0 / self.alpha)

    @property
    def label(self) -> str:
        """Its name with the slice, such as `accuracy/topic/airline`."""
        return self.name if self.slice is None else f"{self.name}/{self.slice}/{self.value}"


@dataclass(frozen=True)
class CanaryPlan:
    """All that the decision depends on beside the events.

    Attributes:
        alpha: Error rate of a false roll back, of a false promotion, and of a false alarm about the split.
        ramp: Shares and their holding times.
        horizon: Time after which an undecided canary is held.
        tests: Guardrails on all traffic first, then on slices.
        centres: Metric ─▶ a mean loss that is to be expected, such as the reference's. It changes the number of
            labels that are needed, not the validity.
    """

    alpha: float
    ramp: tuple[RampStep, ...]
    horizon: timedelta
    tests: tuple[GuardrailTest, ...]
    centres: Mapping[str, float]

    @property
    def threshold(self) -> float:
        """The log e-value at which a candidate is shown to be no worse."""
        return math.log(1.0 / self.alpha)


def plan_canary(
    rules: CanaryRules,
    *,
    slices: Mapping[str, Sequence[str]] | None = None,
    centres: Mapping[str, float] | None = None,
) -> CanaryPlan:
    """Split the error rate over the guardrails of the suite.

    Each guardrail has an equal part of α. Where slices are watched, guardrails of errors and scores spend half of
    theirs on all traffic and the other half on the values of the slices, in equal parts.

    Args:
        rules: `monitor.canary` of the suite.
        slices: Watched slice ─▶ its values, fixed before the canary starts.
        centres: Metric ─▶ the reference's mean loss.

    Returns:
        The plan.

    Example:
        >>> rules = CanaryRules.model_validate({"candidate": "lora", "guardrails": {"accuracy": {"margin": 0.02}}})
        >>> [(test.label, test.alpha) for test in plan_canary(rules, slices={"topic": ["airline", "other"]}).tests]
        [('accuracy', 0.025), ('accuracy/topic/airline', 0.0125), ('accuracy/topic/other', 0.0125)]
    """
    values = [(name, value) for name, of_slice in (slices or {}).items() for value in of_slice]
    overall, sliced = [], []
    for name, rule in rules.guardrails.items():
        kind = guardrail_kind(name)
        limit = rule.ratio if rule.ratio is not None else rule.margin
        assert limit is not None  # the suite has checked that one of both is there
        quantile = latency_quantile(name) if kind is GuardrailKind.LATENCY else None
        alpha = rules.alpha / len(rules.guardrails)
        if not values or kind not in _SLICED:
            overall.append(GuardrailTest(name, kind, limit, alpha, quantile, negligible=rule.negligible))
            continue
        halved = GuardrailTest(name, kind, limit, alpha / 2, negligible=rule.negligible)
        overall.append(halved)
        sliced += [
            replace(halved, alpha=alpha / 2 / len(values), slice=slicing, value=value, promotes=False)
            for slicing, value in values
        ]
    return CanaryPlan(rules.alpha, rules.ramp, rules.horizon, (*overall, *sliced), dict(centres or {}))
