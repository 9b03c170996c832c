"""One contrast on one slice: its estimate, its standard error, and how its own interval and p-value are had.

A *cell* is a contrast (c of them) on a slice (s + 1 of them, all examples first). Each cell is judged by the method
that keeps its size for its kind of data:

``agresti-min``
    Differences of 0/1 scores, and other differences at least half of which are 0. Two pseudo-examples are spread over
    the possible values, half at either end and one in the middle, which for a pair of 0/1 scores is Agresti and Min
    (2005), Δ̃ = (b − c)/(n + 2); for other scores the ends are the root mean square of the differences that are not 0.
    The p-value of a pair against 0 is McNemar's exact one. With clusters the variance is multiplied by the observed
    design effect, if above 1.
``bootstrap-t``
    Other scores on 10 to 499 examples: at either end the wider of the studentised bootstrap (Hall 1988), which follows
    skewness, and of t, which the former falls short of on symmetric heavy tails (simulated at n = 50, nominal 0.95:
    lognormal 0.915, t 0.887, wider 0.931; difference of lognormals 0.901, t 0.960, wider 0.960; normal, wider 0.958).
``t``
    Everything else, with n − 1 degrees of freedom, or C − 1 of C clusters.
``unchanging``
    No variation to judge by (a model against itself, one example, one cluster). If more than a share
    q = 1 − (α/2)^(1/n) of all examples differed, the sample would have shown one with probability 1 − α/2: the interval
    lets a share q take the worst possible value. With clusters n counts them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from mlbaseline.stats.bootstrap import draw_weights

Array = npt.NDArray[np.float64]
Alternative = Literal["two-sided", "greater", "less"]

BOOTSTRAP_T_EXAMPLES = (10, 500)
ROWS_PER_CHUNK = 4_096
# Quantiles further out than this many draws are extrapolated by the t-distribution.
MIN_TAIL_DRAWS = 20


@dataclass(frozen=True)
class Design:
    """The scores as contrasts: ``values`` (n, c) around ``shift`` (c,), ``slices`` (n, s + 1), and what bounds them.

    ``lowest`` and ``highest`` (c,) are the least and the greatest value a contrast can take; ``binary`` (c,) where it
    is made of 0/1 scores, ``pair`` where it is the plain difference of two such. ``codes`` (n,) number the clusters.
    """

    values: Array
    shift: Array
    slices: npt.NDArray[np.bool_]
    codes: npt.NDArray[np.intp] | None
    lowest: Array
    highest: Array
    binary: npt.NDArray[np.bool_]
    pair: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Moments:
    """Per cell (s + 1, c), around the shift: ``mean``, ``squares`` (mean square), ``ties`` (share exactly 0), ``error``
    (standard error, 0 where it cannot be had); per slice (s + 1,): ``n`` examples and independent ``units``."""

    n: npt.NDArray[np.intp]
    units: npt.NDArray[np.intp]
    mean: Array
    squares: Array
    ties: Array
    error: Array


def build_design(
    scores: Array, contrasts: Array, slices: npt.NDArray[np.bool_] | None, codes: npt.NDArray[np.intp] | None
) -> Design:
    """Read the scores once: contrasts of them, and the range of every contrast."""
    low, high, zero_one = _column_ranges(scores)
    unit_range = (low >= 0) & (high <= 1)
    # A score in [0, 1] may take any value there; one outside may move by its observed spread (its size, if constant).
    spread = np.where(high > low, high - low, np.maximum(np.abs(high), 1.0))
    low = np.where(unit_range, 0.0, np.where(high > low, low, low - spread))
    high = np.where(unit_range, 1.0, np.where(high > low, high, high + spread))
    positive, negative = np.maximum(contrasts, 0.0), np.minimum(contrasts, 0.0)
    values = scores @ contrasts.T
    shift = values.mean(axis=0)
    values -= shift
    everyone = np.ones((len(scores), 1), dtype=bool)
    return Design(
        values=values,
        shift=shift,
        slices=everyone if slices is None else np.hstack([everyone, slices]),
        codes=codes,
        lowest=positive @ low + negative @ high,
        highest=positive @ high + negative @ low,
        binary=np.array([bool(zero_one[w != 0].all()) for w in contrasts]),
        pair=np.array([sorted(w[w != 0].tolist()) == [-1.0, 1.0] and bool(zero_one[w != 0].all()) for w in contrasts]),
    )


def _column_ranges(scores: Array) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """(k,) least and greatest value of every column, and whether it holds only 0 and 1. ValueError if not finite."""
    k = scores.shape[1]
    low, high, zero_one = np.full(k, np.inf), np.full(k, -np.inf), np.ones(k, dtype=bool)
    for start in range(0, len(scores), ROWS_PER_CHUNK):
        rows = scores[start : start + ROWS_PER_CHUNK]
        low, high = np.minimum(low, rows.min(axis=0)), np.maximum(high, rows.max(axis=0))
        if zero_one.any():
            zero_one &= ((rows == 0) | (rows == 1)).all(axis=0)
    finite = np.isfinite(low) & np.isfinite(high)
    if not finite.all():
        raise ValueError(f"scores must be finite, got NaN or infinity in column(s) {np.flatnonzero(~finite).tolist()}")
    return low, high, zero_one


def measure(design: Design) -> Moments:
    """Sums over every slice by matrix products; standard errors from the examples, or from the clusters' sums."""
    n_slices, c = design.slices.shape[1], design.values.shape[1]
    sums, squares, ties = (np.zeros((n_slices, c)) for _ in range(3))
    for start in range(0, len(design.values), ROWS_PER_CHUNK):
        rows = design.values[start : start + ROWS_PER_CHUNK]
        members = design.slices[start : start + ROWS_PER_CHUNK].astype(np.float64)
        sums += members.T @ rows
        squares += members.T @ np.square(rows)
        tied = rows == -design.shift
        if tied.any():
            ties += members.T.astype(np.float32) @ tied.astype(np.float32)
    n = design.slices.sum(axis=0)
    if (n == 0).any():
        raise ValueError(f"every slice needs an example, got none in slice(s) {(np.flatnonzero(n == 0) - 1).tolist()}")
    mean = sums / n[:, None]
    deviation = np.maximum(squares - n[:, None] * np.square(mean), 0.0)
    # Rounding leaves a constant column with some 10⁻³² of its range squared.
    deviation[deviation <= n[:, None] * np.square(1e-9 * (design.highest - design.lowest))] = 0.0
    if design.codes is None:
        units, error = n, np.sqrt(deviation / (n * np.maximum(n - 1, 1))[:, None])
    else:
        units, error = _cluster_errors(design, mean, n)
        error[deviation == 0] = 0.0
    return Moments(n, units, mean, squares / n[:, None], ties / n[:, None], error)


def _cluster_errors(design: Design, mean: Array, n: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], Array]:
    """SE² = n⁻² · C/(C − 1) · Σ_c (Σ_{i∈c} (d_i − d̄))², per slice over the clusters that reach into it."""
    assert design.codes is not None
    order = np.argsort(design.codes, kind="stable")
    units, error = np.empty(len(n), dtype=np.intp), np.zeros_like(mean)
    for s in range(len(n)):
        rows = order[design.slices[order, s]]
        starts = np.flatnonzero(np.diff(design.codes[rows], prepend=-1))
        units[s] = len(starts)
        if units[s] > 1:
            sums = np.add.reduceat(design.values[rows] - mean[s], starts, axis=0)
            correction = units[s] / (units[s] - 1)
            error[s] = np.sqrt(correction * np.square(sums).sum(axis=0)) / n[s]
    return units, error


@dataclass(frozen=True)
class Cells:
    """The cells' own inference. Arrays are (s + 1, c); ``n`` and ``units`` (s + 1,).

    ``centre`` and ``width`` are the estimate and standard error after smoothing, ``freedom`` the degrees of freedom,
    ``exact`` where McNemar's test applies to ``discordant`` examples. ``studentised`` gives for a slice its columns
    (j,) judged by the bootstrap-t, and their sorted t* (j, n_resamples).
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
    exact: npt.NDArray[np.bool_]
    discordant: Array
    studentised: dict[int, tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]]

    def interval(self, alpha: float) -> tuple[Array, Array]:
        """Two-sided limits at error rate ``alpha``, each (s + 1, c)."""
        reach = stats.t.isf(alpha / 2, self.freedom) * self.width
        low, high = self.centre - reach, self.centre + reach
        for s, (columns, draws) in self.studentised.items():
            upper = _tail_quantile(draws, alpha / 2, self.freedom[s, columns]) * self.width[s, columns]
            lower = _tail_quantile(-draws[:, ::-1], alpha / 2, self.freedom[s, columns]) * self.width[s, columns]
            low[s, columns] = np.minimum(low[s, columns], self.estimate[s, columns] - upper)
            high[s, columns] = np.maximum(high[s, columns], self.estimate[s, columns] + lower)
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

    def _one_sided(self, margin: Array) -> tuple[Array, Array]:
        """p against "≤ margin" and against "≥ margin"."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (self.centre - margin) / self.width
        above, below = stats.t.sf(t, self.freedom), stats.t.cdf(t, self.freedom)
        for s, (columns, draws) in self.studentised.items():
            above[s, columns] = np.maximum(above[s, columns], _share_at_least(draws, t[s, columns]))
            below[s, columns] = np.maximum(below[s, columns], _share_at_least(-draws[:, ::-1], -t[s, columns]))
        exact = self.exact & (margin == 0)
        gained = np.rint((self.discordant + self.n[:, None] * self.estimate) / 2)
        above = np.where(exact, stats.binom.sf(gained - 1, self.discordant, 0.5), above)
        below = np.where(exact, stats.binom.cdf(gained, self.discordant, 0.5), below)
        unchanging = self.kind == "unchanging"
        distance = self.estimate - margin
        away = np.where(distance > 0, self.estimate - self.lowest, self.highest - self.estimate)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(distance == 0, 0.0, np.minimum(np.abs(distance) / away, 1.0))
        unseen = (1.0 - share) ** self.units[:, None]
        above = np.where(unchanging, np.where(distance > 0, unseen, 1.0), above)
        below = np.where(unchanging, np.where(distance < 0, unseen, 1.0), below)
        return above, below


def judge_cells(design: Design, moments: Moments, n_resamples: int, rng: np.random.Generator) -> Cells:
    """Choose every cell's method (see the module) and prepare it."""
    shape = moments.mean.shape
    n, units = np.broadcast_to(moments.n[:, None], shape), np.broadcast_to(moments.units[:, None], shape)
    binary = np.broadcast_to(design.binary, shape)
    lowest, highest = np.broadcast_to(design.lowest, shape), np.broadcast_to(design.highest, shape)
    kind = np.full(shape, "t", dtype="<U12")
    few = (n >= BOOTSTRAP_T_EXAMPLES[0]) & (n < BOOTSTRAP_T_EXAMPLES[1])
    if design.codes is None:
        kind[few] = "bootstrap-t"
    kind[binary | (moments.ties >= 0.5)] = "agresti-min"
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
        exact=np.broadcast_to(design.pair, shape) & smoothed & (design.codes is None),
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
        columns = np.flatnonzero(chosen[s])
        rows = design.values[np.ix_(design.slices[:, s], columns)]
        rows = rows - rows.mean(axis=0)
        n = len(rows)
        weights = draw_weights(n, n_resamples, rng).astype(np.float64)
        mean = weights @ rows / n
        error = np.sqrt(np.maximum(weights @ np.square(rows) / n - np.square(mean), 0.0) / (n - 1))
        # A resample of one value over and over has no t*: it lies beyond every limit, on the side of its mean.
        t = np.where(error > 1e-9 * rows.std(axis=0), mean / np.where(error > 0, error, 1.0), np.copysign(np.inf, mean))
        drawn[int(s)] = (columns, np.sort(t.T.astype(np.float32), axis=1))
    return drawn


def _tail_quantile(draws: npt.NDArray[np.float32], tail: float, freedom: Array) -> Array:
    """Upper ``tail`` quantile of each row of sorted draws, stretched by the t-distribution past MIN_TAIL_DRAWS."""
    n_draws = draws.shape[1]
    reachable = max(tail, min(0.25, MIN_TAIL_DRAWS / n_draws))
    position = min(n_draws - 1, int(np.ceil((1.0 - reachable) * (n_draws + 1))) - 1)
    stretch: Array = stats.t.isf(tail, freedom) / stats.t.isf(reachable, freedom)
    return draws[:, position] * stretch


def _share_at_least(draws: npt.NDArray[np.float32], t: Array) -> Array:
    """(1 + #{t* ≥ t}) / (1 + draws) for each row of sorted draws."""
    below = [np.searchsorted(row, np.float32(x), side="left") for row, x in zip(draws, t, strict=True)]
    share: Array = 1.0 - np.array(below, dtype=np.float64) / (1.0 + draws.shape[1])
    return share
