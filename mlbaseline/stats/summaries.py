"""What decides how a mean is inferred: contrasts of scores on slices of examples, summarised in two passes.

A pair is one contrast on one slice; a joint table has many of both. Both are summarised here, so that the same data
are always inferred by the same method.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy

from mlbaseline.stats.contrast_data import ROWS_PER_CHUNK, ContrastData, Mask
from mlbaseline.stats.types import Array
from mlbaseline.stats.units import UnitCells
from mlbaseline.stats.weights import effective_count

TIE = 1e-9
"""Values closer than this share of the scale are the same number."""
_FLAGS = ("clustered", "weighted")
_ALL_ROWS_UP_TO, _SELECTED_ROWS = 4_095, 511


@dataclass(frozen=True)
class Summary:
    """Summaries of samples; each array has one entry for every sample.

    Attributes:
        n: Examples.
        units: Independent units: examples, or clusters that reach into the slice.
        effective_units: Units of equal weight, n²/Σ n_c².
        mean: Mean over examples, weighted where they have weights.
        variance: Variance of that mean (CR2 with clusters or weights), 0 where it cannot be had.
        df: Its degrees of freedom (Bell and McCaffrey's with clusters or weights).
        third: Third central moment of the mean.
        usual: The median value.
        down: How far below ``usual`` an example that was not drawn may lie.
        up: How far above.
        differing: Units with an example whose value is not the usual one; with weights as many as would weigh the same.
        differing_share: Share of such examples.
        together: How many examples move together, 1 without clusters and weights.
        pair: Whether it is a difference of two 0/1 scores on independent examples of equal weight.
        proportion: Whether it is a single 0/1 score on such examples.
        gained: Examples with a value above 0, of ``pair`` and ``proportion``.
        lost: Examples with a value below 0.
        clustered: Whether examples have clusters.
        weighted: Whether examples have weights.
    """

    n: Array
    units: Array
    effective_units: Array
    mean: Array
    variance: Array
    df: Array
    third: Array
    usual: Array
    down: Array
    up: Array
    differing: Array
    differing_share: Array
    together: Array
    pair: Mask
    proportion: Mask
    gained: Array
    lost: Array
    clustered: bool
    weighted: bool

    def at(self, samples: Mask | tuple[int, ...]) -> Summary:
        """Take the summaries of some samples only."""
        arrays: dict[str, Any] = {name: value[samples] for name, value in vars(self).items() if name not in _FLAGS}
        return replace(self, **arrays)


def summarise(data: ContrastData) -> Summary:
    """Summarise every contrast on every slice.

    Args:
        data: The contrasts of scores.

    Returns:
        Summaries of shape (slices, contrasts).

    Raises:
        ValueError: If a slice has no example, or a stratum of the weights a single unit.
    """
    n = data.slices.sum(axis=0)
    if (n == 0).any():
        raise ValueError(f"every slice needs an example, got none in slice(s) {(np.flatnonzero(n == 0) - 1).tolist()}")
    usual, repeated = _medians(data)
    differing, sums, squares, cubes = _power_sums(data, usual, repeated)
    size = n[:, None].astype(np.float64)
    mean = sums / size
    deviation = np.maximum(squares - size * np.square(mean), 0.0)
    # Rounding leaves a constant column with some 10⁻³² of its range squared.
    flat = (differing == 0) | (deviation <= size * np.square(TIE * data.scale))
    deviation[flat] = 0.0
    independent = deviation / (size * np.maximum(size - 1, 1))
    moment = cubes - 3 * mean * squares + 2 * size * mean**3
    third = np.where(flat, 0.0, moment / (size**2 * np.maximum(size - 1, 1)))
    shape = mean.shape
    level = usual + data.shift
    countable = data.has_exact_counts
    whole = np.broadcast_to(size, shape)
    summary = Summary(
        n=whole,
        units=whole,
        effective_units=whole,
        mean=mean + data.shift,
        variance=independent,
        df=np.maximum(whole - 1.0, 1.0),
        third=third,
        usual=level,
        down=np.maximum(np.where(np.isnan(data.lowest), data.scale, level - data.lowest), 0.0),
        up=np.maximum(np.where(np.isnan(data.highest), data.scale, data.highest - level), 0.0),
        differing=differing,
        differing_share=differing / size,
        together=np.ones(shape),
        pair=np.broadcast_to(data.pair & countable, shape),
        proportion=np.broadcast_to(data.proportion & countable, shape),
        gained=np.zeros(shape),
        lost=np.zeros(shape),
        clustered=data.codes is not None,
        weighted=data.weights is not None,
    )
    if not countable:
        return _with_units(data, summary, usual, flat)
    # Of values −1, 0 and 1 the mean and the mean square tell how many there are of each.
    square = squares + 2 * data.shift * sums + size * np.square(data.shift)
    total = sums + size * data.shift
    return replace(summary, gained=np.rint((square + total) / 2), lost=np.rint((square - total) / 2))


def _medians(data: ContrastData) -> tuple[Array, Mask]:
    """(s, c) medians, and whether a quarter of the examples has that value; of large slices by a selection of rows.

    They are only used to recognise a value that at least half of the examples share, which any selection shows.
    """
    medians = np.empty((data.slices.shape[1], data.values.shape[1]))
    repeated = np.empty(medians.shape, dtype=bool)
    for s in range(len(medians)):
        rows = np.flatnonzero(data.slices[:, s])
        if len(rows) > _ALL_ROWS_UP_TO:
            rows = rows[np.linspace(0, len(rows) - 1, _SELECTED_ROWS).astype(np.intp)]
        values = data.values[rows]
        medians[s] = np.median(values, axis=0)
        repeated[s] = 4 * (np.abs(values - medians[s]) <= TIE * data.scale).sum(axis=0) >= len(rows)
    return medians, repeated


def _power_sums(data: ContrastData, usual: Array, repeated: Mask) -> tuple[Array, Array, Array, Array]:
    """(s, c) examples that differ from the usual value, and sums of the values, their squares and cubes."""
    n_slices, c = data.slices.shape[1], data.values.shape[1]
    totals, tied = np.zeros((n_slices, 3 * c)), np.zeros((n_slices, c))
    tolerance = TIE * data.scale
    for start in range(0, len(data.values), ROWS_PER_CHUNK):
        rows = data.values[start : start + ROWS_PER_CHUNK]
        # Sparse on purpose: many small dense products wait for each other's threads on a busy machine.
        members = scipy.sparse.csr_array(data.slices[start : start + ROWS_PER_CHUNK].T, dtype=np.float64)
        squares = np.square(rows)
        totals += members @ np.hstack([rows, squares, squares * rows])
        at_usual = np.abs(rows - usual[0]) <= tolerance
        if at_usual.any():
            tied += members @ at_usual.astype(np.float64)
    own = np.abs(usual - usual[0]) > tolerance
    tied[own] = 0.0
    for s, contrast in zip(*np.nonzero(own & repeated), strict=True):
        values = data.values[data.slices[:, s], contrast]
        tied[s, contrast] = np.count_nonzero(np.abs(values - usual[s, contrast]) <= tolerance[contrast])
    differing = data.slices.sum(axis=0)[:, None] - tied
    return differing, totals[:, :c], totals[:, c : 2 * c], totals[:, 2 * c :]


def _with_units(data: ContrastData, summary: Summary, usual: Array, flat: Mask) -> Summary:
    """Replace what depends on clusters and weights, per slice over the units that reach into it.

    The variance is the bias-reduced CR2, which for a mean needs no matrix: Σ e_c²/(1 − h_c), h_c the share of all
    weight that a unit (a cluster, else an example) has and e_c the weighted sum of its residuals over that of all.
    For equal clusters this is n⁻² · C/(C−1) · Σ e_c² with C − 1 degrees of freedom, for examples with weights the HC2
    of weighted least squares; for unequal ones, where those forms cover too little, the degrees of freedom are the
    smaller of Bell and McCaffrey's for independent and for fully dependent examples within a cluster. Where the weights
    give strata known shares, residuals are from the stratum's mean, shares h are those of its weight, and a cluster in
    several strata is summed over them; on a slice the strata's shares are not known, and the slice is one.
    """
    shape = summary.mean.shape
    units, effective, df = np.empty(shape), np.empty(shape), np.empty(shape)
    mean, variance, third = summary.mean.copy(), np.zeros(shape), np.zeros(shape)
    differing, together = np.zeros(shape), np.ones(shape)
    codes = np.arange(len(data.values)) if data.codes is None else data.codes
    strata = None if data.weights is None else data.weights.strata
    order = np.argsort(codes, kind="stable") if strata is None else np.lexsort((strata, codes))
    for s in range(shape[0]):
        rows = order[data.slices[order, s]]
        weights = np.ones(len(rows)) if data.weights is None else data.weights.values[rows]
        cells = UnitCells.of(codes[rows], weights, strata[rows] if strata is not None and s == 0 else None)
        values, sizes = data.values[rows], cells.unit_weights
        units[s], effective[s] = len(sizes), effective_count(sizes)
        away = np.logical_or.reduceat(np.abs(values - usual[s]) > TIE * data.scale, cells.unit_rows, axis=0)
        differing[s] = effective_count((sizes / np.diff(cells.unit_rows, append=len(rows)))[:, None] * away)
        if data.weights is not None:
            mean[s] = weights @ values / weights.sum() + data.shift
        if len(sizes) < 2:
            df[s] = 1.0
            continue
        sums, corrected = cells.residual_sums(values * weights[:, None])
        sums[:, flat[s]] = corrected[:, flat[s]] = 0.0
        variance[s] = np.square(corrected).sum(axis=0) / weights.sum() ** 2
        third[s] = (np.square(corrected) * sums).sum(axis=0) / weights.sum() ** 3
        df[s] = cells.degrees_of_freedom(np.square(weights))
        together[s] = _together(sizes, weights, variance[s], summary.variance[s], data.scale)
    return replace(
        summary,
        units=units,
        effective_units=effective,
        mean=mean,
        variance=variance,
        df=df,
        third=third,
        differing=differing,
        together=together,
    )


def _together(sizes: Array, weights: Array, variance: Array, independent: Array, scale: Array) -> Array:
    """(c,) how many examples go together.

    That is the observed design effect, but a few differing examples say little about it: it is taken as at least the
    square root of the cluster size (examples drawn evenly), and as all of it while clusters do not differ. Unequal
    weights have their design effect whatever the values are.
    """
    n = len(weights)
    by_weights = n / effective_count(weights)
    typical = n / effective_count(sizes)  # the size of the cluster that an example is likely to be in
    with np.errstate(divide="ignore", invalid="ignore"):
        design_effect = np.where(independent > 0, variance / independent, 1.0)
    bounded = np.minimum(np.maximum(design_effect, np.sqrt(typical * by_weights)), n * sizes.max() / sizes.sum())
    return np.where(variance > np.square(TIE * scale), bounded, typical)
