"""Events ─▶ the decision about a canary, at the first moment at which it could be taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from typing_extensions import assert_never

from mlbaseline.monitor.canary.evidence import TimedPath, guardrail_evidence, slice_members
from mlbaseline.monitor.canary.mismatch import MismatchEvidence, mismatch_evidence
from mlbaseline.monitor.canary.plan import CanaryPlan, GuardrailTest
from mlbaseline.monitor.canary.ramp import MICROSECOND, ramp_position
from mlbaseline.monitor.canary.report import ArmMeasure, CanaryDecision, CanaryReport, GuardrailResult
from mlbaseline.monitor.canary.traffic import SplitTraffic
from mlbaseline.monitor.event_arrays import EventArrays, Floats, Integers
from mlbaseline.suite.monitor.canary import GuardrailKind

_ORDER = (CanaryDecision.INVALID, CanaryDecision.ROLL_BACK, CanaryDecision.PROMOTE, CanaryDecision.HOLD)
"""Which decision counts of those that fall on one moment."""


@dataclass(frozen=True)
class _Evidence:
    mismatch: MismatchEvidence
    guardrails: tuple[tuple[GuardrailTest, TimedPath, TimedPath | None], ...]


def decide_canary(events: EventArrays, plan: CanaryPlan, now_us: int) -> CanaryReport:
    """Decide about the candidate from all that is known at a moment.

    Every e-value is followed from the first event on, so that the decision is the one of the first moment at which it
    could be taken: it does not depend on when, or how often, anybody looks. Later events do not change it.

    Args:
        events: Everything in the ledger.
        plan: The tests and their error rates.
        now_us: Time of the look, microseconds since 1970. Later events and labels are not known yet.

    Returns:
        The decision with its evidence.

    Example:
        >>> from mlbaseline.monitor.simulation import Arms, simulate_events
        >>> from mlbaseline.monitor.canary.plan import plan_canary
        >>> from mlbaseline.suite.monitor.canary import CanaryRules
        >>> events = simulate_events(20_000, seed=1, share=0.1, error=Arms(0.1, 0.3))
        >>> plan = plan_canary(CanaryRules.model_validate({"candidate": "lora"}))
        >>> decide_canary(events, plan, int(events.time_us[-1])).decision.value
        'roll_back'
    """
    traffic = SplitTraffic.of(events).known_at(now_us)
    started_us = int(traffic.events.time_us[0]) if len(traffic) else None
    horizon_us = None if started_us is None else started_us + plan.horizon // MICROSECOND
    evidence = _evidence(traffic, plan)
    decision, decided_us = _first_decision(evidence, horizon_us, now_us)
    at_decision = traffic
    if decided_us is not None and decided_us < now_us:
        at_decision = traffic.known_at(decided_us)
        evidence = _evidence(at_decision, plan)
    ramp = ramp_position(at_decision, plan.ramp, now_us)
    share = {
        CanaryDecision.CONTINUE: ramp.advice,
        CanaryDecision.HOLD: ramp.share,
        CanaryDecision.PROMOTE: 1.0,
        CanaryDecision.ROLL_BACK: 0.0,
        CanaryDecision.INVALID: 0.0,
    }[decision]
    return CanaryReport(
        decision=decision,
        decided_us=decided_us,
        share=share,
        guardrails=tuple(
            GuardrailResult(test, harm, non_inferior, *_measures(at_decision, test))
            for test, harm, non_inferior in evidence.guardrails
        ),
        mismatch=evidence.mismatch,
        ramp=ramp,
        units=traffic.units,
        requests=len(traffic),
        labels=_labels(traffic, plan),
        started_us=started_us,
        horizon_us=horizon_us,
        looked_us=now_us,
        experiment=traffic.experiment,
        alpha=plan.alpha,
        crossing_units=traffic.crossing_units(),
    )


def _evidence(traffic: SplitTraffic, plan: CanaryPlan) -> _Evidence:
    metrics = tuple(dict.fromkeys(test.name for test in plan.tests if test.kind is GuardrailKind.SCORE))
    return _Evidence(
        mismatch_evidence(traffic, plan.alpha, metrics),
        tuple(
            (
                test,
                guardrail_evidence(traffic, test, plan, harm=True),
                guardrail_evidence(traffic, test, plan, harm=False) if test.promotes else None,
            )
            for test in plan.tests
        ),
    )


def _first_decision(evidence: _Evidence, horizon_us: int | None, now_us: int) -> tuple[CanaryDecision, int | None]:
    moments = [(moment, _ORDER.index(decision)) for decision, moment in _moments(evidence)]
    if horizon_us is not None and horizon_us <= now_us:
        moments.append((horizon_us, _ORDER.index(CanaryDecision.HOLD)))
    if not moments:
        return CanaryDecision.CONTINUE, None
    moment, place = min(moments)
    return _ORDER[place], moment


def _moments(evidence: _Evidence) -> Iterator[tuple[CanaryDecision, int]]:
    for path in (evidence.mismatch.requests, evidence.mismatch.labels):
        if path.crossed_us is not None:
            yield CanaryDecision.INVALID, path.crossed_us
    for _, harm, _ in evidence.guardrails:
        if harm.crossed_us is not None:
            yield CanaryDecision.ROLL_BACK, harm.crossed_us
    shown = [path.crossed_us for _, _, path in evidence.guardrails if path is not None]
    passed = [moment for moment in shown if moment is not None]
    if passed and len(passed) == len(shown):
        yield CanaryDecision.PROMOTE, max(passed)


def _labels(traffic: SplitTraffic, plan: CanaryPlan) -> int:
    metrics = {test.name for test in plan.tests if test.kind is GuardrailKind.SCORE}
    known = np.zeros(len(traffic), dtype=bool)
    for metric in metrics or traffic.events.scores:
        known |= traffic.events.score(metric).known_us >= 0
    return int(known.sum())


def _measures(traffic: SplitTraffic, test: GuardrailTest) -> tuple[ArmMeasure, ArmMeasure]:
    """Describe the two arms, the champion first."""
    values, positions = _values(traffic, test)
    ours = traffic.events.is_candidate[positions]
    champion, candidate = (
        ArmMeasure(len(side), _summary(side, test) if len(side) else float("nan"))
        for side in (values[~ours], values[ours])
    )
    return champion, candidate


def _summary(values: Floats, test: GuardrailTest) -> float:
    return float(np.quantile(values, test.quantile)) if test.quantile is not None else float(values.mean())


def _values(traffic: SplitTraffic, test: GuardrailTest) -> tuple[Floats, Integers]:
    events, chosen = traffic.events, slice_members(traffic, test)
    match test.kind:
        case GuardrailKind.ERROR:
            positions = traffic.first(chosen)
            return events.error[positions].astype(float), positions
        case GuardrailKind.SCORE:
            positions = traffic.labelled(test.name, chosen)
            return events.score(test.name).score[positions], positions
        case GuardrailKind.LATENCY:
            positions = traffic.first(np.isfinite(events.latency_s))
            return events.latency_s[positions], positions
        case GuardrailKind.COST:
            positions = traffic.first(np.isfinite(events.cost_usd))
            return events.cost_usd[positions], positions
        case _:
            assert_never(test.kind)
