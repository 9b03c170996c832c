"""The studentised bootstrap of a mean, as a confidence distribution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from mlbaseline.stats.bootstrap import draw_weights
from mlbaseline.stats.confidence import first_true
from mlbaseline.stats.types import Array

_CHUNK_ELEMENTS = 1 << 22
_TAIL_DRAWS = 20
"""Quantiles further out than this many draws are extrapolated."""
_MAX_Z = 37.0
_SYMMETRIC = 1e-9
"""Share of the sum of absolute cubes below which a sum of cubes is rounding error: neither side has the longer tail."""


@dataclass(frozen=True)
class BootstrapConfidence:
    """Studentised bootstrap, nowhere narrower than Student's t.

    ``draws`` (…, B) are the sorted centred and studentised resampled means. Counts are taken with ≥ and one is added to
    both, and the bound is the matching order statistic, so the interval excludes a margin exactly when the p-value is
    at most the tail (Davison and Hinkley 1997, sections 4.2 and 5.2). Student's t with ``df`` is the floor because a
    symmetric heavy tail (t with 3 degrees of freedom, n = 50) makes the bootstrap alone reject 7 % one-sided at a
    nominal 5 %. Simulated at n = 50, nominal 0.95: lognormal 0.915 by the bootstrap, 0.887 by t, 0.931 by the wider.

    Past the last 20 draws, where simultaneous intervals look, the quantile is carried on by the t distribution, or
    along the line through it and one four times as likely (over normal quantiles), whichever rises more: skewness goes
    on growing in the tail.
    """

    estimate: Array
    standard_error: Array
    draws: Array
    df: Array

    @classmethod
    def of(cls, values: Array, mean: Array, n_resamples: int, rng: np.random.Generator) -> BootstrapConfidence:
        """Resample the means of columns.

        Args:
            values: Shape (n, k), up to a constant of each column; no column without variation.
            mean: Their means, shape (k,).
            n_resamples: Resamples, the same for all columns.
            rng: Their source.

        Returns:
            The distributions of k means.
        """
        n = len(values)
        # One canonical order makes the result independent of the examples' order and antisymmetric in two systems.
        centred = np.sort(values - values.mean(axis=0), axis=0)
        cubes = centred**3
        third = cubes.sum(axis=0)
        sign = np.where(third < 0.0, -1.0, 1.0)
        canonical = np.sort(sign * centred, axis=0)
        draws = sign * _studentised_means(canonical, n_resamples, rng)
        is_symmetric = np.abs(third) <= _SYMMETRIC * np.abs(cubes).sum(axis=0)
        draws[:, is_symmetric] = _mirror_half(draws[:, is_symmetric])
        # Summed in that order, too: coarse scores have draws that equal what is observed, to the last bit.
        variance = np.square(canonical).sum(axis=0) / (n * (n - 1.0))
        return cls(mean, np.sqrt(variance), np.sort(draws.T, axis=1), np.full(len(mean), n - 1.0))

    def mirrored(self) -> BootstrapConfidence:
        """Give the same for the negated data."""
        return BootstrapConfidence(-self.estimate, self.standard_error, -self.draws[..., ::-1], self.df)

    def lower(self, tail: float) -> Array:
        """Compute the lower bound at a tail probability."""
        t = np.maximum(self._quantile(np.asarray(tail)), -scipy.special.stdtrit(self.df, tail))
        return np.asarray(self.estimate - t * self.standard_error)

    def p_greater(self, margin: ArrayLike) -> Array:
        """Compute the p-value of a mean of ``margin`` or less."""
        observed = np.asarray((self.estimate - np.asarray(margin)) / self.standard_error)
        as_large = np.count_nonzero(self.draws >= observed[..., None], axis=-1)
        resampled = (1.0 + as_large) / (self.draws.shape[-1] + 1.0)
        if (resampled < self._reachable).any():
            first = np.full(observed.shape, -scipy.special.ndtri(self._reachable))
            z = first_true(
                lambda z: np.asarray(self._quantile(scipy.special.ndtr(-z)) > observed), first, _MAX_Z, steps=42
            )
            resampled = np.where(resampled < self._reachable, scipy.special.ndtr(-z), resampled)
        return np.asarray(np.maximum(resampled, scipy.special.stdtr(self.df, -observed)))

    @property
    def _reachable(self) -> float:
        return min(0.1, _TAIL_DRAWS / (int(self.draws.shape[-1]) + 1.0))

    def _order_statistic(self, tail: float) -> Array:
        rank = int(np.floor((self.draws.shape[-1] + 1) * tail * (1.0 + 1e-12)))
        return np.asarray(self.draws[..., -max(rank, 1)])

    def _quantile(self, tail: Array) -> Array:
        """Compute the upper ``tail`` quantile of t*; one tail for all, or one for each below the reachable one."""
        reachable = self._reachable
        if tail.ndim == 0 and tail >= reachable:
            return self._order_statistic(float(tail))
        last, before = self._order_statistic(reachable), self._order_statistic(4 * reachable)
        with np.errstate(invalid="ignore"):  # resamples of one value over and over have an infinite t*
            by_t = last * scipy.special.stdtrit(self.df, tail) / scipy.special.stdtrit(self.df, reachable)
            z_tail, z_last, z_before = (scipy.special.ndtri(share) for share in (tail, reachable, 4 * reachable))
            by_line = last + (last - before) * (z_tail - z_last) / (z_last - z_before)
        return np.where(np.isfinite(last), np.fmax(by_t, by_line), last)


def _mirror_half(draws: Array) -> Array:
    """Replace the second half of draws (B, k) by the first half with the other sign; one in the middle is 0.

    Two systems whose differences are symmetric differ in no order, so that only symmetric draws say the same of both.
    """
    half = len(draws) // 2
    middle = np.zeros((len(draws) % 2, draws.shape[1]))
    return np.concatenate([draws[:half], middle, -draws[:half]])


def _studentised_means(centred: Array, n_resamples: int, rng: np.random.Generator) -> Array:
    """(n_resamples, k) resampled means over their resampled standard errors.

    A resample without any spread gives ±infinity: it is evidence that the spread may be far larger than was seen.
    """
    n, k = centred.shape
    columns = np.hstack([centred, np.square(centred), np.ones((n, 1))])
    size = max(1, _CHUNK_ELEMENTS // n)
    parts = []
    for start in range(0, n_resamples, size):
        weights = draw_weights(n, min(size, n_resamples - start), rng).astype(np.float64)
        sums = weights @ columns
        count = sums[:, -1:]
        means = sums[:, :k] / count
        variance = (sums[:, k : 2 * k] / count - np.square(means)) / (count - 1.0)
        flat: NDArray[np.bool_] = variance <= 1e-14 * np.square(centred).sum(axis=0) / n
        with np.errstate(divide="ignore", invalid="ignore"):
            draws = means / np.sqrt(np.where(flat, 0.0, variance))
        parts.append(np.where(np.isnan(draws), 0.0, draws))
    return np.concatenate(parts)
