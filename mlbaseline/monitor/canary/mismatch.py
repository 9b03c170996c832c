"""Whether the traffic was split as it claims to be (sample-ratio mismatch)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mlbaseline.monitor.canary.evidence import PRIOR_TRIALS, TimedPath
from mlbaseline.monitor.canary.traffic import SplitTraffic
from mlbaseline.monitor.event_arrays import Floats
from mlbaseline.stats.sequential import trace_path, two_sided_course

_RANKS = (0, 1, 3, 7)
"""Which requests of a unit are looked at: its first, second, fourth and eighth."""
_WEIGHTS = (0.5, 1 / 6, 1 / 6, 1 / 6)


@dataclass(frozen=True)
class MismatchEvidence:
    """Evidence against the split.

    Attributes:
        requests: Of units as they arrive and as they come back.
        labels: Of units as their labels become known: labels may be lost in one arm alone.
        threshold: The log e-value at which each is a mismatch.
        returning: Whether the evidence of units that come back is stronger than that of their first requests.
    """

    requests: TimedPath
    labels: TimedPath
    threshold: float
    returning: bool


def mismatch_evidence(traffic: SplitTraffic, alpha: float, metrics: tuple[str, ...]) -> MismatchEvidence:
    """Test that each unit is the candidate's with the probability that its share says.

    One count a unit: the arms of all first requests are independent, and so are those of all second ones, whether
    units stay with their arm or each request is drawn anew. A splitter that pins only the candidate's units lets first
    requests look right and moves more units to the candidate at each later one, so the e-values of the first, second,
    fourth and eighth requests are averaged.

    Args:
        traffic: What is known.
        alpha: Error rate, half for requests and half for labels.
        metrics: Scores whose labels are looked at.

    Returns:
        The evidence.
    """
    threshold = math.log(2.0 / alpha)
    events = traffic.events
    courses = [_course(traffic, rank) for rank in _RANKS if rank == 0 or (traffic.rank == rank).any()]
    weights = _WEIGHTS[: len(courses)]
    total = courses[0]
    if len(courses) > 1:
        total = np.full(len(traffic), -math.inf)
        for weight, course in zip(weights, courses, strict=True):
            np.logaddexp(total, course + math.log(weight / sum(weights)), out=total)
    requests = TimedPath.of(trace_path(total, lambda at: total[at], threshold), events.time_us)
    returning = len(traffic) > 0 and total[-1] > courses[0][-1]
    labels = [_labels(traffic, metric, threshold + math.log(max(len(metrics), 1))) for metric in metrics]
    empty = TimedPath(np.empty(0, np.int64), np.empty(0), None)
    strongest = max(labels, key=lambda path: (path.crossed_us is not None, path.last), default=empty)
    return MismatchEvidence(requests, strongest, threshold, bool(returning))


def _course(traffic: SplitTraffic, rank: int) -> Floats:
    """Compute the log e-value of the units' requests of one rank, after every event."""
    at = np.flatnonzero(traffic.rank == rank)
    course = two_sided_course(traffic.events.is_candidate[at], traffic.events.share[at], k=PRIOR_TRIALS)
    if len(at) == len(traffic):
        return course
    steps = np.zeros(len(traffic))
    steps[at] = np.diff(course, prepend=0.0)
    return np.asarray(np.cumsum(steps))


def _labels(traffic: SplitTraffic, metric: str, threshold: float) -> TimedPath:
    positions = traffic.labelled(metric)
    course = two_sided_course(traffic.events.is_candidate[positions], traffic.events.share[positions], k=PRIOR_TRIALS)
    path = trace_path(course, lambda at: course[at], threshold)
    return TimedPath.of(path, traffic.events.score(metric).known_us[positions])
