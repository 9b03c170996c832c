"""A packaged stream that tells the whole story: two canaries, one of which harms a slice, a drift, a retraining."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlbaseline.monitor.cohorts import OVERALL, WatchedSlice
from mlbaseline.monitor.drift.reference import RecordedReference, ReferenceLoss
from mlbaseline.monitor.event_arrays import EventArrays, ScoreArrays
from mlbaseline.monitor.ledger import DAY_US
from mlbaseline.monitor.simulation import START_US
from mlbaseline.suite.monitor.canary import CanaryRules
from mlbaseline.suite.monitor.keys import DriftRules

DAYS, PER_DAY = 90, 4_000
TOPICS = ("airline", "apple", "car", "football", "other")
_LOSSES = np.array([0.20, 0.22, 0.25, 0.18, 0.24])
_SHARES = np.array([0.38, 0.10, 0.12, 0.25, 0.15])
_FINE, _HARMFUL, _DRIFT, _RETRAINED = (0, 14), (20, 34), 45, 62
"""Days of the two canaries, of the drift's start, and of the new champion."""
_CLIENTS = 40_000


@dataclass(frozen=True, eq=False)
class PackagedStream:
    """The packaged stream with the rules that it is judged by.

    Attributes:
        events: The events.
        canary: Rules of both canaries.
        drift: Rules of the drift alarm.
        reference: What was recorded of the champion.
        restarts_us: When the detector starts again: at the new champion.
    """

    events: EventArrays
    canary: CanaryRules
    drift: DriftRules
    reference: RecordedReference
    restarts_us: tuple[int, ...]


def tell_story(seed: int = 7) -> PackagedStream:
    """Make the packaged stream.

    Example:
        >>> story = tell_story()
        >>> len(story.events), story.events.experiments
        (360000, ('', 'lora-v2', 'lora-v3'))
    """
    rules = {
        "candidate": "lora",
        "ramp": [{"share": 0.05, "hold": "2d"}, {"share": 0.25, "hold": "3d"}],
        "guardrails": {
            "error": {"ratio": 1.5},
            "accuracy": {"margin": 0.03},
            "latency_p95": {"ratio": 1.2},
            "cost": {"ratio": 1.2},
        },
    }
    return PackagedStream(
        events=_events(np.random.default_rng(seed)),
        canary=CanaryRules.model_validate(rules),
        drift=DriftRules.model_validate({"delta": 0.03, "arl_days": 365, "label_delay": "2d"}),
        reference=_reference(np.random.default_rng(seed + 1)),
        restarts_us=(START_US + _RETRAINED * DAY_US,),
    )


def _events(rng: np.random.Generator) -> EventArrays:
    n = DAYS * PER_DAY
    day = np.arange(n) // PER_DAY
    time_us = START_US + (np.arange(n) * (DAY_US / PER_DAY)).astype(np.int64)
    fine, harmful = ((day >= first) & (day < last) for first, last in (_FINE, _HARMFUL))
    since = day - np.where(fine, _FINE[0], _HARMFUL[0])
    share = np.where(fine | harmful, np.where(since < 2, 0.05, 0.25), 0.0)
    unit = rng.integers(0, _CLIENTS, n)
    place = rng.random((2, _CLIENTS))
    ours = np.where(harmful, place[1][unit], place[0][unit]) < share
    topic = rng.choice(len(TOPICS), n, p=_SHARES)
    loss = _LOSSES[topic] - 0.03 * (ours & fine)  # the first candidate is a little better
    loss = loss + 0.35 * (ours & harmful & (topic == TOPICS.index("car")))
    drifting = (day >= _DRIFT) & (day < _RETRAINED) & (topic == TOPICS.index("apple"))
    loss = loss + 0.15 * drifting
    labelled = rng.random(n) < 0.4
    delay_us = (rng.exponential(0.4 * DAY_US, n)).astype(np.int64)
    score = np.where(labelled, (rng.random(n) >= loss).astype(float), np.nan)
    return EventArrays(
        time_us=time_us,
        is_candidate=ours,
        share=share,
        unit=unit,
        has_unit=np.ones(n, dtype=bool),
        experiment=np.where(fine, 1, np.where(harmful, 2, 0)),
        error=rng.random(n) < 0.02,
        latency_s=rng.lognormal(-2.3, 0.4, n),
        cost_usd=rng.lognormal(-9.5, 0.5, n),
        tokens_in=np.round(rng.lognormal(3.4, 0.4, n)),
        tokens_out=np.ones(n),
        slice_set=topic,
        experiments=("", "lora-v2", "lora-v3"),
        slice_sets=tuple({"topic": name} for name in TOPICS),
        scores={"accuracy": ScoreArrays(score, np.where(labelled, time_us + delay_us, -1))},
    )


def _reference(rng: np.random.Generator) -> RecordedReference:
    """As if the champion had been evaluated on 3,000 examples."""
    sizes = (3_000 * _SHARES).astype(int)
    limits = {
        WatchedSlice("topic", name): ReferenceLoss(
            loss, loss + 1.645 * float(np.sqrt(loss * (1 - loss) / size)), int(size)
        )
        for name, loss, size in zip(TOPICS, _LOSSES.tolist(), sizes, strict=True)
    }
    overall = float(_LOSSES @ _SHARES)
    return RecordedReference(
        baseline="champion",
        metric="accuracy",
        losses={OVERALL: ReferenceLoss(overall, overall + 0.013, 3_000), **limits},
        shares={"topic": dict(zip(TOPICS, _SHARES.tolist(), strict=True))},
        tokens_in=np.sort(np.round(rng.lognormal(3.4, 0.4, 3_000))),
        latency_s=np.sort(rng.lognormal(-2.3, 0.4, 3_000)),
        cost_usd=8.5e-5,
        run_ids=(),
    )
