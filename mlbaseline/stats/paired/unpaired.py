"""Comparisons without common examples: a published score, or another test set. Weaker than pairing, and labelled so."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import scipy
from numpy.typing import ArrayLike

from mlbaseline.stats.inputs import as_clusters, as_scores, check_hypothesis
from mlbaseline.stats.paired.binary import WilsonConfidence
from mlbaseline.stats.paired.methods import choose_method
from mlbaseline.stats.paired.sample import PairedSample
from mlbaseline.stats.types import Alternative, Array

Bounds = Callable[[float], tuple[float, float]]  # of one mean, at a tail probability


@dataclass(frozen=True)
class BoundedMean:
    """A mean with its bounds at any tail probability. n: None where a published score names none."""

    value: float
    bounds: Bounds
    n: int | None

    def minus(self, other: BoundedMean, tail: float) -> tuple[float, float]:
        """Bound the difference of two independent means, each distance added in squares.

        This is MOVER (Zou & Donner 2008, Statistics in Medicine 27:1693). With Wilson bounds it is Newcombe's hybrid
        score interval (1998, ibid. 17:873).
        """
        (low_a, high_a), (low_b, high_b) = self.bounds(tail), other.bounds(tail)
        delta = self.value - other.value
        return (
            delta - math.hypot(self.value - low_a, high_b - other.value),
            delta + math.hypot(high_a - self.value, other.value - low_b),
        )


@dataclass(frozen=True)
class UnpairedComparison:
    """A difference between means that share no examples. Never a gate's only reason.

    Fields as in ``PairedComparison``. ``n_baseline`` is None where a published score names none. ``baseline_error``
    says what is assumed of the baseline's own error: ``sampled`` (its scores are here), ``from_n``, ``given``, or
    ``ignored``.
    """

    delta: float
    low: float
    high: float
    level: float
    p_value: float
    alternative: Alternative
    margin: float
    n_candidate: int
    n_baseline: int | None
    baseline_error: str
    method: str
    reason: str


def compare_published(
    candidate: ArrayLike,
    value: float,
    *,
    n: int | None = None,
    standard_error: float | None = None,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
    alternative: Alternative = "two-sided",
    margin: float = 0.0,
) -> UnpairedComparison:
    """Compare scores with a published mean that has no examples behind it.

    The published score's own error comes from ``standard_error`` if given, else from ``n`` (for scores within [0, 1],
    whose variance is at most value·(1 − value); Wilson's interval), else it is ignored and the reason says so. The two
    errors are added in squares (MOVER: Zou and Donner 2008).

    Args:
        candidate: Scores (n,) or (seeds, n).
        value: The published mean.
        n: Examples behind it.
        standard_error: Its standard error.
        clusters: Labels (n,) of the candidate's examples that belong together.
        level: Level of the interval, in (0, 1); at least 0.5 if one-sided.
        alternative: What to show: the difference is not ``margin``, is ``greater`` or is ``less``.
        margin: Difference under the null hypothesis.

    Returns:
        The comparison, labelled as unpaired.

    Raises:
        ValueError: If both ``n`` and ``standard_error`` are given, ``n`` is given for scores that leave [0, 1], or an
            input is out of range.

    Example:
        >>> result = compare_published(np.tile([1, 1, 1, 0], 100), 0.7, n=2_000)
        >>> round(result.delta, 3), result.baseline_error
        (0.05, 'from_n')
    """
    check_hypothesis(level, alternative, margin)
    rows = as_scores(candidate, "candidate")
    if not math.isfinite(value):
        raise ValueError(f"value: expected a finite published score, got {value!r}")
    if n is not None and standard_error is not None:
        raise ValueError("n and standard_error: expected one of them, got both; the standard error says more")
    if standard_error is not None:
        if not (math.isfinite(standard_error) and standard_error > 0.0):
            raise ValueError(f"standard_error: expected a positive number, got {standard_error!r}")
        theirs, error = _normal_bounds(value, standard_error), "given"
        reason = "published score with its standard error"
    elif n is not None:
        if n < 1 or not 0.0 <= value <= 1.0 or rows.min() < 0.0 or rows.max() > 1.0:
            raise ValueError(
                f"n: expected at least 1 example and scores within [0, 1] (the variance bound needs them), got {n} and "
                f"{value!r}; give standard_error instead"
            )
        theirs, error = _wilson_bounds(value, n), "from_n"
        reason = f"published score on {n} examples: its variance is at most value·(1 − value)/n"
    else:
        theirs, error = _exactly(value), "ignored"
        reason = "published score without a standard error or an n that bounds it: taken as exact, its error is missing"
    return _combine(
        bounded_mean(rows, clusters, "clusters"),
        BoundedMean(value, theirs, n),
        baseline_error=error,
        reason=f"unpaired: {reason}",
        level=level,
        alternative=alternative,
        margin=margin,
    )


def compare_unpaired(
    candidate: ArrayLike,
    baseline: ArrayLike,
    *,
    candidate_clusters: ArrayLike | None = None,
    baseline_clusters: ArrayLike | None = None,
    level: float = 0.95,
    alternative: Alternative = "two-sided",
    margin: float = 0.0,
) -> UnpairedComparison:
    """Compare two systems that were scored on different examples drawn from one population.

    Args:
        candidate: Scores (n,) or (seeds, n).
        baseline: Scores (m,) or (seeds, m).
        candidate_clusters: Labels (n,) of the candidate's examples that belong together.
        baseline_clusters: Labels (m,) of the baseline's.
        level: Level of the interval, in (0, 1); at least 0.5 if one-sided.
        alternative: What to show: the difference is not ``margin``, is ``greater`` or is ``less``.
        margin: Difference under the null hypothesis.

    Returns:
        The comparison, labelled as unpaired.

    Raises:
        ValueError: If scores are not finite, there are fewer than two examples or clusters, or the level is out of
            range.

    Example:
        >>> result = compare_unpaired(np.tile([1, 1, 1, 0], 50), np.tile([1, 0], 80))
        >>> result.delta, result.low > 0
        (0.25, True)
    """
    check_hypothesis(level, alternative, margin)
    return _combine(
        bounded_mean(as_scores(candidate, "candidate"), candidate_clusters, "candidate_clusters"),
        bounded_mean(as_scores(baseline, "baseline"), baseline_clusters, "baseline_clusters"),
        baseline_error="sampled",
        reason="unpaired: different examples, so their difficulty adds to the variance",
        level=level,
        alternative=alternative,
        margin=margin,
    )


def _combine(
    candidate: BoundedMean,
    baseline: BoundedMean,
    *,
    baseline_error: str,
    reason: str,
    level: float,
    alternative: Alternative,
    margin: float,
) -> UnpairedComparison:
    delta = candidate.value - baseline.value

    def bounds(tail: float) -> tuple[float, float]:
        return candidate.minus(baseline, tail)

    greater = 0.5  # on the margin
    if delta > margin:
        greater = _crossing(lambda tail: bounds(tail)[0] > margin)
    elif delta < margin:
        greater = 1.0 - _crossing(lambda tail: bounds(tail)[1] < margin)
    p_values = {"two-sided": 2.0 * min(greater, 1.0 - greater), "greater": greater, "less": 1.0 - greater}
    low, high = bounds((1.0 - level) / (2.0 if alternative == "two-sided" else 1.0))
    return UnpairedComparison(
        delta=delta,
        low=-math.inf if alternative == "less" else low,
        high=math.inf if alternative == "greater" else high,
        level=level,
        p_value=p_values[alternative],
        alternative=alternative,
        margin=margin,
        n_candidate=candidate.n or 0,
        n_baseline=baseline.n,
        baseline_error=baseline_error,
        method="mover",
        reason=reason,
    )


def _crossing(excluded: Callable[[float], bool]) -> float:
    """Find the smallest tail at which the margin is excluded, by bisection on the normal quantile."""
    low, high = 0.0, 37.0
    for _ in range(45):
        middle = (low + high) / 2.0
        low, high = (middle, high) if excluded(float(scipy.special.ndtr(-middle))) else (low, middle)
    return float(scipy.special.ndtr(-low))


def bounded_mean(rows: Array, clusters: ArrayLike | None, name: str) -> BoundedMean:
    """Estimate a mean of scores (seeds, n) with its bounds, by the method that suits them."""
    try:
        groups = as_clusters(clusters, rows.shape[1])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    confidence = choose_method(PairedSample.single(rows, groups), "auto", None).confidence
    mirror = confidence.mirrored()

    @cache  # who compares every pair of several means asks each mean for the same bounds again and again
    def bounds(tail: float) -> tuple[float, float]:
        return float(confidence.lower(tail)), -float(mirror.lower(tail))

    return BoundedMean(float(rows.mean()), bounds, rows.shape[1])


def _exactly(value: float) -> Bounds:
    def bounds(_tail: float) -> tuple[float, float]:
        return value, value

    return bounds


def _wilson_bounds(value: float, n: int) -> Bounds:
    proportion = WilsonConfidence(np.asarray(value * n), np.asarray(float(n)))

    def bounds(tail: float) -> tuple[float, float]:
        return min(float(proportion.lower(tail)), value), max(-float(proportion.mirrored().lower(tail)), value)

    return bounds


def _normal_bounds(value: float, standard_error: float) -> Bounds:
    def bounds(tail: float) -> tuple[float, float]:
        half = float(-scipy.special.ndtri(tail)) * standard_error
        return value - half, value + half

    return bounds
