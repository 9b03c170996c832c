"""One contrast on one slice: its estimate, its standard error, and how its own interval and p-value are had.

A *cell* is a contrast (c of them) on a slice (s + 1 of them, all examples first). Each cell is judged by the method
that keeps its size for its kind of data:

``score``
    A plain pair of 0/1 scores without clusters: McNemar's exact test at zero and Tango's score interval, as in
    ``compare_paired``, or Agresti and Min's where that is wider (`WiderConfidence`).
``agresti-min``
    Other contrasts of 0/1 scores, and differences at least half of which are 0. Two pseudo-examples are spread over the
    possible values, half at either end and one in the middle, which for a pair of 0/1 scores is Agresti and Min (2005),
    Δ̃ = (b − c)/(n + 2); for other scores the ends are the root mean square of the differences that are not 0. With
    clusters the variance is multiplied by the observed design effect, if above 1.
``bootstrap-t``
    Other scores on 10 to 499 examples, or clusters of them: at either end the wider of the studentised bootstrap (Hall
    1988), which follows skewness, and of t, which the former falls short of on symmetric heavy tails (simulated at
    n = 50, nominal 0.95: lognormal 0.915, t 0.887, wider 0.931; difference of lognormals 0.901, t 0.960, wider 0.960;
    normal, wider 0.958).
``t``
    Everything else, with n − 1 degrees of freedom, or C − 1 of C clusters.
``unchanging``
    No variation to judge by (a model against itself, one example, one cluster). If more than a share
    q = 1 − (α/2)^(1/n) of all examples differed, the sample would have shown one with probability 1 − α/2: the interval
    lets a share q take the worst possible value. With clusters n counts them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from mlbaseline.stats.bootstrap import draw_weights, gather_units
from mlbaseline.stats.paired.binary import WiderConfidence
from mlbaseline.stats.simultaneous.design import Design, Moments
from mlbaseline.stats.types import Alternative, Array

BOOTSTRAP_T_UNITS = (10, 500)
# Quantiles further out than this many draws are extrapolated by the t-distribution.
MIN_TAIL_DRAWS = 20


@dataclass(frozen=True)
class Cells:
    """The cells' own inference. Arrays are (s + 1, c); ``n`` and ``units`` (s + 1,).

    ``centre`` and ``width`` are the estimate and standard error after smoothing, ``freedom`` the degrees of freedom,
    ``discordant`` counts the differences of plain pairs of 0/1 scores. ``studentised`` gives for a
    slice its columns (j,) judged by the bootstrap-t, and their sorted t* (j, n_resamples).
    """

    estimate: Array
    error: Array
    kind: npt.NDArray[np.str_]
    n: npt.NDArray[np.intp]
    units: npt.NDArray[np.intp]
    centre: Array
    width: Array
    freedom: Array
    lowest: Array
    highest: Array
    discordant: Array
    studentised: dict[int, tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]]

    def interval(self, alpha: float) -> tuple[Array, Array]:
        """Two-sided limits at error rate ``alpha``, each (s + 1, c)."""
        reach = scipy.stats.t.isf(alpha / 2, self.freedom) * self.width
        low, high = self.centre - reach, self.centre + reach
        for s, (columns, draws) in self.studentised.items():
            upper = _tail_quantile(draws, alpha / 2, self.freedom[s, columns]) * self.width[s, columns]
            lower = _tail_quantile(-draws[:, ::-1], alpha / 2, self.freedom[s, columns]) * self.width[s, columns]
            low[s, columns] = np.minimum(low[s, columns], self.estimate[s, columns] - upper)
            high[s, columns] = np.maximum(high[s, columns], self.estimate[s, columns] + lower)
        if self.exact.any():
            low[self.exact] = self._pairs.lower(alpha / 2)
            high[self.exact] = -self._pairs.mirrored().lower(alpha / 2)
        share = 1.0 - (alpha / 2) ** (1.0 / self.units[:, None])
        unchanging = self.kind == "unchanging"
        low = np.where(unchanging, self.estimate - share * (self.estimate - self.lowest), low)
        high = np.where(unchanging, self.estimate + share * (self.highest - self.estimate), high)
        bounded = self.kind == "agresti-min"
        low = np.where(bounded, np.maximum(low, np.minimum(self.lowest, self.estimate)), low)
        return low, np.where(bounded, np.minimum(high, np.maximum(self.highest, self.estimate)), high)

    def p_values(self, margin: npt.ArrayLike, alternative: Alternative) -> Array:
        """(s + 1, c) p-values of "the contrast equals ``margin``" (or does not exceed it, or is not below it)."""
        margin = np.broadcast_to(np.asarray(margin, dtype=np.float64), self.estimate.shape)
        above, below = self._one_sided(margin)
        if alternative == "greater":
            return above
        return below if alternative == "less" else np.minimum(1.0, 2.0 * np.minimum(above, below))

    @property
    def exact(self) -> npt.NDArray[np.bool_]:
        """Which cells are plain pairs of 0/1 scores."""
        return np.asarray(self.kind == "score")

    @property
    def _pairs(self) -> WiderConfidence:
        """Wins, losses and examples of the ``exact`` cells."""
        n = np.broadcast_to(self.n[:, None], self.exact.shape)[self.exact].astype(np.float64)
        wins = np.rint((self.discordant[self.exact] + n * self.estimate[self.exact]) / 2)
        return WiderConfidence(wins, self.discordant[self.exact] - wins, n)

    def _one_sided(self, margin: Array) -> tuple[Array, Array]:
        """p against "≤ margin" and against "≥ margin"."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (self.centre - margin) / self.width
        above, below = scipy.stats.t.sf(t, self.freedom), scipy.stats.t.cdf(t, self.freedom)
        for s, (columns, draws) in self.studentised.items():
            above[s, columns] = np.maximum(above[s, columns], _share_at_least(draws, t[s, columns]))
            below[s, columns] = np.maximum(below[s, columns], _share_at_least(-draws[:, ::-1], -t[s, columns]))
        if self.exact.any():
            above[self.exact] = self._pairs.p_greater(margin[self.exact])
            below[self.exact] = self._pairs.mirrored().p_greater(-margin[self.exact])
        unchanging = self.kind == "unchanging"
        distance = self.estimate - margin
        away = np.where(distance > 0, self.estimate - self.lowest, self.highest - self.estimate)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(distance == 0, 0.0, np.minimum(np.abs(distance) / away, 1.0))
        unseen = (1.0 - share) ** self.units[:, None]
        above = np.where(unchanging, np.where(distance > 0, unseen, 1.0), above)
        below = np.where(unchanging, np.where(distance < 0, unseen, 1.0), below)
        return above, below


def infer_contrasts(design: Design, moments: Moments, n_resamples: int, rng: np.random.Generator) -> Cells:
    """Choose every cell's method (see the module) and prepare it."""
    shape = moments.mean.shape
    n, units = np.broadcast_to(moments.n[:, None], shape), np.broadcast_to(moments.units[:, None], shape)
    binary = np.broadcast_to(design.binary, shape)
    lowest, highest = np.broadcast_to(design.lowest, shape), np.broadcast_to(design.highest, shape)
    kind = np.full(shape, "t", dtype="<U12")
    kind[(units >= BOOTSTRAP_T_UNITS[0]) & (units < BOOTSTRAP_T_UNITS[1])] = "bootstrap-t"
    kind[binary | (moments.ties >= 0.5)] = "agresti-min"
    if design.codes is None:
        kind[np.broadcast_to(design.pair, shape)] = "score"
    kind[(moments.error == 0) | (units < 2)] = "unchanging"

    estimate = design.shift + moments.mean
    raw_squares = moments.squares + 2 * design.shift * moments.mean + np.square(design.shift)
    with np.errstate(divide="ignore", invalid="ignore"):
        typical = np.sqrt(raw_squares / (1.0 - moments.ties))
    ends = (np.where(binary, lowest, -typical), np.where(binary, highest, typical))
    centre, width = _agresti_min(estimate, raw_squares, moments.error, n, ends)
    smoothed = kind == "agresti-min"
    return Cells(
        estimate=estimate,
        error=moments.error,
        kind=kind,
        n=moments.n,
        units=moments.units,
        centre=np.where(smoothed, centre, estimate),
        width=np.where(smoothed, width, moments.error),
        freedom=np.maximum(units - 1, 1).astype(np.float64),
        lowest=lowest,
        highest=highest,
        discordant=np.rint(n * raw_squares),
        studentised=_studentise(design, kind == "bootstrap-t", n_resamples, rng),
    )


def _agresti_min(
    estimate: Array, squares: Array, error: Array, n: npt.NDArray[np.intp], ends: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Centre and standard error with half a pseudo-example at each end of the range and one in the middle."""
    low, high = ends
    middle = (low + high) / 2
    centre = (n * estimate + 2 * middle) / (n + 2)
    variance = (n * squares + (low**2 + high**2) / 2 + middle**2) / (n + 2) - centre**2
    independent = np.maximum(squares - estimate**2, 0.0) / np.maximum(n - 1, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        design_effect = np.where(independent > 0, error**2 / independent, 1.0)
    # Without clusters the ratio is 1 up to rounding; a ratio below 1 is chance more often than gain.
    return centre, np.sqrt(np.maximum(variance, 0.0) / (n + 2) * np.maximum(design_effect, 1.0))


def _studentise(
    design: Design, chosen: npt.NDArray[np.bool_], n_resamples: int, rng: np.random.Generator
) -> dict[int, tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]]:
    """Per slice that needs it, the sorted t* = (mean* − mean)/SE* of its chosen columns, shape (k, n_resamples)."""
    drawn = {}
    for s in np.flatnonzero(chosen.any(axis=1)):
        columns, rows = np.flatnonzero(chosen[s]), np.flatnonzero(design.slices[:, s])
        codes = None if design.codes is None else design.codes[rows]
        units = gather_units(design.values[np.ix_(rows, columns)], codes)
        sizes = units.sizes[:, None]
        residuals = units.sums - sizes * units.means
        n_units, k = residuals.shape
        weights = draw_weights(n_units, n_resamples, rng).astype(np.float64)
        drawn_sums = weights @ np.hstack([residuals, np.square(residuals), residuals * sizes, sizes, np.square(sizes)])
        total, total_squares, total_cross = (drawn_sums[:, j * k : (j + 1) * k] for j in range(3))
        shift = total / drawn_sums[:, [3 * k]]
        # Σ w (S_c − mean* n_c)², in terms of the residuals from the sample's own mean.
        deviation = total_squares - 2 * shift * total_cross + np.square(shift) * drawn_sums[:, [3 * k + 1]]
        error = np.sqrt(np.maximum(deviation, 0.0) * n_units / (n_units - 1)) / drawn_sums[:, [3 * k]]
        typical = np.sqrt(np.square(residuals).sum(axis=0)) / sizes.sum()
        # A resample of one value over and over has no t*: it lies beyond every limit, on the side of its mean.
        t = np.where(error > 1e-9 * typical, shift / np.where(error > 0, error, 1.0), np.copysign(np.inf, shift))
        drawn[int(s)] = (columns, np.sort(t.T.astype(np.float32), axis=1))
    return drawn


def _tail_quantile(draws: npt.NDArray[np.float32], tail: float, freedom: Array) -> Array:
    """Upper ``tail`` quantile of each row of sorted draws.

    Past MIN_TAIL_DRAWS the last reachable quantile is carried on by the t-distribution, or along the line through it
    and one four times as likely (over normal quantiles), whichever rises more: skewness goes on growing in the tail.
    """
    n_draws = draws.shape[1]

    def quantile(share: float) -> Array:
        position = int(np.ceil((1.0 - share) * (n_draws + 1))) - 1
        return draws[:, min(position, n_draws - 1)].astype(np.float64)

    reachable = max(tail, min(0.1, MIN_TAIL_DRAWS / n_draws))
    last = quantile(reachable)
    if tail == reachable:
        return last
    by_t = last * scipy.stats.t.isf(tail, freedom) / scipy.stats.t.isf(reachable, freedom)
    z_tail, z_last, z_before = scipy.stats.norm.isf([tail, reachable, 4 * reachable])
    by_line = last + (last - quantile(4 * reachable)) * (z_tail - z_last) / (z_last - z_before)
    further: Array = np.maximum(by_t, by_line)
    return further


def _share_at_least(draws: npt.NDArray[np.float32], t: Array) -> Array:
    """(1 + #{t* ≥ t}) / (1 + draws) for each row of sorted draws."""
    below = [np.searchsorted(row, np.float32(x), side="left") for row, x in zip(draws, t, strict=True)]
    share: Array = 1.0 - np.array(below, dtype=np.float64) / (1.0 + draws.shape[1])
    return share
