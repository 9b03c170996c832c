"""The binomial e-value of a stream whose null rate changes from phase to phase, looked at after every trial."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from mlbaseline.stats.sequential.beta_tail import log_beta_tail
from mlbaseline.stats.sequential.binomial import binomial_mixture
from mlbaseline.stats.sequential.evidence_path import EvidencePath, Positions, merge_paths, trace_path
from mlbaseline.stats.types import Array


@dataclass(frozen=True)
class _Phase:
    """The trials of one null rate: where they lie in the stream, and the sums after each."""

    theta0: float
    positions: Positions
    n: Array
    x: Array

    def sums_at(self, positions: Positions) -> tuple[Array, Array]:
        after = np.searchsorted(self.positions, positions, side="right")
        return np.append(0.0, self.n)[after], np.append(0.0, self.x)[after]


def binomial_stream(
    success: ArrayLike,
    theta0: ArrayLike,
    *,
    k: float,
    threshold: float,
    weight: ArrayLike | None = None,
    one_sided: bool = False,
) -> EvidencePath:
    """Compute :func:`binomial_mixture` after every trial of a stream.

    The trials of each null rate form a phase with an e-value of its own; the e-values of all phases multiply. Trials
    may weigh less than 1, such as a failure with a loss between 0 and 1: with the likelihood ratio R of a trial, R^w is
    at most 1 − w + wR, whose expectation is at most 1, so that the mixture of fractional counts is valid as well.

    Args:
        success: Whether each trial succeeded, shape (n,), in the order of the stream.
        theta0: Rate under the null hypothesis for each trial, shape (n,) or a number.
        k: Weight of the prior in trials, as in :func:`binomial_mixture`.
        threshold: The log e-value that rejects.
        weight: Weight of each trial, shape (n,), in [0, 1]; 1 by default.
        one_sided: Test "the rate is at most ``theta0``".

    Returns:
        The path of the evidence. An empty stream has no positions.

    Raises:
        ValueError: If a rate or a weight is out of range.

    Example:
        >>> canary = np.arange(400) % 10 == 0
        >>> binomial_stream(canary, 0.05, k=20, threshold=np.log(20)).crossed
        210
    """
    successes = np.asarray(success, dtype=bool)
    rates = np.broadcast_to(np.asarray(theta0, dtype=float), successes.shape)
    weights = np.ones(len(successes)) if weight is None else np.asarray(weight, dtype=float)
    if len(weights) and not ((weights >= 0.0).all() and (weights <= 1.0).all()):
        raise ValueError("weight: expected numbers in [0, 1]")
    phases = [_phase(successes, weights, rate, chosen) for rate, chosen in phases_of(rates)]
    bound = merge_paths([(phase.positions, _bound(phase, k, one_sided)) for phase in phases], len(successes))

    def exact(positions: Positions) -> Array:
        total = np.zeros(len(positions))
        for phase in phases:
            n, x = phase.sums_at(positions)
            total += binomial_mixture(n, x, phase.theta0, k=k, one_sided=one_sided)
        return total

    return trace_path(bound, exact, threshold)


def two_sided_course(success: NDArray[np.bool_], theta0: Array, *, k: float) -> Array:
    """Compute the two-sided log e-value after every trial, shape (n,); phases as in :func:`binomial_stream`."""
    weights = np.ones(len(success))
    phases = [_phase(success, weights, rate, chosen) for rate, chosen in phases_of(theta0)]
    return merge_paths([(phase.positions, _bound(phase, k, False)) for phase in phases], len(success))


def phases_of(rates: Array) -> list[tuple[float, Positions]]:
    """Give each distinct rate with the positions of its trials, rising."""
    if not len(rates):
        return []
    if (rates == rates[0]).all():
        return [(float(rates[0]), np.arange(len(rates)))]
    return [(float(rate), np.flatnonzero(rates == rate)) for rate in np.unique(rates)]


def _phase(success: NDArray[np.bool_], weight: Array, theta0: float, positions: Positions) -> _Phase:
    trials = weight[positions]
    return _Phase(theta0, positions, np.cumsum(trials), np.cumsum(trials * success[positions]))


def _bound(phase: _Phase, k: float, one_sided: bool) -> Array:
    """Compute the two-sided log e-value after each trial; of a one-sided one, an upper bound that is tight.

    Below the null rate each likelihood ratio of a higher rate is below 1, and so is the one-sided e-value; above it the
    truncated mixture is the whole one over the prior mass above the null rate, times a probability.
    """
    a, b, n, x = k * phase.theta0, k * (1.0 - phase.theta0), phase.n, phase.x
    log_e = (
        scipy.special.gammaln(a + x)
        + scipy.special.gammaln(b + n - x)
        - scipy.special.gammaln(a + b + n)
        - scipy.special.betaln(a, b)
        - x * np.log(phase.theta0)
        - (n - x) * np.log1p(-phase.theta0)
    )
    if one_sided:
        log_e = np.where(x > n * phase.theta0, log_e - log_beta_tail(a, b, phase.theta0), 0.0)
    return np.asarray(log_e)
