"""The e-value of a difference of two means under randomized assignment, without any approximation."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlbaseline.stats.sequential.evidence_path import EvidencePath, Positions, trace_path
from mlbaseline.stats.types import Array

_BETS = 2.0 ** -np.arange(1.0, 9.0, 1.75)
"""Bets as shares of the largest allowed one."""


def arm_difference(
    outcome: ArrayLike,
    candidate: ArrayLike,
    share: ArrayLike,
    *,
    threshold: float,
    margin: float = 0.0,
    ratio: float = 1.0,
    centre: float = 0.0,
    at_most: bool = True,
) -> EvidencePath:
    """Compute the e-value against "the candidate's mean is at most ``ratio`` · the baseline's + ``margin``".

    Each observation Y in [0, 1] is weighted by the inverse probability of its arm, which the split of the traffic
    makes known: D = (Y − g)(A/ρ − r(1 − A)/(1 − ρ)) − (r − 1)g − m has the expectation μ_candidate − r μ_baseline − m,
    whatever g, and whatever both arms go through together over time. Betting on it, Π(1 + λD), averaged over fixed
    shares of the largest λ that keeps every factor positive, is an e-process (Waudby-Smith and Ramdas 2024, "Estimating
    means of bounded random variables by betting"; Horvitz and Thompson 1952 for the weights).

    Args:
        outcome: Losses or costs, one a unit, in the order in which they became known, shape (n,), in [0, 1].
        candidate: Whether each was answered by the candidate, shape (n,).
        share: Probability of the candidate for each, shape (n,), in (0, 1).
        threshold: The log e-value that rejects.
        margin: Tolerated difference m.
        ratio: Tolerated ratio r, above 0.
        centre: A number g near the mean outcome, fixed beforehand. The nearer it is, the fewer observations are needed.
        at_most: The null hypothesis: at most (evidence of harm), or else at least (evidence of non-inferiority).

    Returns:
        The path of the evidence.

    Raises:
        ValueError: If an outcome or a share is out of range.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> canary = rng.random(20_000) < 0.1
        >>> loss = (rng.random(20_000) < np.where(canary, 0.3, 0.2)).astype(float)
        >>> path = arm_difference(loss, canary, np.full(20_000, 0.1), threshold=np.log(20), margin=0.02, centre=0.2)
        >>> path.crossed is not None and path.crossed < 20_000
        True
    """
    y, shares = np.asarray(outcome, dtype=float), np.asarray(share, dtype=float)
    ours = np.asarray(candidate, dtype=bool)
    if len(y) and not (y.min() >= 0.0 and y.max() <= 1.0):
        raise ValueError("outcome: expected numbers in [0, 1]")
    if len(y) and not (shares.min() > 0.0 and shares.max() < 1.0):
        raise ValueError("share: expected probabilities between 0 and 1")
    kinds = _kinds(y, ours, shares)
    chosen = slice(None) if kinds is None else kinds[0]
    relative = _relative_gain(y[chosen], ours[chosen], shares[chosen], (margin, ratio, centre), at_most=at_most)
    growths = [np.log1p(bet * relative) for bet in _BETS]
    courses = [np.cumsum(growth if kinds is None else growth[kinds[1]]) for growth in growths]
    best = courses[0].copy()  # the average of the bets is at most the best of them
    for course in courses[1:]:
        np.maximum(best, course, out=best)

    def exact(positions: Positions) -> Array:
        each = np.stack([course[positions] for course in courses])
        return np.asarray(np.logaddexp.reduce(each, axis=0) - math.log(len(_BETS)))

    return trace_path(best, exact, threshold)


def _relative_gain(
    y: Array, ours: NDArray[np.bool_], shares: Array, question: tuple[float, float, float], *, at_most: bool
) -> Array:
    """Compute each difference as a share of the worst one that could have come. question: margin, ratio and centre."""
    margin, ratio, centre = question
    offset = (ratio - 1.0) * centre + margin
    difference = (y - centre) * np.where(ours, 1.0 / shares, -ratio / (1.0 - shares)) - offset
    if at_most:
        worst = np.maximum(centre / shares, ratio * (1.0 - centre) / (1.0 - shares)) + offset
        return np.asarray(difference / np.maximum(worst, 1e-12))
    worst = np.maximum((1.0 - centre) / shares, ratio * centre / (1.0 - shares)) - offset
    return np.asarray(-difference / np.maximum(worst, 1e-12))


def _kinds(y: Array, ours: NDArray[np.bool_], shares: Array) -> tuple[Positions, Positions] | None:
    """Tell the four kinds of observations apart where 0 and 1 are the only outcomes and the share is constant.

    Logarithms are then needed once a kind. The result has the position of one observation of each kind, and the kind
    of each observation; None for other observations.
    """
    if not len(y) or (shares != shares[0]).any() or not ((y == 0.0) | (y == 1.0)).all():
        return None
    code = (2 * ours + (y == 1.0)).astype(np.intp)
    first = np.array([int(np.argmax(code == kind)) for kind in range(4)], dtype=np.intp)
    return first, code
