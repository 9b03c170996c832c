"""Made-up live traffic with known properties: for power tables, for the packaged stream, and for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mlbaseline.monitor.event_arrays import EventArrays, Flags, Floats, Integers, ScoreArrays

_DAY_US = 86_400_000_000
START_US = 1_767_225_600_000_000
"""Where a simulated clock starts: 2026-01-01, UTC."""


@dataclass(frozen=True)
class Arms:
    """A property of each arm: a rate, a mean score, or the scale of a latency or cost."""

    champion: float
    candidate: float

    def of(self, is_candidate: Flags) -> Floats:
        return np.where(is_candidate, self.candidate, self.champion)


def simulate_events(
    n: int,
    *,
    seed: int,
    share: float | Floats = 0.05,
    days: float = 1.0,
    units: int | None = None,
    error: Arms = Arms(0.02, 0.02),
    accuracy: Arms | None = None,
    latency_s: Arms | None = None,
    cost_usd: Arms | None = None,
    label_delay_days: float = 0.0,
    swing: float = 0.0,
    slices: Mapping[str, tuple[str, ...]] | None = None,
) -> EventArrays:
    """Simulate the events of a split between two arms.

    Args:
        n: Number of requests.
        seed: Of the random numbers.
        share: The candidate's share, a number or one for each request.
        days: Time that they span, evenly.
        units: Number of users that stay with their arm. By default each request is drawn by itself.
        error: Failure rates.
        accuracy: Mean 0/1 scores; None for no labels.
        latency_s: Means of exponential latencies.
        cost_usd: Medians of log-normal costs with σ = 1.
        label_delay_days: Mean time from a request to its label, exponential.
        swing: Relative size of a daily wave in failures and losses, of both arms.
        slices: Slice ─▶ values, all equally frequent.

    Returns:
        The events in time order.

    Example:
        >>> events = simulate_events(1_000, seed=0, share=0.1)
        >>> len(events), 60 < int(events.is_candidate.sum()) < 140
        (1000, True)
    """
    rng = np.random.default_rng(seed)
    time_us = START_US + (np.arange(n) * (days * _DAY_US / n)).astype(np.int64)
    shares = np.broadcast_to(np.asarray(share, dtype=float), (n,)).copy()
    unit: Integers = np.arange(n, dtype=np.int64)
    place = rng.random(n)
    if units is not None:
        unit = rng.integers(0, units, n)
        place = rng.random(units)[unit]
    ours = place < shares
    wave = 1.0 + swing * np.sin(2.0 * np.pi * (time_us - START_US) / _DAY_US)
    known = np.full(n, np.nan)
    scores: dict[str, ScoreArrays] = {}
    if accuracy is not None:
        loss = rng.random(n) < (1.0 - accuracy.of(ours)) * wave
        delay = (rng.exponential(label_delay_days * _DAY_US, n) if label_delay_days else np.zeros(n)).astype(np.int64)
        scores["accuracy"] = ScoreArrays(np.where(loss, 0.0, 1.0), time_us + delay)
    combinations: list[dict[str, str]] = [{}]
    for name, values in (slices or {}).items():
        combinations = [{**before, name: value} for before in combinations for value in values]
    return EventArrays(
        time_us=time_us,
        is_candidate=ours,
        share=shares,
        unit=unit,
        has_unit=np.full(n, units is not None),
        experiment=np.zeros(n, dtype=np.int64),
        error=rng.random(n) < error.of(ours) * wave,
        latency_s=known if latency_s is None else rng.exponential(latency_s.of(ours)) + 1e-6,
        cost_usd=known if cost_usd is None else cost_usd.of(ours) * rng.lognormal(0.0, 1.0, n),
        tokens_in=known,
        tokens_out=known,
        slice_set=rng.integers(0, len(combinations), n),
        experiments=("",),
        slice_sets=tuple(combinations),
        scores=scores,
    )
