"""A snapshot: how the champion does on live items now, beside the reference, with evidence that adds up over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlbaseline.monitor.event_arrays import Floats
from mlbaseline.records.decisions import StoredText
from mlbaseline.stats import compare_paired
from mlbaseline.stats.sequential import mean_difference

FEWEST_ITEMS = 50
"""Below this number the e-value, which holds asymptotically, is left at 1."""


class SnapshotOutcome(StoredText):
    """What the snapshots of a champion, all together, say."""

    HOLDS = "holds"
    """No evidence that the champion is worse than the reference by more than the tolerated rise of the loss."""
    BREACH = "breach"
    """It is."""


@dataclass(frozen=True)
class AnchorCheck:
    """The champion on items that never change, beside its first answers to them.

    Attributes:
        n: Number of items.
        changed: Items whose score is another one now.
        delta: Mean score now less that of then.
        low: Lower limit of its interval.
        high: Upper limit.
    """

    n: int
    changed: int
    delta: float
    low: float
    high: float

    @property
    def has_moved(self) -> bool:
        """Whether the interval excludes "no change": then the server, the tokenizer or the judge changed."""
        return self.changed > 0 and not self.low <= 0.0 <= self.high


@dataclass(frozen=True)
class Snapshot:
    """The champion on the holdout of a period.

    Attributes:
        period: Number of the period.
        n: Number of items.
        champion_mean: Mean score of the champion.
        reference_mean: Mean score of the reference: on the same items, or as it was recorded.
        delta: Champion less reference.
        low: Lower limit of its interval, for people; decisions use the e-value.
        high: Upper limit.
        level: Confidence level of the interval.
        log_e: Natural logarithm of this period's e-value against "the champion is not worse than tolerated".
        log_e_total: The same over all snapshots of this champion: periods have no item in common, so that their
            e-values multiply.
        threshold: The total at which it is a breach.
        outcome: What they say together.
        is_paired: Whether both answered the same items.
        anchor: The items that never change; None at the first snapshot of a champion.
    """

    period: int
    n: int
    champion_mean: float
    reference_mean: float
    delta: float
    low: float
    high: float
    level: float
    log_e: float
    log_e_total: float
    threshold: float
    outcome: SnapshotOutcome
    is_paired: bool
    anchor: AnchorCheck | None


def judge_snapshot(
    champion: Floats,
    reference: Floats,
    *,
    is_paired: bool,
    tolerated: float,
    level: float,
    before: Sequence[float],
    period: int,
    anchor: AnchorCheck | None,
) -> Snapshot:
    """Judge the champion's scores on a period's items.

    Args:
        champion: Scores (n,) in [0, 1].
        reference: Scores (n,) on the same items where paired, else (m,) as they were recorded.
        is_paired: Whether both are of the same items.
        tolerated: Largest rise of the mean loss that is tolerated.
        level: Confidence level; a breach is false with a probability of at most 1 − level, over all periods.
        before: log e of the champion's earlier periods.
        period: Number of the period.
        anchor: The items that never change.

    Returns:
        The snapshot. A breach stays one: the largest product so far counts, as the e-values hold at any look.

    Raises:
        ValueError: If there are fewer than two items.
    """
    alpha = 1.0 - level
    now = mean_difference(
        champion,
        reference,
        optimal_n=len(champion) if is_paired else len(champion) + len(reference),
        alpha=alpha,
        alternative="less",
        margin=-tolerated,
        paired=is_paired,
    )
    log_e = now.log_e if min(len(champion), len(reference)) >= FEWEST_ITEMS else 0.0
    if is_paired:
        shown = compare_paired(champion, reference, level=level)
        low, high = shown.low, shown.high
    else:
        both = mean_difference(champion, reference, optimal_n=len(champion) + len(reference), alpha=alpha)
        low, high = both.low, both.high
    totals = np.cumsum([*before, log_e])
    threshold = math.log(1.0 / alpha)
    return Snapshot(
        period=period,
        n=len(champion),
        champion_mean=float(np.mean(champion)),
        reference_mean=float(np.mean(reference)),
        delta=now.delta,
        low=low,
        high=high,
        level=level,
        log_e=log_e,
        log_e_total=float(totals[-1]),
        threshold=threshold,
        outcome=SnapshotOutcome.BREACH if totals.max() >= threshold else SnapshotOutcome.HOLDS,
        is_paired=is_paired,
        anchor=anchor,
    )


def check_anchor(now: Floats, then: Floats, *, level: float) -> AnchorCheck:
    """Compare a champion's scores on the anchor items with its first ones.

    Args:
        now: Scores (n,).
        then: Scores of the same items at the champion's first snapshot (n,).
        level: Confidence level.
    """
    changed = int((now != then).sum())
    if len(now) < 2 or not changed:
        return AnchorCheck(len(now), changed, float(np.mean(now - then)) if len(now) else 0.0, 0.0, 0.0)
    found = compare_paired(now, then, level=level)
    return AnchorCheck(len(now), changed, found.delta, found.low, found.high)
