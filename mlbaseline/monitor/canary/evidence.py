"""The evidence of one guardrail: that the candidate does harm, and that it does not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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
HALF = math.log(2.0)
"""What a test at half of its error rate adds to its threshold."""


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

    def and_also(self, other: TimedPath) -> TimedPath:
        """Reject where both paths reject: one of their null hypotheses holds (Berger 1982, intersection-union)."""
        moments = (self.crossed_us, other.crossed_us)
        crossed = None if None in moments else max(moment for moment in moments if moment is not None)
        return self._joined(other, np.minimum, crossed)

    def or_else(self, other: TimedPath) -> TimedPath:
        """Reject where one of the paths, each at half of the error rate, rejects: both null hypotheses hold."""
        crossed = [moment for moment in (self.crossed_us, other.crossed_us) if moment is not None]
        joined = self._joined(other, np.maximum, min(crossed, default=None))
        return TimedPath(joined.time_us, joined.log_e - HALF, joined.crossed_us)

    def _joined(self, other: TimedPath, join: np.ufunc, crossed_us: int | None) -> TimedPath:
        time_us = np.union1d(self.time_us, other.time_us)
        return TimedPath(time_us, join(self.log_e_at(time_us), other.log_e_at(time_us)), crossed_us)

    def log_e_at(self, time_us: Integers) -> Floats:
        """Give the log e-value at moments, 0 before any evidence. time_us: shape (k,)."""
        after = np.searchsorted(self.time_us, time_us, side="right")
        return np.concatenate([[0.0], self.log_e])[after]

    @property
    def last(self) -> float:
        """The log e-value at the end, 0 before any evidence."""
        return float(self.log_e[-1]) if len(self.log_e) else 0.0


@dataclass(frozen=True)
class _Question:
    """One direction of one guardrail."""

    traffic: SplitTraffic
    test: GuardrailTest
    threshold: float
    harm: bool

    def failures(self, positions: Integers, ours: Flags, ratio: float) -> TimedPath:
        """Test whose share of the failures at some positions is too large.

        Of failures of both arms, the candidate's share is at most ρr/(ρr + 1 − ρ) as long as it fails at most r times
        as often, however failures come and go over time.
        """
        raised = self.traffic.events.share[positions] * ratio
        theta0 = raised / (raised + 1.0 - self.traffic.events.share[positions])
        path = binomial_stream(
            ours if self.harm else ~ours,
            theta0 if self.harm else 1.0 - theta0,
            k=PRIOR_TRIALS,
            threshold=self.threshold,
            one_sided=True,
        )
        return TimedPath.of(path, self.traffic.events.time_us[positions])


def guardrail_evidence(traffic: SplitTraffic, test: GuardrailTest, plan: CanaryPlan, *, harm: bool) -> TimedPath:
    """Compute the evidence of one guardrail.

    Args:
        traffic: What is known.
        test: The guardrail.
        plan: The plan that it belongs to.
        harm: The evidence that the candidate is worse than tolerated, else that it is not.

    Returns:
        Its path, up to the last event.
    """
    question = _Question(traffic, test, test.threshold if harm else plan.threshold, harm)
    match test.kind:
        case GuardrailKind.ERROR:
            return _errors(question)
        case GuardrailKind.SCORE:
            return _scores(question, plan.centres.get(test.name, 0.0))
        case GuardrailKind.LATENCY:
            return _latencies(question)
        case GuardrailKind.COST:
            return _costs(question)
        case _:
            assert_never(test.kind)


def slice_members(traffic: SplitTraffic, test: GuardrailTest) -> Flags | None:
    """Tell which events lie in the slice of a guardrail, None for all."""
    if test.slice is None:
        return None
    codes, values = traffic.events.slice_values(test.slice)
    wanted = values.index(test.value) if test.value in values else -2
    return np.asarray(codes == wanted)


def _errors(question: _Question) -> TimedPath:
    """Count each unit's first failure for harm, and each unit's first request for its absence.

    Once most units have failed, those that have not are mostly the better arm's. That hides harm, and would feign its
    absence. Where a failure rate is negligible, harm is a larger rate as well, and a smaller one is its absence.
    """
    if question.test.negligible is None:
        return _error_ratio(question)
    if question.harm:
        return _error_ratio(question).and_also(_error_rate(question, question.test.negligible))
    at_half = replace(question, threshold=question.threshold + HALF)
    return _error_ratio(at_half).or_else(_error_rate(at_half, question.test.negligible))


def _error_rate(question: _Question, negligible: float) -> TimedPath:
    """Test the candidate's failure rate among its units' first requests."""
    events = question.traffic.events
    positions = question.traffic.first(slice_members(question.traffic, question.test))
    positions = positions[events.is_candidate[positions]]
    failed = events.error[positions]
    path = binomial_stream(
        failed if question.harm else ~failed,
        negligible if question.harm else 1.0 - negligible,
        k=PRIOR_TRIALS,
        threshold=question.threshold,
        one_sided=True,
    )
    return TimedPath.of(path, events.time_us[positions])


def _error_ratio(question: _Question) -> TimedPath:
    traffic, events = question.traffic, question.traffic.events
    chosen = slice_members(traffic, question.test)
    positions = traffic.failing(chosen)
    if not question.harm:
        first = traffic.first(chosen)
        positions = first[events.error[first]]
    return question.failures(positions, events.is_candidate[positions], question.test.limit)


def _scores(question: _Question, centre: float) -> TimedPath:
    traffic, test = question.traffic, question.test
    labels = traffic.events.score(test.name)
    positions = traffic.labelled(test.name, slice_members(traffic, test))
    path = arm_difference(
        1.0 - labels.score[positions],
        traffic.events.is_candidate[positions],
        traffic.events.share[positions],
        threshold=question.threshold,
        margin=test.limit,
        centre=centre,
        at_most=question.harm,
    )
    return TimedPath.of(path, labels.known_us[positions])


def _latencies(question: _Question) -> TimedPath:
    """Count requests beyond the champion's quantile so far as failures; the candidate's, beyond a multiple of it.

    A test at the quantile itself (Lindon and Malek) needs its true value, and pays for not knowing it with the least
    evidence over all values; a threshold from the past has no such price.
    """
    test, events = question.test, question.traffic.events
    assert test.quantile is not None
    positions = question.traffic.first(np.isfinite(events.latency_s))
    latency, ours = events.latency_s[positions], events.is_candidate[positions]
    limit = running_quantile(latency, ~ours, test.quantile)
    with np.errstate(invalid="ignore"):
        slow = latency > np.where(ours, limit * test.limit, limit)
    return question.failures(positions[slow], ours[slow], 1.0)


def _costs(question: _Question) -> TimedPath:
    events = question.traffic.events
    positions = question.traffic.first(np.isfinite(events.cost_usd))
    theirs = np.flatnonzero(~events.is_candidate[positions])
    costs = events.cost_usd[positions]
    first = costs[theirs[:_BEFORE_COST]]
    cap = float(np.quantile(first, _CAP_QUANTILE)) if len(theirs) > _BEFORE_COST else 0.0
    if cap <= 0.0:
        return TimedPath(np.empty(0, np.int64), np.empty(0), None)
    start = int(theirs[_BEFORE_COST - 1]) + 1
    positions = positions[start:]
    path = arm_difference(
        np.minimum(costs[start:] / cap, 1.0),
        events.is_candidate[positions],
        events.share[positions],
        threshold=question.threshold,
        ratio=question.test.limit,
        centre=float(np.minimum(first / cap, 1.0).mean()),
        at_most=question.harm,
    )
    return TimedPath.of(path, events.time_us[positions])
