"""How far apart the slices of one system lie, and whether another system lies further apart.

The gap is the largest slice mean less the smallest. As a maximum over pairs of slices it has no bootstrap interval that
holds: with equal slices the observed gap is all noise, and resampling adds more. Here every pair has an interval, and
all hold at once (Bonferroni); on that event the true gap lies between the largest lower and the largest upper limit.

For the difference of two systems' gaps, G_a and G_b, let D(v, w) be the paired difference of the two systems on slice v
less that on slice w. If (v, w) is the pair that attains G_b, then G_a − G_b ≥ D(v, w), and also ≥ the least that G_a
may be less the most that b's distance on (v, w) may be; the greater of the two is the limit. Which pair attains G_b is
uncertain: the least limit of all pairs that may, by b's simultaneous intervals, is taken. The upper limit is its mirror
image in a.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlbaseline.stats.inputs import as_scores
from mlbaseline.stats.paired.unpaired import BoundedMean, bounded_mean


@dataclass(frozen=True)
class Gap:
    """``highest`` and ``lowest``: the groups with these observed means, ``value`` the distance between them (≥ 0).

    ``low`` (≥ 0) and ``high`` cover the true distance between the highest and the lowest group, whichever those are.
    """

    value: float
    low: float
    high: float
    level: float
    highest: int
    lowest: int


@dataclass(frozen=True)
class GapDifference:
    """Gap of the candidate less that of the baseline: above 0 where the candidate is the more uneven."""

    value: float
    low: float
    high: float
    level: float


_Limits = dict[tuple[int, int], tuple[float, float]]


def group_gap(scores: ArrayLike, groups: ArrayLike, *, clusters: ArrayLike | None = None, level: float = 0.95) -> Gap:
    """Estimate the gap between the highest and the lowest group mean of one system.

    Args:
        scores: Shape (n,).
        groups: Numbers 0 to k − 1 of shape (n,), each present, at least two.
        clusters: Labels (n,); groups that share a cluster are taken as independent, which is the safe side as long as
            what belongs together is alike.
        level: Level of the interval, in (0, 1).

    Returns:
        The gap with its interval.

    Raises:
        ValueError: If there are fewer than two groups, or a group has fewer than two examples or clusters.

    Example:
        >>> group_gap([0, 0, 1, 1, 1, 0, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1]).value
        0.25
    """
    values, numbers, k = _checked(scores, groups)
    means = _means(values, numbers, k, clusters)
    limits = _pairwise(means, 1.0 - (1.0 - level) / _pairs(k))
    highest, lowest = _extremes(means)
    return Gap(
        value=means[highest].value - means[lowest].value,
        low=_least(limits),
        high=max(high for _, high in limits.values()),
        level=level,
        highest=highest,
        lowest=lowest,
    )


def difference_of_gaps(
    candidate: ArrayLike,
    baseline: ArrayLike,
    groups: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
) -> GapDifference:
    """Estimate the gap of the candidate less that of the baseline.

    Args:
        candidate: Scores (n,).
        baseline: Scores (n,) on the same examples.
        groups: Numbers 0 to k − 1 of shape (n,), each present, at least two.
        clusters: Labels (n,), as `group_gap`.
        level: Level of the interval, in (0, 1).

    Returns:
        The difference with its interval; above 0 where the candidate is the more uneven.

    Raises:
        ValueError: As `group_gap`.

    Example:
        >>> groups = [0, 0, 0, 0, 1, 1, 1, 1]
        >>> difference_of_gaps([0, 0, 1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 0, 1, 1], groups).value
        0.5
    """
    ours, numbers, k = _checked(candidate, groups)
    theirs, _, _ = _checked(baseline, groups)
    each = 1.0 - (1.0 - level) / (3 * _pairs(k))
    means = [_means(values, numbers, k, clusters) for values in (ours, theirs, ours - theirs)]
    of_candidate, of_baseline, of_differences = (_pairwise(side, each) for side in means)
    gaps = [side[highest].value - side[lowest].value for side in means[:2] for highest, lowest in [_extremes(side)]]
    least_ours, least_theirs = _least(of_candidate), _least(of_baseline)
    low = min(
        max(of_differences[pair][0], least_ours - high)
        for pair, (_, high) in of_baseline.items()
        if high >= least_theirs
    )
    high = max(
        min(of_differences[pair][1], high - least_theirs)
        for pair, (_, high) in of_candidate.items()
        if high >= least_ours
    )
    return GapDifference(gaps[0] - gaps[1], low, high, level)


def _checked(scores: ArrayLike, groups: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.intp], int]:
    rows = as_scores(scores, "scores")
    numbers = np.asarray(groups)
    if len(rows) != 1 or numbers.shape != rows.shape[1:] or numbers.dtype.kind not in "iu":
        raise ValueError(
            f"expected scores (n,) and whole numbers groups (n,), got {rows.shape} and {numbers.dtype} {numbers.shape}"
        )
    present = np.unique(numbers)
    if len(present) < 2 or not np.array_equal(present, np.arange(len(present))):
        raise ValueError(f"groups: expected numbers 0 to k − 1, at least two and each present, got {present[:10]}")
    return rows[0], numbers.astype(np.intp), len(present)


def _means(
    values: NDArray[np.float64], groups: NDArray[np.intp], k: int, clusters: ArrayLike | None
) -> list[BoundedMean]:
    labels = None if clusters is None else np.asarray(clusters)
    members = [groups == group for group in range(k)]
    return [bounded_mean(values[None, m], None if labels is None else labels[m], "clusters") for m in members]


def _pairwise(means: Sequence[BoundedMean], level: float) -> _Limits:
    tail = (1.0 - level) / 2.0
    return {(v, w): means[v].minus(means[w], tail) for v, w in permutations(range(len(means)), 2)}


def _pairs(k: int) -> int:
    return k * (k - 1) // 2


def _extremes(means: Sequence[BoundedMean]) -> tuple[int, int]:
    observed = [mean.value for mean in means]
    return int(np.argmax(observed)), int(np.argmin(observed))


def _least(limits: _Limits) -> float:
    """Compute what the gap is at least. A pair whose upper limit lies below it does not attain the gap."""
    return max(0.0, *(low for low, _ in limits.values()))
