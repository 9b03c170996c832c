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
from mlbaseline.stats.variance import bell_mccaffrey_df

TIE = 1e-9
"""Values closer than this share of the scale are the same number."""
_ALL_ROWS_UP_TO, _SELECTED_ROWS = 4_095, 511


@dataclass(frozen=True)
class Summary:
    """Summaries of samples; each array has one entry for every sample.

    Attributes:
        n: Examples.
        units: Independent units: examples, or clusters that reach into the slice.
        effective_units: Units of equal weight, n²/Σ n_c².
        mean: Mean over examples.
        variance: Variance of that mean (CR2 with clusters), 0 where it cannot be had.
        df: Its degrees of freedom (Bell and McCaffrey's with clusters).
        third: Third central moment of the mean.
        usual: The median value.
        down: How far below ``usual`` an example that was not drawn may lie.
        up: How far above.
        differing: Units with an example whose value is not the usual one.
        differing_share: Share of such examples.
        together: How many examples move together, 1 without clusters.
        pair: Whether it is a difference of two 0/1 scores on independent examples.
        proportion: Whether it is a single 0/1 score on independent examples.
        gained: Examples with a value above 0, of ``pair`` and ``proportion``.
        lost: Examples with a value below 0.
        clustered: Whether examples have clusters.
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

    def at(self, samples: Mask | tuple[int, ...]) -> Summary:
        """Take the summaries of some samples only."""
        arrays: dict[str, Any] = {name: value[samples] for name, value in vars(self).items() if name != "clustered"}
        return replace(self, **arrays)


def summarise(data: ContrastData) -> Summary:
    """Summarise every contrast on every slice.

    Args:
        data: The contrasts of scores.

    Returns:
        Summaries of shape (slices, contrasts).

    Raises:
        ValueError: If a slice has no example.
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
    independent_units = data.codes is None
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
        pair=np.broadcast_to(data.pair & independent_units, shape),
        proportion=np.broadcast_to(data.proportion & independent_units, shape),
        gained=np.zeros(shape),
        lost=np.zeros(shape),
        clustered=not independent_units,
    )
    if not independent_units:
        return _with_clusters(data, summary, usual, flat)
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


def _with_clusters(data: ContrastData, summary: Summary, usual: Array, flat: Mask) -> Summary:
    """Replace what depends on the clusters, per slice over those that reach into it.

    The variance is the bias-reduced CR2, which for a mean needs no matrix: n⁻² Σ e_c²/(1 − n_c/n), e_c the cluster's
    sum of residuals. For equal clusters this is n⁻² · C/(C−1) · Σ e_c² with C − 1 degrees of freedom; for unequal ones,
    where that form covers too little, the degrees of freedom are the smaller of Bell and McCaffrey's for independent
    and for fully dependent examples within a cluster.
    """
    assert data.codes is not None
    shape = summary.mean.shape
    units, effective, df = np.empty(shape), np.empty(shape), np.empty(shape)
    variance, third, differing, together = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.ones(shape)
    order = np.argsort(data.codes, kind="stable")
    for s in range(shape[0]):
        rows = order[data.slices[order, s]]
        starts = np.flatnonzero(np.diff(data.codes[rows], prepend=-1))
        sizes = np.diff(starts, append=len(rows)).astype(np.float64)
        values, share = data.values[rows], sizes / len(rows)
        units[s], effective[s] = len(sizes), 1.0 / np.square(share).sum()
        away = np.abs(values - usual[s]) > TIE * data.scale
        differing[s] = np.logical_or.reduceat(away, starts, axis=0).sum(axis=0)
        if len(sizes) < 2:
            df[s] = 1.0
            continue
        sums = np.add.reduceat(values - (summary.mean[s] - data.shift), starts, axis=0)
        sums[:, flat[s]] = 0.0
        correction = (1.0 / (1.0 - share))[:, None]
        variance[s] = (correction * np.square(sums)).sum(axis=0) / len(rows) ** 2
        third[s] = (correction * sums**3).sum(axis=0) / len(rows) ** 3
        df[s] = min(bell_mccaffrey_df(share, sizes), bell_mccaffrey_df(share, np.square(sizes)))
        together[s] = _together(sizes, variance[s], summary.variance[s], data.scale)
    return replace(
        summary,
        units=units,
        effective_units=effective,
        variance=variance,
        df=df,
        third=third,
        differing=differing,
        together=together,
    )


def _together(sizes: Array, variance: Array, independent: Array, scale: Array) -> Array:
    """(c,) how many examples go together.

    That is the observed design effect, but a few differing examples say little about it: it is taken as at least the
    square root of the cluster size (examples drawn evenly), and as all of it while clusters do not differ.
    """
    typical = float(np.square(sizes).sum() / sizes.sum())  # the size of the cluster that an example is likely to be in
    with np.errstate(divide="ignore", invalid="ignore"):
        design_effect = np.where(independent > 0, variance / independent, 1.0)
    bounded = np.minimum(np.maximum(design_effect, np.sqrt(typical)), sizes.max())
    return np.where(variance > np.square(TIE * scale), bounded, typical)
