"""Which share the candidate should have next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from mlbaseline.monitor.canary.traffic import SplitTraffic
from mlbaseline.suite.monitor.canary import RampStep

_SAME = 1e-9
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class RampPosition:
    """Where the ramp stands.

    Attributes:
        share: The share that the newest event has, 0 before any.
        since_us: Time of the first event with that share, None before any.
        next_share: The share of the following step, None at the last one.
        next_us: When the following step may be taken, None at the last one.
        advice: The share that the candidate should have now, as long as nothing is decided.
    """

    share: float
    since_us: int | None
    next_share: float | None
    next_us: int | None
    advice: float


def ramp_position(traffic: SplitTraffic, ramp: Sequence[RampStep], now_us: int) -> RampPosition:
    """Find the step that the newest event belongs to, and whether its holding time is over.

    A share that is no step of the ramp is held as long as the step below it says.
    """
    if not len(traffic):
        return RampPosition(0.0, None, ramp[0].share, None, ramp[0].share)
    share = float(traffic.events.share[-1])
    since_us = int(traffic.events.time_us[np.argmax(np.abs(traffic.events.share - share) < _SAME)])
    reached = [step for step in ramp if step.share <= share + _SAME]
    following = next((step for step in ramp if step.share > share + _SAME), None)
    if following is None:
        return RampPosition(share, since_us, None, None, share)
    hold = reached[-1].hold if reached else timedelta()
    next_us = since_us + hold // MICROSECOND
    return RampPosition(share, since_us, following.share, next_us, following.share if now_us >= next_us else share)
