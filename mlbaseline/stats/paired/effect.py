"""Effect sizes: how large a difference is, beside how certain."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from mlbaseline.stats.inputs import check_hypothesis
from mlbaseline.stats.types import Array


@dataclass(frozen=True)
class Effect:
    """An effect size and its interval at ``level``; ``value`` is None where it is infinite or undefined."""

    value: float | None
    low: float
    high: float
    level: float


def cohens_d(differences: ArrayLike, *, level: float = 0.95) -> Effect:
    """Compute Cohen's d of paired differences, mean over standard deviation, with the exact noncentral-t interval.

    Of all-zero differences d is 0; of equal ones that are not zero it is infinite (``value`` None). In both cases the
    sample has no spread to measure by, and the interval is (−∞, ∞). Source: Steiger and Fouladi 1997; Cumming and Finch
    2001.

    Args:
        differences: Shape (n,), at least two, finite.
        level: Level of the interval, in (0, 1).

    Returns:
        The effect size with its interval.

    Raises:
        ValueError: If there are fewer than two differences, or one is not finite.

    Example:
        >>> cohens_d([1.0, 2.0, 3.0]).value
        2.0
    """
    check_hypothesis(level, "two-sided", 0.0)
    values = np.asarray(differences, dtype=float)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(f"differences: expected at least two finite numbers, shape (n,), got shape {values.shape}")
    d = cohens_d_value(values)
    if d is None or not values.any():
        return Effect(d, -math.inf, math.inf, level)
    root, tail = math.sqrt(len(values)), (1.0 - level) / 2.0
    low, high = (_noncentrality(d * root, len(values), probability) / root for probability in (1.0 - tail, tail))
    return Effect(d, low, high, level)


def cohens_d_value(differences: Array) -> float | None:
    """Mean over standard deviation; 0 if all are zero, None (infinite) if all are equal and not zero."""
    mean, spread = float(differences.mean()), float(differences.std(ddof=1))
    if spread <= 1e-12 * abs(mean):
        return 0.0 if mean == 0.0 else None
    return mean / spread


def _noncentrality(t: float, n: int, probability: float) -> float:
    """Solve for the noncentrality at which a t of n − 1 degrees of freedom falls below ``t`` with this probability."""
    if n > 1_000 or abs(t) > 30:  # the normal limit: SE(d)² = 1/n + d²/(2n), in units of √n
        return float(t - scipy.special.ndtri(probability) * math.sqrt(1.0 + t * t / (2.0 * n)))
    step = math.sqrt(1.0 + t * t / (2.0 * (n - 1.0)))

    def excess(noncentrality: float) -> float:
        return float(scipy.special.nctdtr(n - 1.0, noncentrality, t)) - probability

    low, high = t - step, t + step
    while excess(low) < 0.0:  # the probability falls as the noncentrality grows
        low -= step
    while excess(high) > 0.0:
        high += step
    return float(scipy.optimize.brentq(excess, low, high))


@dataclass(frozen=True)
class DiscordantEffect(Effect):
    """Cohen's g with the odds of a gain to a loss, both with exact intervals from the discordant pairs."""

    odds: float | None
    odds_low: float
    odds_high: float


def cohens_g(gained: int, lost: int, *, level: float = 0.95) -> DiscordantEffect:
    """Compute Cohen's g = gained/(gained + lost) − ½ and the odds gained/lost, with Clopper–Pearson intervals.

    The interval excludes 0 (odds 1) exactly when McNemar's exact test rejects. Without a discordant pair g is 0, the
    odds None, and the intervals are everything. Odds with no loss are None with an infinite upper end. Source: Cohen
    1988, section 5.

    Args:
        gained: Examples that only the candidate has right.
        lost: Examples that only the baseline has right.
        level: Level of the intervals, in (0, 1).

    Returns:
        The effect size and the odds with their intervals.

    Raises:
        ValueError: If a count is negative or the level is out of range.

    Example:
        >>> effect = cohens_g(9, 3)
        >>> effect.value, effect.odds
        (0.25, 3.0)
    """
    check_hypothesis(level, "two-sided", 0.0)
    if gained < 0 or lost < 0:
        raise ValueError(f"gained and lost: expected counts, got {gained} and {lost}")
    if gained + lost == 0:
        return DiscordantEffect(0.0, -0.5, 0.5, level, None, 0.0, math.inf)
    interval = scipy.stats.binomtest(gained, gained + lost).proportion_ci(level, method="exact")
    low, high = float(interval.low), float(interval.high)
    return DiscordantEffect(
        cohens_g_value(gained, lost),
        low - 0.5,
        high - 0.5,
        level,
        gained / lost if lost else None,
        low / (1.0 - low),
        high / (1.0 - high) if high < 1.0 else math.inf,
    )


def cohens_g_value(gained: int, lost: int) -> float:
    """Compute the candidate's share of the discordant pairs, less ½; 0 without any."""
    return gained / (gained + lost) - 0.5 if gained + lost else 0.0


def probability_of_improvement(candidate: ArrayLike, baseline: ArrayLike, *, level: float = 0.95) -> Effect:
    """Estimate the probability that a run of the candidate beats a run of the baseline, ties counting half.

    θ̂ is the Mann–Whitney statistic over R_a·R_b pairs; the interval is Newcombe's score-like method 5 (2006, Statistics
    in Medicine 25:559), which keeps a width at 0 and 1.

    Args:
        candidate: One score a seed, shape (R_a,), at least two.
        baseline: The same of the other system, shape (R_b,).
        level: Level of the interval, in (0, 1).

    Returns:
        The probability with its interval.

    Raises:
        ValueError: If a side has fewer than two runs, or a score is not finite.

    Example:
        >>> probability_of_improvement([0.8, 0.9, 0.7], [0.6, 0.75]).value
        0.8333333333333333
    """
    check_hypothesis(level, "two-sided", 0.0)
    a, b = (_runs(scores, name) for scores, name in ((candidate, "candidate"), (baseline, "baseline")))
    theta = float((np.sign(a[:, None] - b[None, :]).mean() + 1.0) / 2.0)
    z2 = float(scipy.special.ndtri((1.0 + level) / 2.0)) ** 2
    half_sum = (len(a) + len(b)) / 2.0 - 1.0

    def excess(x: float) -> float:
        spread = x * (1.0 - x) * (1.0 + half_sum * ((1.0 - x) / (2.0 - x) + x / (1.0 + x)))
        return (x - theta) ** 2 - z2 * spread / (len(a) * len(b))

    # At θ̂ itself excess ≤ 0; at 0 and 1 it is ≥ 0.
    low = scipy.optimize.brentq(excess, 0.0, theta) if theta > 0.0 else 0.0
    high = scipy.optimize.brentq(excess, theta, 1.0) if theta < 1.0 else 1.0
    if theta == 1.0:
        low = scipy.optimize.brentq(excess, 0.0, 1.0 - 1e-9)
    if theta == 0.0:
        high = scipy.optimize.brentq(excess, 1e-9, 1.0)
    return Effect(theta, float(low), float(high), level)


def _runs(scores: ArrayLike, name: str) -> Array:
    array = np.asarray(scores, dtype=float)
    if array.ndim != 1 or len(array) < 2 or not np.isfinite(array).all():
        raise ValueError(f"{name}: expected one finite score a run, at least two runs, got shape {array.shape}")
    return array
