"""How long a canary or the drift detector takes to find an effect, by the volume of the traffic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlbaseline.monitor.canary.evidence import PRIOR_TRIALS
from mlbaseline.stats.sequential import SlicedDriftDetector, binomial_stream

_STREAMS = 40
_LONGEST_DAYS = 180


@dataclass(frozen=True)
class Delay:
    """How soon an effect is found.

    Attributes:
        effect: The effect, in words.
        volume: The volume, in words.
        found: Share of the simulated streams in which it was found at all.
        median: Median of what it takes, days or requests, ∞ where it is found in less than half.
    """

    effect: str
    volume: str
    found: float
    median: float


def canary_delays(
    *,
    failure_rate: float,
    share: float,
    ratio: float,
    alpha: float,
    effects: Sequence[float] = (1.5, 2.0, 3.0),
    volumes: Sequence[int] = (1_000, 10_000, 100_000),
    horizon_days: float = 14.0,
    seed: int = 0,
) -> tuple[Delay, ...]:
    """Simulate how many days a canary takes to find failures that come more often.

    Args:
        failure_rate: The champion's share of failures, or a mean loss of 0/1 scores.
        share: The candidate's share.
        ratio: Tolerated ratio.
        alpha: The guardrail's part of the error rate.
        effects: True ratios of the failure rates.
        volumes: Requests a day.
        horizon_days: What is not found until then is not found.
        seed: Of the random numbers.

    Returns:
        One row for each effect and volume.

    Example:
        >>> rows = canary_delays(failure_rate=0.1, share=0.05, ratio=1.0, alpha=0.05, effects=[3.0], volumes=[1_000])
        >>> rows[0].found, rows[0].median < 1
        (1.0, True)
    """
    rng = np.random.default_rng(seed)
    theta0 = share * ratio / (share * ratio + 1.0 - share)
    rows = []
    for effect in effects:
        mixed = share * effect + 1.0 - share
        most = max(volumes) * horizon_days * failure_rate * mixed
        failures = int(min(most, 50_000))
        crossed = []
        for _ in range(_STREAMS):
            ours = rng.random(failures) < share * effect / mixed
            path = binomial_stream(ours, theta0, k=PRIOR_TRIALS, threshold=math.log(1 / alpha), one_sided=True)
            crossed.append(math.inf if path.crossed is None else (path.crossed + 1) / (failure_rate * mixed))
        for volume in volumes:
            days = np.array(crossed) / volume
            days[days > horizon_days] = math.inf
            found = float(np.isfinite(days).mean())
            rows.append(Delay(f"failures × {effect:g}", f"{volume:,} requests a day", found, _median(days)))
    return tuple(rows)


def drift_delays(
    *,
    bound: float,
    slices: int,
    arl_days: float,
    rises: Sequence[float] = (0.03, 0.06, 0.1),
    volumes: Sequence[int] = (10, 30, 100, 300),
    seed: int = 0,
) -> tuple[Delay, ...]:
    """Simulate how many days the detector takes to find a loss on one slice that exceeds its bound.

    Args:
        bound: Largest acceptable loss.
        slices: Number of slices that share the alarm rate.
        arl_days: Average number of days to a false alarm.
        rises: True losses above the bound.
        volumes: Labels of the slice a day.
        seed: Of the random numbers.

    Returns:
        One row for each rise and volume.
    """
    rng, rows = np.random.default_rng(seed), []
    for rise in rises:
        for volume in volumes:
            # The first of K slices to raise an alarm does so at K/α, as a single one with K times the run length.
            each = [_days_to_alarm(rng, bound, rise, volume, arl_days * slices) for _ in range(_STREAMS // 4)]
            days = np.array(each)
            found = float(np.isfinite(days).mean())
            rows.append(Delay(f"loss {rise:g} over its bound", f"{volume:,} labels a day", found, _median(days)))
    return tuple(rows)


def _days_to_alarm(rng: np.random.Generator, bound: float, rise: float, volume: int, arl_days: float) -> float:
    detector = SlicedDriftDetector({"all": bound}, arl_days=arl_days)
    for day in range(1, _LONGEST_DAYS + 1):
        if detector.update({"all": (rng.random(volume) < min(bound + rise, 1.0)).astype(float)}):
            return float(day)
    return math.inf


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if np.isfinite(values).mean() > 0.5 else math.inf
