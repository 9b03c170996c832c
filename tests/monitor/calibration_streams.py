"""Simulated live traffic of two arms, for the calibration of monitoring: what happens to both, and to one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mlbaseline.monitor import EventArrays, ScoreArrays
from mlbaseline.monitor.simulation import Arms, simulate_events

SHARE = 0.05
"""Of the candidate, unless a stream says otherwise."""
SLICES = tuple("abcde")
Simulate = Callable[[int], EventArrays]
"""Seed ─▶ a stream."""


def pinned(seed: int, n: int = 20_000, units: int = 2_000, share: float = 0.1) -> EventArrays:
    """A cookie keeps the candidate's users; every request of the others is drawn anew."""
    events = simulate_events(n, seed=seed, share=share, units=units)
    rng, stuck, ours = np.random.default_rng(seed), set[int](), np.zeros(n, dtype=bool)
    draw = rng.random(n) < share
    for position, unit in enumerate(events.unit.tolist()):
        ours[position] = unit in stuck or bool(draw[position])
        if ours[position]:
            stuck.add(unit)
    return replace(events, is_candidate=ours)


def null_streams(n: int) -> dict[str, Simulate]:
    """Streams of two equal arms, by what happens in them."""
    both = {"share": SHARE, "days": 10.0}
    return {
        "equal": lambda seed: simulate_events(n, seed=seed, error=Arms(0.1, 0.1), accuracy=Arms(0.8, 0.8), **both),
        "swinging ±80 %": lambda seed: simulate_events(
            n, seed=seed, swing=0.8, error=Arms(0.1, 0.1), accuracy=Arms(0.8, 0.8), **both
        ),
        "sticky units, 20 requests each": lambda seed: _heavy_users(seed, n),
        "ramp 1 %, 5 %, 25 %": lambda seed: simulate_events(
            n,
            seed=seed,
            share=np.repeat([0.01, 0.05, 0.25], [n // 3, n // 3, n - 2 * (n // 3)]),
            days=10.0,
            error=Arms(0.1, 0.1),
            accuracy=Arms(0.8, 0.8),
        ),
    }


def _heavy_users(seed: int, n: int) -> EventArrays:
    """Users differ much in how often they fail and err."""
    events = simulate_events(n, seed=seed, share=SHARE, days=10.0, units=n // 20)
    rng = np.random.default_rng(seed + 10_000)
    rate = rng.beta(0.2, 1.8, n // 20)[events.unit]
    wrong = rng.random(n) < np.minimum(2 * rate, 1.0)
    scores = {"accuracy": ScoreArrays(np.where(wrong, 0.0, 1.0), events.time_us)}
    return replace(events, error=rng.random(n) < rate, scores=scores)


def heavy_tailed(n: int, seed: int, *, ratio: float = 1.0) -> EventArrays:
    """Costs and latencies without a variance (Pareto, α = 1.5). ratio: of the candidate's to the champion's."""
    events = simulate_events(n, seed=seed, share=SHARE, days=10.0)
    tail = np.random.default_rng(seed + 20_000).pareto(1.5, (2, n)) + 1.0
    scale = np.where(events.is_candidate, ratio, 1.0)
    return replace(events, cost_usd=1e-5 * scale * tail[0], latency_s=0.05 * scale * tail[1])


def sliced(n: int, seed: int) -> EventArrays:
    """Everything that can be looked at, over five slices, with a daily wave of failures and losses."""
    return simulate_events(
        n,
        seed=seed,
        share=0.25,
        days=10.0,
        swing=0.5,
        error=Arms(0.1, 0.1),
        accuracy=Arms(0.8, 0.8),
        latency_s=Arms(0.1, 0.1),
        cost_usd=Arms(1e-4, 1e-4),
        slices={"topic": SLICES},
    )
