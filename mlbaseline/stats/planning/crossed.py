"""How much each source of randomness adds to a run's score: components of variance of a crossed design."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mlbaseline.stats.types import Array

N_DRAWS = 20_000
_Effect = tuple[int, ...]
"""The axes that an effect belongs to: one for a source alone, several for what sources do together."""


@dataclass(frozen=True)
class SourceComponent:
    """What one source of randomness adds.

    Attributes:
        sources: Names of the sources: one, or several for what they do together beyond each alone.
        variance: Estimated, in squared units of the score; below 0 where it cannot be told from nothing.
        share: Of the sum of all components, from 0 to 1; what is below 0 counts as 0.
        share_low: Limits of the share.
        share_high: See `share_low`.
    """

    sources: tuple[str, ...]
    variance: float
    share: float
    share_low: float
    share_high: float


@dataclass(frozen=True)
class CrossedVariance:
    """Components of the variance of a run's score, on the examples that were scored.

    Attributes:
        components: Each source alone, then what they do together.
        total: Variance of the score of a run all of whose sources are drawn anew.
        low: Limits of the total.
        high: See `low`.
        level: Of all limits.
    """

    components: tuple[SourceComponent, ...]
    total: float
    low: float
    high: float
    level: float

    def seeds_for(self, standard_error: float) -> tuple[int, int, int]:
        """Say how many seeds bring the standard error of their mean score down to a value, on the same examples.

        A seed draws every source anew, so the variance of the mean of R seeds is total/R.

        Args:
            standard_error: Above 0.

        Returns:
            The number by the estimate, and the limits of that number.

        Raises:
            ValueError: The standard error is not above 0.
        """
        if not standard_error > 0.0:
            raise ValueError(f"standard_error: expected a number above 0, got {standard_error!r}")
        each = [
            max(math.ceil(variance / standard_error**2 - 1e-9), 1) for variance in (self.total, self.low, self.high)
        ]
        return each[0], each[1], each[2]


def crossed_variance(
    scores: ArrayLike, sources: Sequence[str], *, level: float = 0.95, rng: np.random.Generator | None = None
) -> CrossedVariance:
    """Estimate the components of variance of a full crossed design with one run a cell.

    Every source is a random factor, and so is what sources do together. The estimates are those of the analysis of
    variance: mean squares are equated with their expectations (Searle, Casella and McCulloch 1992, Variance Components,
    chapter 4). They are unbiased, and may be below 0. The limits are generalised confidence intervals (Weerahandi 1993,
    JASA 88:899; for such designs Hamada and Weerahandi 2000, Journal of Quality Technology 32:241): each mean square
    is divided by draws of its χ² over its degrees of freedom. They take effects to be normal; few levels widen them.

    Args:
        scores: Of the runs, one axis a source, at least two levels of each: (L1, …, Lk).
        sources: Names of the axes.
        level: Of the limits.
        rng: Draws the limits; by default one with a seed of its own.

    Returns:
        The components, and their total.

    Raises:
        ValueError: The axes do not fit the names, a source has fewer than two levels, or a score is not finite.

    Example:
        >>> found = crossed_variance([[0.50, 0.52, 0.51], [0.60, 0.61, 0.63]], ["initialisation", "order"])
        >>> [(" × ".join(each.sources), round(each.share, 2)) for each in found.components]
        [('initialisation', 0.97), ('order', 0.01), ('initialisation × order', 0.02)]
    """
    values = np.asarray(scores, dtype=float)
    if values.ndim != len(sources) or not sources:
        raise ValueError(f"scores: expected one axis for each of {list(sources)}, got shape {values.shape}")
    if min(values.shape) < 2:
        raise ValueError(f"scores: expected at least two levels of each source, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("scores: expected finite numbers; a run has none")
    effects = [each for size in range(1, values.ndim + 1) for each in itertools.combinations(range(values.ndim), size)]
    squares = np.array([_mean_square(values, effect) for effect in effects])
    freedom = np.array([_degrees_of_freedom(values, effect) for effect in effects])
    matrix = _moments(values.shape, effects)
    chi2 = (rng or np.random.default_rng(0)).chisquare(freedom, size=(N_DRAWS, len(effects)))
    drawn = (squares * freedom / chi2) @ matrix.T
    tails = [(1.0 - level) / 2.0, (1.0 + level) / 2.0]
    estimates = matrix @ squares
    shares, (lows, highs) = _shares(estimates[None])[0], np.quantile(_shares(drawn), tails, axis=0)
    low, high = np.quantile(drawn.sum(axis=1), tails)
    return CrossedVariance(
        tuple(
            SourceComponent(tuple(sources[axis] for axis in effect), *map(float, numbers))
            for effect, *numbers in zip(effects, estimates, shares, lows, highs, strict=True)
        ),
        float(estimates.sum()),
        max(float(low), 0.0),
        float(high),
        level,
    )


def _mean_square(values: Array, effect: _Effect) -> float:
    """Divide the squares of an effect by its degrees of freedom. The effect: what its axes say beyond fewer of them."""
    deviation = np.zeros([size if axis in effect else 1 for axis, size in enumerate(values.shape)])
    for size in range(len(effect) + 1):
        for kept in itertools.combinations(effect, size):
            others = tuple(axis for axis in range(values.ndim) if axis not in kept)
            deviation = deviation + (-1) ** (len(effect) - size) * values.mean(axis=others, keepdims=True)
    runs = values.size / deviation.size
    return float(runs * (deviation**2).sum() / _degrees_of_freedom(values, effect))


def _degrees_of_freedom(values: Array, effect: _Effect) -> int:
    return math.prod(values.shape[axis] - 1 for axis in effect)


def _moments(shape: tuple[int, ...], effects: Sequence[_Effect]) -> Array:
    """Give the matrix that makes components of mean squares, (effects, effects).

    The expectation of an effect's mean square is the sum of the components of all effects that contain its axes, each
    times the number of runs that share one level of theirs. That is inverted.
    """
    expected = [
        [
            math.prod(shape) / math.prod(shape[axis] for axis in other) if set(effect) <= set(other) else 0.0
            for other in effects
        ]
        for effect in effects
    ]
    return np.asarray(np.linalg.inv(np.array(expected)))


def _shares(components: Array) -> Array:
    """Of their sum (draws, effects); what is below 0 counts as 0, and where all are, so does every share."""
    positive = np.maximum(components, 0.0)
    total = positive.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(positive, total, out=np.zeros_like(positive), where=total > 0.0))
