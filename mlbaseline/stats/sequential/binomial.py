"""E-values of binomial counts, and of quantiles, which are counts of values on one side.

An e-value is a non-negative statistic whose expectation is at most 1 under the null hypothesis, at every stopping time.
Rejecting as soon as it reaches 1/α has a size of at most α, whenever and however often it is looked at (Ville).
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from mlbaseline.stats.sequential.beta_tail import log_beta_tail
from mlbaseline.stats.types import Array


def binomial_mixture(n: ArrayLike, x: ArrayLike, theta0: float, *, k: float, one_sided: bool = False) -> Array:
    """Compute the log e-value against a success rate of ``theta0`` after ``x`` successes in ``n`` trials.

    The likelihood ratio is averaged over a Beta(kθ₀, k(1 − θ₀)) prior of the rate, truncated to rates above θ₀ when
    one-sided (Lindon and Malek 2022, "Anytime-valid inference for multinomial count data", arXiv 2011.03567).
    E-values of separate phases (other ``theta0``, new trials) multiply: add their logarithms.

    Args:
        n: Trials so far, integers of any shape.
        x: Successes so far, 0 ≤ x ≤ n, of a shape that broadcasts with ``n``.
        theta0: Rate under the null hypothesis, in (0, 1).
        k: Weight of the prior in trials, above 0. Values from 5 to 100 give similar power.
        one_sided: Test "the rate is at most ``theta0``" instead of "the rate is ``theta0``".

    Returns:
        Natural logarithms of the e-values, in the broadcast shape.

    Raises:
        ValueError: If a count, the rate or the weight is out of range.

    Example:
        >>> bool(binomial_mixture(1_000, 90, 0.05, k=20) > np.log(1 / 0.05))
        True
    """
    trials, successes = np.broadcast_arrays(np.asarray(n, dtype=float), np.asarray(x, dtype=float))
    if not (np.isfinite(trials).all() and (successes >= 0).all() and (successes <= trials).all()):
        raise ValueError("n and x: expected counts with 0 ≤ x ≤ n")
    if not (0.0 < theta0 < 1.0 and np.isfinite(k) and k > 0.0):
        raise ValueError(f"theta0 and k: expected a rate between 0 and 1 and a positive weight, got {theta0!r}, {k!r}")
    failures = trials - successes
    a, b = k * theta0, k * (1.0 - theta0)
    log_e = (
        scipy.special.betaln(a + successes, b + failures)
        - scipy.special.betaln(a, b)
        - successes * np.log(theta0)
        - failures * np.log1p(-theta0)
    )
    if one_sided:
        log_e = log_e + log_beta_tail(a + successes, b + failures, theta0) - log_beta_tail(a, b, theta0)
    return np.asarray(log_e)


def quantile_exceeds(baseline: ArrayLike, candidate: ArrayLike, p: float, *, k: float, ratio: float = 1.0) -> float:
    """Compute the log e-value for "the candidate's ``p`` quantile exceeds ``ratio`` times the baseline's".

    At the baseline's true quantile q the share of its values up to q is p, and under the null hypothesis the
    candidate's share is at least p. Each arm gives a one-sided binomial e-value at q. As q is not known, the least
    product over all observed values is taken (Lindon and Malek 2022; Howard and Ramdas 2022 for one arm).

    Args:
        baseline: Positive values such as latencies in seconds, shape (n,).
        candidate: Values of the candidate, shape (m,), independent of the baseline's.
        p: Probability of the quantile, in (0, 1).
        k: Weight of the prior in trials, as in :func:`binomial_mixture`.
        ratio: Largest acceptable ratio of the two quantiles, above 0.

    Returns:
        Natural logarithm of the e-value. To test that the candidate's quantile stays below ``ratio`` times the
        baseline's (non-inferiority), swap the two sides and pass 1/ratio.

    Raises:
        ValueError: If a side is empty or not finite, or a parameter is out of range.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> fast, slow = rng.exponential(1.0, 500), rng.exponential(2.0, 500)
        >>> bool(quantile_exceeds(fast, slow, 0.95, k=20) > np.log(1 / 0.05))
        True
    """
    sides = [np.sort(np.asarray(side, dtype=float)) for side in (baseline, candidate)]
    if any(side.ndim != 1 or len(side) == 0 or not np.isfinite(side).all() for side in sides):
        raise ValueError("baseline and candidate: expected finite numbers of shape (n,), at least one a side")
    if not ratio > 0.0:
        raise ValueError(f"ratio: expected a positive number, got {ratio!r}")
    ours, theirs = sides[1], ratio * sides[0]
    at = np.unique(np.concatenate([ours, theirs]))
    # A threshold may lie on an observed value or between two of them; just below the first one no value counts.
    theirs_up_to = np.concatenate([[0], np.searchsorted(theirs, at, side="right")])
    ours_over = len(ours) - np.concatenate([[0], np.searchsorted(ours, at, side="right")])

    def evidence(position: NDArray[np.intp]) -> tuple[Array, Array]:
        return (
            binomial_mixture(len(theirs), theirs_up_to[position], p, k=k, one_sided=True),
            binomial_mixture(len(ours), ours_over[position], 1.0 - p, k=k, one_sided=True),
        )

    # The first e-value rises with the threshold and the second falls: their values at the two ends of a range of
    # thresholds bound the sum inside, and most ranges need not be searched.
    least, starts, stops = np.inf, np.array([0]), np.array([len(at)])
    while len(starts):
        (rising, falling), (rising_end, falling_end) = evidence(starts), evidence(stops)
        least = min(least, float((rising + falling).min()), float((rising_end + falling_end).min()))
        search = (rising + falling_end < least) & (stops - starts > 1)
        starts, stops = starts[search], stops[search]
        middles = (starts + stops) // 2
        starts, stops = np.concatenate([starts, middles]), np.concatenate([middles, stops])
    return least
