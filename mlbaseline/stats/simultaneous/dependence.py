"""How the cells of a table move together: draws of all their standardised statistics at once.

The *influence* of a unit (an example, or a cluster) on a cell is what the unit adds to the cell's mean: Σ (d_i − d̄_s)
over the unit's examples in slice s, divided by n_s. The sum of influences with random weights of mean 0 and variance 1
has the joint distribution of all estimates around the truth (multiplier bootstrap: Chernozhukov, Chetverikov and Kato
2013).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy

from mlbaseline.stats.bootstrap import BINS, bootstrap_distribution, draw_multiplier, draw_normal
from mlbaseline.stats.simultaneous.design import Design, Moments
from mlbaseline.stats.types import Array

Method = Literal["bootstrap", "normal", "multiplier"]
Draws = npt.NDArray[np.float32]

BLOCK_ELEMENTS = 1 << 22
MAX_INFLUENCE_ELEMENTS = 200_000_000
# What else costs time, in multiply-adds of a single-precision matrix product: a standard normal number, and an element
# of the influences.
NORMAL_COST = 400
INFLUENCE_COST = 100


def choose_method(n_units: int, n_cells: int, n_resamples: int) -> Method:
    """The cheaper of the two: units × cells² for the covariance, or bins × cells × resamples for the multipliers."""
    normal = (2 * n_units + n_resamples) * n_cells**2 + (INFLUENCE_COST * n_units + NORMAL_COST * n_resamples) * n_cells
    multiplier = min(n_units, BINS) * n_resamples * (n_cells + NORMAL_COST) + n_units * n_cells
    return "normal" if normal <= multiplier else "multiplier"


def draw_statistics(
    design: Design, moments: Moments, method: Method, n_resamples: int, rng: np.random.Generator
) -> Draws:
    """(n_resamples, s + 1, c) draws, each cell with mean 0 and variance 1, all on one set of weights.

    A cell without variation has no influence to draw from: it gets draws of its own, independent of the others, which
    is the least favourable to its neighbours.
    """
    if method == "bootstrap":
        resampled = bootstrap_distribution(_all_influences(design, moments), n_resamples=n_resamples, rng=rng)
        spread = resampled.std(axis=0)
        draws = (resampled / np.where(spread > 0, spread, 1.0)).astype(np.float32)
    elif method == "normal":
        n_cells = moments.mean.size
        covariance = np.zeros((n_cells, n_cells))
        for block in _influence_blocks(design, moments):
            covariance += block.T @ block
        scale = np.sqrt(np.diag(covariance))
        scale[scale == 0] = 1.0
        draws = draw_normal(covariance / np.outer(scale, scale), n_resamples, rng)
    elif method == "multiplier":
        draws = draw_multiplier(_standardised(_binned_influences(design, moments, rng)), n_resamples, rng)
    else:
        raise ValueError(f"method must be auto, bootstrap, normal or multiplier, got {method!r}")
    draws = draws.reshape(n_resamples, *moments.mean.shape)
    still = moments.error == 0
    draws[:, still] = rng.standard_normal((n_resamples, int(still.sum())), dtype=np.float32)
    return draws


def _standardised(influences: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    scale = np.sqrt(np.square(influences).sum(axis=0, dtype=np.float64)).astype(np.float32)
    scale[scale == 0] = 1.0
    influences /= scale
    return influences


def _scale(moments: Moments) -> Array:
    """1/(n_s · SE) per cell: influences times this sum to a variance near 1; 0 for a cell without variation."""
    with np.errstate(divide="ignore"):
        inverse = 1.0 / (moments.n[:, None] * moments.error)
    return np.where(moments.error > 0, inverse, 0.0)


def _influence_blocks(design: Design, moments: Moments) -> Iterator[Array]:
    """Blocks (units, cells) of the influences, whole clusters together."""
    n, n_cells = len(design.values), moments.mean.size
    rows_per_block = max(1, BLOCK_ELEMENTS // n_cells)
    scale = _scale(moments)
    if design.codes is None:
        order, bounds = np.arange(n), np.arange(0, n, rows_per_block)
        first_rows = None
    else:
        order = np.argsort(design.codes, kind="stable")
        first_rows = np.flatnonzero(np.diff(design.codes[order], prepend=-1))
        bounds = first_rows[np.unique(np.searchsorted(first_rows, np.arange(0, n, rows_per_block), side="right") - 1)]
    for start, stop in zip(bounds, np.append(bounds[1:], n), strict=True):
        rows = order[start:stop]
        deviation = design.values[rows][:, None, :] - moments.mean
        deviation *= design.slices[rows][:, :, None] * scale
        block = deviation.reshape(len(rows), n_cells)
        if first_rows is not None:
            inside = first_rows[np.searchsorted(first_rows, start) : np.searchsorted(first_rows, stop)]
            block = np.add.reduceat(block, inside - start, axis=0)
        yield block


def _all_influences(design: Design, moments: Moments) -> npt.NDArray[np.float32]:
    elements = int(moments.units[0]) * moments.mean.size
    if elements > MAX_INFLUENCE_ELEMENTS:
        raise ValueError(
            f"method 'bootstrap' would hold {elements:,} influences, more than {MAX_INFLUENCE_ELEMENTS:,}: use 'auto'"
        )
    return np.concatenate([block.astype(np.float32) for block in _influence_blocks(design, moments)])


def _binned_influences(design: Design, moments: Moments, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """(bins, cells): influences summed over bins of units dealt at random, without ever holding (units, cells)."""
    n_units = int(moments.units[0])
    if n_units <= BINS:
        return _all_influences(design, moments)
    bin_of_unit = (rng.permutation(n_units) % BINS).astype(np.int16)
    bin_of_row = bin_of_unit if design.codes is None else bin_of_unit[design.codes]
    order = np.argsort(bin_of_row, kind="stable")
    bounds = np.searchsorted(bin_of_row[order], np.arange(BINS + 1))
    binned = np.empty((BINS, *moments.mean.shape), dtype=np.float32)
    scale = _scale(moments)
    for b in range(BINS):
        rows = order[bounds[b] : bounds[b + 1]]
        # Sparse on purpose: thousands of small dense products wait for each other's threads on a busy machine.
        members = scipy.sparse.csr_array(design.slices[rows].T, dtype=np.float64)
        sums = members @ design.values[rows] - members.sum(axis=1)[:, None] * moments.mean
        binned[b] = sums * scale
    return binned.reshape(BINS, -1)
