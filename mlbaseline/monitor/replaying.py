"""The decisions that a whole stream would have seen, each at the first moment at which it could be taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlbaseline.monitor.canary.decision import decide_canary
from mlbaseline.monitor.canary.plan import CanaryPlan
from mlbaseline.monitor.canary.report import CanaryReport
from mlbaseline.monitor.cohorts import OVERALL, WatchedSlice, closes_at_us, latest_us
from mlbaseline.monitor.drift.decision import decide_drift
from mlbaseline.monitor.drift.reference import RecordedReference, ReferenceLoss
from mlbaseline.monitor.drift.report import DriftReport
from mlbaseline.monitor.event_arrays import EventArrays
from mlbaseline.monitor.event_rows import EPOCH
from mlbaseline.monitor.ledger import DAY_US
from mlbaseline.stats import estimate_mean
from mlbaseline.suite.monitor.keys import DriftRules

_FEWEST = 20


@dataclass(frozen=True)
class DriftAlarm:
    """An alarm. time_us: when its day was closed, microseconds since 1970."""

    time_us: int
    watched: WatchedSlice


@dataclass(frozen=True)
class Replay:
    """What a stream would have seen.

    Attributes:
        canaries: One for each experiment, in order.
        drifts: One for each start of the detector, in order.
        alarms: The first alarm of each slice and start, in order.
    """

    canaries: tuple[CanaryReport, ...]
    drifts: tuple[DriftReport, ...]
    alarms: tuple[DriftAlarm, ...]


def replay_events(
    events: EventArrays,
    *,
    plan: CanaryPlan | None,
    reference: RecordedReference | None,
    rules: DriftRules,
    restarts_us: Sequence[int] = (),
) -> Replay:
    """Take every decision about a stream.

    Args:
        events: The stream.
        plan: Of the canaries; None to take no decision about them.
        reference: For the drift; None to take no decision about it.
        rules: `monitor.drift` of the suite.
        restarts_us: When the detector starts again, such as at a new champion.

    Returns:
        The decisions.
    """
    now_us = max(latest_us(events), 0)
    canaries = []
    if plan is not None:
        with np.errstate(invalid="ignore"):
            split = (events.share > 0.0) & (events.share < 1.0)
        order = dict.fromkeys(events.experiment[split].tolist())
        for experiment in order:
            chosen = events.take(np.flatnonzero(split & (events.experiment == experiment)))
            canaries.append(decide_canary(chosen, plan, max(latest_us(chosen), 0)))
    drifts: list[DriftReport] = []
    if reference is not None:
        starts = [0, *restarts_us]
        for start_us, end_us in zip(starts, [*restarts_us, now_us], strict=True):
            before = events.take(slice(0, int(np.searchsorted(events.time_us, end_us))))
            drifts.append(decide_drift(before, reference, rules, now_us=end_us, since_us=start_us))
    alarms = [
        DriftAlarm(int(closes_at_us((each.alarmed - EPOCH.date()).days, rules.label_delay)), each.watched)
        for report in drifts
        for each in report.alarms
        if each.alarmed is not None
    ]
    return Replay(tuple(canaries), tuple(drifts), tuple(alarms))


def reference_of_stream(
    events: EventArrays, *, metric: str, slices: Sequence[str], days: int = 7
) -> RecordedReference | None:
    """Take the champion's first days as the reference, where nothing is recorded of it.

    Args:
        events: The stream.
        metric: The score.
        slices: Watched slices.
        days: How many days.

    Returns:
        The reference; None where these days have too few labels.
    """
    if not len(events):
        return None
    until_us = (int(events.time_us[0]) // DAY_US + days) * DAY_US
    early = events.take(np.flatnonzero(~events.is_candidate & (events.time_us < until_us)))
    losses = 1.0 - early.score(metric).score
    known = np.isfinite(losses)
    members = {OVERALL: known}
    shares: dict[str, dict[str, float]] = {}
    for name in slices:
        codes, values = early.slice_values(name)
        counts = np.bincount(codes[codes >= 0], minlength=len(values))
        shares[name] = {value: float(count / max(counts.sum(), 1)) for value, count in zip(values, counts, strict=True)}
        members |= {WatchedSlice(name, value): known & (codes == code) for code, value in enumerate(values)}
    limits = {}
    for watched, chosen in members.items():
        if chosen.sum() >= _FEWEST:
            estimate = estimate_mean(losses[chosen], level=0.9)
            limits[watched] = ReferenceLoss(estimate.value, min(max(estimate.high, estimate.value), 1.0), estimate.n)
    if OVERALL not in limits:
        return None
    return RecordedReference(
        baseline=f"the first {days} days",
        metric=metric,
        losses=limits,
        shares=shares,
        tokens_in=np.sort(early.tokens_in[np.isfinite(early.tokens_in)]),
        latency_s=np.sort(early.latency_s[np.isfinite(early.latency_s)]),
        cost_usd=float(np.nanmean(early.cost_usd)) if np.isfinite(early.cost_usd).any() else float("nan"),
        run_ids=(),
    )
