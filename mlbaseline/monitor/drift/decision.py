"""Events ─▶ the drift report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date

import numpy as np

from mlbaseline.monitor.cohorts import OVERALL, ClosedDay, WatchedSlice, closed_days, in_time
from mlbaseline.monitor.drift.inputs import input_shift
from mlbaseline.monitor.drift.reference import RecordedReference
from mlbaseline.monitor.drift.report import DriftReport, RunningCost, SliceDrift
from mlbaseline.monitor.event_arrays import EventArrays, Floats, Integers
from mlbaseline.monitor.event_rows import EPOCH
from mlbaseline.monitor.ledger import DAY_US
from mlbaseline.stats.sequential import SlicedDriftDetector, binomial_mixture
from mlbaseline.suite.monitor.keys import DriftRules

_RECENT_DAYS = 7
_LARGEST_BOUND = 0.999
_PRIOR_TRIALS = 20.0


def decide_drift(
    events: EventArrays,
    reference: RecordedReference,
    rules: DriftRules,
    *,
    now_us: int,
    since_us: int | None = None,
) -> DriftReport:
    """Run the detector over all closed days.

    Args:
        events: Everything in the ledger. Only the champion's events count.
        reference: What was recorded.
        rules: `monitor.drift` of the suite.
        now_us: Time of the look, microseconds since 1970.
        since_us: Start of the detector, such as the champion's promotion or a retraining; the first event by default.

    Returns:
        The report. Alarms are those of the first day on which they could be raised, whenever anybody looks.
    """
    theirs = events.take(np.flatnonzero(~events.is_candidate & (events.time_us >= (since_us or 0))))
    losses, known_us = live_losses(theirs, reference.metric, rules)
    days = closed_days(
        theirs,
        losses,
        known_us,
        slices=tuple(reference.shares),
        label_delay=rules.label_delay,
        until_us=now_us,
    )
    slices = _detect(days, reference, rules)
    until_us = ((days[-1].day - EPOCH.date()).days + 1) * DAY_US if days else 0
    closed = theirs.take(slice(0, int(np.searchsorted(theirs.time_us, until_us))))
    recent = closed.take(slice(int(np.searchsorted(closed.time_us, until_us - _RECENT_DAYS * DAY_US)), len(closed)))
    return DriftReport(
        slices=slices,
        days=tuple(each.day for each in days),
        arl_days=rules.arl_days,
        reference=reference.baseline,
        metric=reference.metric,
        inputs=input_shift(recent, reference, days=min(len(days), _RECENT_DAYS)),
        cost=_running_cost(closed, recent, reference),
        late=sum(each.late for each in days),
        requests=len(closed),
        looked_us=now_us,
    )


def live_losses(events: EventArrays, metric: str, rules: DriftRules) -> tuple[Floats, Integers]:
    """Compute the loss of each event and when it became known.

    With a judge and labels of a known probability π, a loss is Z = f + (ξ/π)(Y − f), of the judge's f, the label's Y
    and the selection ξ: its expectation is that of Y, however wrong the judge is. A label counts as selected if it came
    before its day was closed.
    """
    labels = events.score(metric)
    if rules.judged_by is None:
        return 1.0 - labels.score, labels.known_us
    judged = events.score(rules.judged_by)
    predicted = 1.0 - judged.score
    selected = in_time(events, labels.known_us, rules.label_delay)
    correction = np.where(selected, (judged.score - labels.score) / rules.label_share, 0.0)
    return predicted + correction, np.where(selected, np.maximum(labels.known_us, judged.known_us), judged.known_us)


def _detect(days: Sequence[ClosedDay], reference: RecordedReference, rules: DriftRules) -> tuple[SliceDrift, ...]:
    bounds = {
        watched: min(recorded.upper + rules.delta, _LARGEST_BOUND) for watched, recorded in reference.losses.items()
    }
    detector = SlicedDriftDetector(bounds, arl_days=rules.arl_days, sampling_probability=rules.label_share)
    log_e: dict[WatchedSlice, list[float]] = {watched: [] for watched in bounds}
    alarmed: dict[WatchedSlice, date] = {}
    for day in days:
        detector.update({watched: losses for watched, losses in day.losses.items() if watched in bounds})
        for evidence in detector.evidence():
            log_e[evidence.slice].append(evidence.log_e)
            if evidence.alarm:
                alarmed.setdefault(evidence.slice, day.day)
    found = [
        SliceDrift(
            watched=evidence.slice,
            log_e=np.array(log_e[evidence.slice]),
            threshold=evidence.threshold,
            alarmed=alarmed.get(evidence.slice),
            n=evidence.n,
            loss=evidence.loss,
            recent_loss=_recent_loss(days, evidence.slice),
            reference_loss=reference.losses[evidence.slice].loss,
            bound=bounds[evidence.slice],
        )
        for evidence in detector.evidence()
    ]
    return tuple(sorted(found, key=lambda each: each.watched != OVERALL))


def _recent_loss(days: Sequence[ClosedDay], watched: WatchedSlice) -> float:
    losses = [day.losses[watched] for day in days[-_RECENT_DAYS:] if watched in day.losses]
    every = np.concatenate(losses) if losses else np.empty(0)
    return float(every.mean()) if len(every) else math.nan


def _running_cost(closed: EventArrays, recent: EventArrays, reference: RecordedReference) -> RunningCost:
    latency, all_latency = _known(recent.latency_s), _known(closed.latency_s)
    recorded = float(np.quantile(reference.latency_s, 0.95)) if len(reference.latency_s) else math.nan
    log_e = math.nan
    if len(all_latency) and math.isfinite(recorded):
        over = int((all_latency > recorded).sum())
        log_e = float(binomial_mixture(len(all_latency), over, 0.05, k=_PRIOR_TRIALS, one_sided=True))
    cost = _known(recent.cost_usd)
    return RunningCost(
        latency_p95_s=float(np.quantile(latency, 0.95)) if len(latency) else math.nan,
        reference_latency_p95_s=recorded,
        latency_log_e=log_e,
        cost_usd=float(cost.mean()) if len(cost) else math.nan,
        reference_cost_usd=reference.cost_usd,
    )


def _known(values: Floats) -> Floats:
    return values[np.isfinite(values)]
