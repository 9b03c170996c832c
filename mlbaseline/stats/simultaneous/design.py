"""What a table of contrasts and slices is made of, and the moments of each of its cells, read in two passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from mlbaseline.stats.types import Array

ROWS_PER_CHUNK = 2_048


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
    """What is measured of every cell and slice.

    Per cell (s + 1, c), around the shift: ``mean``, ``squares`` (mean square), ``ties`` (share exactly 0, of contrasts
    that are not binary) and ``error`` (standard error, 0 where it cannot be had). Per slice (s + 1,): ``n`` examples
    and independent ``units``.
    """

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
    """Sums over every slice; standard errors from the examples, or from the clusters' sums."""
    n_slices, c = design.slices.shape[1], design.values.shape[1]
    totals, ties = np.zeros((n_slices, 2 * c)), np.zeros((n_slices, c))
    scored = np.flatnonzero(~design.binary)
    for start in range(0, len(design.values), ROWS_PER_CHUNK):
        rows = design.values[start : start + ROWS_PER_CHUNK]
        # Sparse on purpose: many small dense products wait for each other's threads on a busy machine.
        members = scipy.sparse.csr_array(design.slices[start : start + ROWS_PER_CHUNK].T, dtype=np.float64)
        totals += members @ np.hstack([rows, np.square(rows)])
        tied = rows[:, scored] == -design.shift[scored]
        if tied.any():
            ties[:, scored] += members @ tied.astype(np.float64)
    sums, squares = totals[:, :c], totals[:, c:]
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
