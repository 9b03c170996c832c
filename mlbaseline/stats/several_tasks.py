"""One picture of many tasks: aggregates that a few outlying tasks do not decide, with intervals over seeds.

Scores are (seeds, tasks), higher better and on one scale. A resample draws seeds anew within each task (stratified
bootstrap: the tasks are the benchmark, only the runs vary), after Agarwal et al. (2021). R seeds drawn from R vary by
(R − 1)/R of what they should: percentile limits are stretched about the estimate by sqrt(R/(R − 1)), without which 3
seeds of 20 tasks cover 0.87 and 0.90 at a nominal 0.95. Ranks over tasks are for display: a critical-difference diagram
compares ranks, not sizes, and is never a gate's reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from mlbaseline.stats.inputs import generator
from mlbaseline.stats.types import Array

# Scores gathered at once while resampling.
CHUNK_ELEMENTS = 1 << 23


@dataclass(frozen=True)
class Aggregate:
    """An aggregate over tasks with its interval; ``n_seeds`` is the smaller number where there are two sides."""

    value: float
    low: float
    high: float
    level: float
    n_seeds: int
    n_tasks: int
    method: str


@dataclass(frozen=True)
class PerformanceProfile:
    """Share of runs (over all tasks) that score above each of ``thresholds`` (t,), with pointwise limits (t,)."""

    thresholds: Array
    share: Array
    low: Array
    high: Array
    level: float


@dataclass(frozen=True)
class RankComparison:
    """``average_ranks`` (k,), 1 the best; two systems differ if their ranks do by more than ``critical_difference``.

    ``p_value`` is Friedman's, of "all k systems rank alike". ``groups`` are the longest runs of systems, from the best
    average rank to the worst, whose ranks lie within the critical difference: the bars of the diagram.
    """

    average_ranks: Array
    critical_difference: float
    p_value: float
    groups: tuple[tuple[int, ...], ...]
    level: float
    n_tasks: int


def interquartile_mean(
    scores: npt.ArrayLike, *, level: float = 0.95, n_resamples: int = 10_000, rng: np.random.Generator | None = None
) -> Aggregate:
    """Estimate the mean of the middle half of all runs, a quarter cut off at either end.

    Args:
        scores: Shape (seeds, tasks), on one scale.
        level: Level of the interval, in (0, 1).
        n_resamples: Resamples of seeds within tasks.
        rng: Source of random numbers; by default the same at every call.

    Returns:
        The interquartile mean with its interval.

    Raises:
        ValueError: If a score is not finite or a task has fewer than two seeds.

    Example:
        >>> interquartile_mean([[0.1, 0.5], [0.3, 0.7]], n_resamples=500).value
        0.4
    """
    runs = _checked(scores, "scores")
    drawn = _resample(runs, n_resamples, generator(rng), _trimmed_mean)
    value, (n_seeds, n_tasks) = _trimmed_mean(runs), runs.shape
    low, high = _limits(drawn, value, level, n_seeds)
    return Aggregate(float(value), float(low), float(high), level, n_seeds, n_tasks, "stratified bootstrap")


def probability_of_improvement_over_tasks(
    candidate: npt.ArrayLike,
    baseline: npt.ArrayLike,
    *,
    level: float = 0.95,
    n_resamples: int = 10_000,
    rng: np.random.Generator | None = None,
) -> Aggregate:
    """Estimate the mean over tasks of the probability that a run of the candidate beats one of the baseline.

    Ties count half; 0.5 is no difference. The seeds of the two sides are resampled on their own, as they are not
    paired (Agarwal et al. 2021, NeurIPS).

    Args:
        candidate: Scores (seeds, tasks), higher better.
        baseline: Scores (seeds, tasks) of the same tasks; the number of seeds may differ.
        level: Level of the interval.
        n_resamples: Resamples of seeds within tasks.
        rng: Their source; by default the same at every call.

    Returns:
        The probability with its interval, within [0, 1].

    Raises:
        ValueError: If the tasks do not match, a side has fewer than two seeds, or a score is not finite.

    Example:
        >>> better, worse = [[0.8, 0.6], [0.9, 0.7]], [[0.5, 0.65], [0.6, 0.5]]
        >>> float(probability_of_improvement_over_tasks(better, worse, n_resamples=500).value)
        0.875
    """
    first, second = _checked(candidate, "candidate"), _checked(baseline, "baseline")
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"both need the same tasks, got {first.shape[1]} and {second.shape[1]}")
    n_first, n_second, n_tasks = len(first), len(second), first.shape[1]
    # wins[i, j, t] of run i against run j on task t: resampling picks rows and columns of it.
    wins = (np.sign(first[:, None] - second[None]) + 1) / 2
    source, drawn = generator(rng), np.zeros(n_resamples)
    for task in range(n_tasks):
        picked = source.multinomial(n_first, np.full(n_first, 1 / n_first), size=n_resamples)
        against = source.multinomial(n_second, np.full(n_second, 1 / n_second), size=n_resamples)
        drawn += np.einsum("ri,ij,rj->r", picked, wins[:, :, task], against, optimize=True)
    value, n_seeds = wins.mean(), min(n_first, n_second)
    low, high = np.clip(_limits(drawn / (n_first * n_second * n_tasks), value, level, n_seeds), 0.0, 1.0)
    return Aggregate(float(value), float(low), float(high), level, n_seeds, n_tasks, "stratified bootstrap")


def performance_profile(
    scores: npt.ArrayLike,
    thresholds: npt.ArrayLike,
    *,
    level: float = 0.95,
    n_resamples: int = 2_000,
    rng: np.random.Generator | None = None,
) -> PerformanceProfile:
    """Estimate the share of runs that score above each of several thresholds.

    Args:
        scores: Shape (seeds, tasks), on one scale.
        thresholds: Shape (t,), finite.
        level: Level of the pointwise intervals, in (0, 1).
        n_resamples: Resamples of seeds within tasks.
        rng: Source of random numbers; by default the same at every call.

    Returns:
        The shares with their intervals.

    Raises:
        ValueError: If a score or threshold is not finite, or a task has fewer than two seeds.

    Example:
        >>> performance_profile([[0.1, 0.5], [0.3, 0.7]], [0.2, 0.6], n_resamples=500).share.tolist()
        [0.75, 0.25]
    """
    runs, at = _checked(scores, "scores"), np.asarray(thresholds, dtype=np.float64)
    if at.ndim != 1 or len(at) == 0 or not np.isfinite(at).all():
        raise ValueError(f"thresholds must be a list of finite numbers, got shape {at.shape}")
    above = runs[:, :, None] > at
    n_seeds = len(runs)
    drawn = np.zeros((n_resamples, len(at)))
    source = generator(rng)
    for task in range(runs.shape[1]):
        counts = source.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=n_resamples)
        drawn += counts @ above[:, task].astype(np.float64)
    share: Array = above.mean(axis=(0, 1))
    low, high = np.clip(_limits(drawn / runs.size, share, level, n_seeds), 0.0, 1.0)
    return PerformanceProfile(at, share, low, high, level)


def compare_ranks(scores: npt.ArrayLike, *, level: float = 0.95) -> RankComparison:
    """Compare systems by their average ranks over tasks, with Nemenyi's critical difference.

    CD = q · sqrt(k(k + 1)/(6 N)), q the studentised range over √2 (Demšar 2006, section 3.2.2).

    Args:
        scores: Shape (tasks, systems), higher better, at least two of each.
        level: Level of the comparison, in (0, 1).

    Returns:
        Average ranks, the critical difference, and the groups of systems within it.

    Raises:
        ValueError: If there are fewer than two systems or tasks, or a score is not finite.

    Example:
        >>> compare_ranks([[0.9, 0.5], [0.8, 0.6], [0.7, 0.2]]).average_ranks.tolist()
        [1.0, 2.0]
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2 or not np.isfinite(table).all():
        raise ValueError(f"scores must be finite (tasks, systems), two of each at least, got shape {table.shape}")
    n_tasks, k = table.shape
    ranks = scipy.stats.rankdata(-table, axis=1)
    average = ranks.mean(axis=0)
    difference = float(
        scipy.stats.studentized_range.ppf(level, k, np.inf) / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * n_tasks))
    )
    return RankComparison(average, difference, _friedman(ranks), _groups(average, difference), level, n_tasks)


def _friedman(ranks: Array) -> float:
    """Friedman's χ² with the correction for ties; p = 1 where every task ties every system."""
    n_tasks, k = ranks.shape
    spread = float(np.square(ranks - (k + 1) / 2).sum())
    if spread == 0:
        return 1.0
    chi_square = (k - 1) * np.square(ranks.sum(axis=0) - n_tasks * (k + 1) / 2).sum() / spread
    return float(scipy.stats.chi2.sf(chi_square, k - 1))


def _groups(average: Array, difference: float) -> tuple[tuple[int, ...], ...]:
    order = np.argsort(average, kind="stable")
    reach = [int(np.searchsorted(average[order], average[i] + difference, side="right")) for i in order]
    starts = [start for start in range(len(order)) if start == 0 or reach[start] > reach[start - 1]]
    return tuple(tuple(order[start : reach[start]].tolist()) for start in starts if reach[start] - start > 1)


def _trimmed_mean(runs: Array) -> Array:
    """Interquartile mean over the last two axes."""
    flat = runs.reshape(*runs.shape[:-2], -1)
    mean: Array = scipy.stats.trim_mean(flat, 0.25, axis=-1)
    return mean


def _resample(runs: Array, n_resamples: int, rng: np.random.Generator, statistic: Callable[[Array], Array]) -> Array:
    """(n_resamples,) values of ``statistic`` on runs (seeds, tasks) whose seeds are drawn anew within each task."""
    chunk = max(1, CHUNK_ELEMENTS // runs.size)
    tasks = np.arange(runs.shape[1])
    parts = [
        statistic(runs[rng.integers(0, len(runs), size=(min(chunk, n_resamples - start), *runs.shape)), tasks])
        for start in range(0, n_resamples, chunk)
    ]
    return np.concatenate(parts)


def _limits(drawn: Array, value: Array, level: float, n_seeds: int) -> Array:
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    percentiles = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    limits: Array = value + (percentiles - value) * np.sqrt(n_seeds / (n_seeds - 1))
    return limits


def _checked(scores: npt.ArrayLike, name: str) -> Array:
    runs = np.asarray(scores, dtype=np.float64)
    if runs.ndim != 2 or runs.shape[0] < 2 or runs.shape[1] < 1:
        raise ValueError(
            f"{name} must be (seeds, tasks) with at least two seeds, as one run says nothing of how runs vary, "
            f"got shape {runs.shape}"
        )
    if not np.isfinite(runs).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return runs
