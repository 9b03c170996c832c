"""The evidence of one guardrail: that the candidate does harm, and that it does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from typing_extensions import assert_never

from mlbaseline.monitor.canary.plan import CanaryPlan, GuardrailTest
from mlbaseline.monitor.canary.traffic import SplitTraffic
from mlbaseline.monitor.event_arrays import Flags, Floats, Integers
from mlbaseline.stats.sequential import EvidencePath, arm_difference, binomial_stream, running_quantile
from mlbaseline.suite.monitor.canary import GuardrailKind

PRIOR_TRIALS = 20.0
"""Weight of the prior of every binomial e-value. Values from 5 to 100 find harm about as early."""
_BEFORE_COST = 500
"""The champion's first costs fix the cap and the centre; bets start after them."""
_CAP_QUANTILE = 0.999


@dataclass(frozen=True, eq=False)
class TimedPath:
    """Log e-values over time.

    Attributes:
        time_us: Microseconds since 1970, rising, shape (m,).
        log_e: Natural logarithm of the e-value after each, shape (m,).
        crossed_us: When the threshold was first reached, None for never.
    """

    time_us: Integers
    log_e: Floats
    crossed_us: int | None

    @classmethod
    def of(cls, path: EvidencePath, time_us: Integers) -> TimedPath:
        """Put the path of a stream on the clock. time_us: when each of its positions became known."""
        crossed = None if path.crossed is None else int(time_us[path.crossed])
        return cls(time_us[path.positions], path.log_e, crossed)

    @property
    def last(self) -> float:
        """The log e-value at the end, 0 before any evidence."""
        return float(self.log_e[-1]) if len(self.log_e) else 0.0


def guardrail_evidence(
    traffic: SplitTraffic, test: GuardrailTest, plan: CanaryPlan, *, harm: bool
) -> TimedPath:
    """Compute the evidence of one guardrail.

    Args:
        traffic: What is known.
        test: The guardrail.
        plan: The plan that it belongs to.
        harm: The evidence that the candidate is worse than tolerated, else that it is not.

    Returns:
        Its path, up to the last event.
    """
    threshold = test.threshold if harm else plan.threshold
    chosen = slice_members(traffic, test)
    match test.kind:
        case GuardrailKind.ERROR:
            return _errors(traffic, test, chosen, threshold, harm)
        case GuardrailKind.SCORE:
            return _scores(traffic, test, chosen, threshold, harm, plan.centres.get(test.name, 0.0))
        case GuardrailKind.LATENCY:
            return _latencies(traffic, test, threshold, harm)
        case GuardrailKind.COST:
            return _costs(traffic, test, threshold, harm)
        case _:
            assert_never(test.kind)


def slice_members(traffic: SplitTraffic, test: GuardrailTest) -> Flags | None:
    """Tell which events lie in the slice of a guardrail, None for all."""
    if test.slice is None:
        return None
    codes, values = traffic.events.slice_values(test.slice)
    wanted = values.index(test.value) if test.value in values else -2
    return np.asarray(codes == wanted)


def _errors(
    traffic: SplitTraffic, test: GuardrailTest, chosen: Flags | None, threshold: float, harm: bool
) -> TimedPath:
    """Among failures, the candidate's share is at most ρr/(ρr + 1 − ρ), however failures come and go over time.

    Harm counts each unit's first failure. Once most units have failed, those that have not are mostly the better
    arm's: that hides harm, but would feign its absence, for which each unit's first request counts instead.
    """
    events = traffic.events
    positions = traffic.failing(chosen)
    if not harm:
        first = traffic.first(chosen)
        positions = first[events.error[first]]
    raised = events.share[positions] * test.limit
    theta0 = raised / (raised + 1.0 - events.share[positions])
    ours = events.is_candidate[positions]
    path = binomial_stream(
        ours if harm else ~ours,
        theta0 if harm else 1.0 - theta0,
        k=PRIOR_TRIALS,
        threshold=threshold,
        one_sided=True,
    )
    return TimedPath.of(path, events.time_us[positions])


def _scores(
    traffic: SplitTraffic, test: GuardrailTest, chosen: Flags | None, threshold: float, harm: bool, centre: float
) -> TimedPath:
    labels = traffic.events.score(test.name)
    positions = traffic.labelled(test.name, chosen)
    path = arm_difference(
        1.0 - labels.score[positions],
        traffic.events.is_candidate[positions],
        traffic.events.share[positions],
        threshold=threshold,
        margin=test.limit,
        centre=centre,
        at_most=harm,
    )
    return TimedPath.of(path, labels.known_us[positions])


def _latencies(traffic: SplitTraffic, test: GuardrailTest, threshold: float, harm: bool) -> TimedPath:
    """Requests beyond the champion's quantile so far, the candidate's beyond the tolerated multiple of it, are failures.

    The binomial test of Lindon and Malek at the quantile itself needs its true value, and pays for not knowing it with
    the least evidence over all values; a threshold from the past needs no price.
    """
    assert test.quantile is not None
    events = traffic.events
    positions = traffic.first(np.isfinite(events.latency_s))
    latency, ours = events.latency_s[positions], events.is_candidate[positions]
    limit = running_quantile(latency, ~ours, test.quantile)
    with np.errstate(invalid="ignore"):
        slow = latency > np.where(ours, limit * test.limit, limit)
    positions, ours = positions[slow], ours[slow]
    share = events.share[positions]
    path = binomial_stream(
        ours if harm else ~ours,
        share if harm else 1.0 - share,
        k=PRIOR_TRIALS,
        threshold=threshold,
        one_sided=True,
    )
    return TimedPath.of(path, events.time_us[positions])


def _costs(traffic: SplitTraffic, test: GuardrailTest, threshold: float, harm: bool) -> TimedPath:
    events = traffic.events
    positions = traffic.first(np.isfinite(events.cost_usd))
    theirs = np.flatnonzero(~events.is_candidate[positions])
    costs = events.cost_usd[positions]
    if len(theirs) <= _BEFORE_COST:
        return TimedPath(np.empty(0, np.int64), np.empty(0), None)
    first, start = costs[theirs[:_BEFORE_COST]], int(theirs[_BEFORE_COST - 1]) + 1
    cap = float(np.quantile(first, _CAP_QUANTILE))
    if cap <= 0.0:
        return TimedPath(np.empty(0, np.int64), np.empty(0), None)
    positions = positions[start:]
    path = arm_difference(
        np.minimum(costs[start:] / cap, 1.0),
        events.is_candidate[positions],
        events.share[positions],
        threshold=threshold,
        ratio=test.limit,
        centre=float(np.minimum(first / cap, 1.0).mean()),
        at_most=harm,
    )
    return TimedPath.of(path, events.time_us[positions])
