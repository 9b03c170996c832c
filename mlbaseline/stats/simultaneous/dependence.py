"""Draws of the standardised statistics of all contrasts at once: how they move together.

The *influence* of a unit (an example, or a cluster) on a contrast is what the unit adds to its mean on a slice:
Σ w_i (d_i − d̄_s) over the unit's examples in slice s, divided by n_s, d̄_s the weighted mean (or that of the
example's stratum). The sum of influences with random weights of mean 0
and variance 1 has the joint distribution of all estimates around the truth (multiplier bootstrap: Chernozhukov,
Chetverikov and Kato 2013).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy

from mlbaseline.stats.bootstrap import BINS, bootstrap_distribution, draw_multiplier, draw_normal
from mlbaseline.stats.contrast_data import ContrastData, Mask
from mlbaseline.stats.summaries import Summary
from mlbaseline.stats.types import Array

Method = Literal["bootstrap", "normal", "multiplier"]
Draws = npt.NDArray[np.float32]

BLOCK_ELEMENTS = 1 << 22
MAX_INFLUENCE_ELEMENTS = 200_000_000
# What else costs time, in multiply-adds of a single-precision matrix product: a standard normal number, and an element
# of the influences.
NORMAL_COST = 400
INFLUENCE_COST = 100


def choose_draws(n_units: int, n_contrasts: int, n_resamples: int) -> Method:
    """Choose the cheaper: units × contrasts² for the covariance, or bins × contrasts × resamples for multipliers."""
    normal = (2 * n_units + n_resamples) * n_contrasts**2
    normal += (INFLUENCE_COST * n_units + NORMAL_COST * n_resamples) * n_contrasts
    multiplier = min(n_units, BINS) * n_resamples * (n_contrasts + NORMAL_COST) + n_units * n_contrasts
    return "normal" if normal <= multiplier else "multiplier"


def draw_statistics(
    data: ContrastData, summary: Summary, method: Method, n_resamples: int, rng: np.random.Generator
) -> Draws:
    """(n_resamples, s + 1, c) draws, each contrast with mean 0 and variance 1, all on one set of weights.

    A contrast without variation has no influence to draw from: it gets draws of its own, independent of the others,
    which is the least favourable to its neighbours.
    """
    if method == "bootstrap":
        resampled = bootstrap_distribution(_all_influences(data, summary), n_resamples=n_resamples, rng=rng)
        spread = resampled.std(axis=0)
        draws = (resampled / np.where(spread > 0, spread, 1.0)).astype(np.float32)
    elif method == "normal":
        n_contrasts = summary.mean.size
        covariance = np.zeros((n_contrasts, n_contrasts))
        for block in _influence_blocks(data, summary):
            covariance += block.T @ block
        scale = np.sqrt(np.diag(covariance))
        scale[scale == 0] = 1.0
        draws = draw_normal(covariance / np.outer(scale, scale), n_resamples, rng)
    elif method == "multiplier":
        draws = draw_multiplier(_standardised(_binned_influences(data, summary, rng)), n_resamples, rng)
    else:
        raise ValueError(f"method must be auto, bootstrap, normal or multiplier, got {method!r}")
    draws = draws.reshape(n_resamples, *summary.mean.shape)
    still = summary.variance == 0
    draws[:, still] = rng.standard_normal((n_resamples, int(still.sum())), dtype=np.float32)
    return draws


def _standardised(influences: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    scale = np.sqrt(np.square(influences).sum(axis=0, dtype=np.float64)).astype(np.float32)
    scale[scale == 0] = 1.0
    influences /= scale
    return influences


def _scale(summary: Summary) -> Array:
    """1/(n_s · SE) per contrast: influences times this sum to a variance near 1; 0 for a contrast without variation."""
    with np.errstate(divide="ignore"):
        inverse = 1.0 / (summary.n * np.sqrt(summary.variance))
    return np.where(summary.variance > 0, inverse, 0.0)


def _members(data: ContrastData, rows: npt.NDArray[np.intp]) -> Array | Mask:
    """(rows, slices) how much each row counts on each slice."""
    return data.slices[rows] if data.weights is None else data.slices[rows] * data.weights.values[rows, None]


def _influence_blocks(data: ContrastData, summary: Summary) -> Iterator[Array]:
    """Blocks (units, contrasts) of the influences, whole clusters together."""
    n, n_contrasts = len(data.values), summary.mean.size
    rows_per_block = max(1, BLOCK_ELEMENTS // n_contrasts)
    scale, centre = _scale(summary), summary.mean - data.shift
    if data.codes is None:
        order, bounds = np.arange(n), np.arange(0, n, rows_per_block)
        first_rows = None
    else:
        order = np.argsort(data.codes, kind="stable")
        first_rows = np.flatnonzero(np.diff(data.codes[order], prepend=-1))
        bounds = first_rows[np.unique(np.searchsorted(first_rows, np.arange(0, n, rows_per_block), side="right") - 1)]
    for start, stop in zip(bounds, np.append(bounds[1:], n), strict=True):
        rows = order[start:stop]
        deviation = data.values[rows][:, None, :] - centre
        if data.strata_means is not None:
            deviation[:, 0] = data.values[rows] - data.strata_means[rows]
        deviation *= _members(data, rows)[:, :, None] * scale
        block = deviation.reshape(len(rows), n_contrasts)
        if first_rows is not None:
            inside = first_rows[np.searchsorted(first_rows, start) : np.searchsorted(first_rows, stop)]
            block = np.add.reduceat(block, inside - start, axis=0)
        yield block


def _all_influences(data: ContrastData, summary: Summary) -> npt.NDArray[np.float32]:
    elements = int(summary.units[0, 0]) * summary.mean.size
    if elements > MAX_INFLUENCE_ELEMENTS:
        raise ValueError(
            f"method 'bootstrap' would hold {elements:,} influences, more than {MAX_INFLUENCE_ELEMENTS:,}: use 'auto'"
        )
    return np.concatenate([block.astype(np.float32) for block in _influence_blocks(data, summary)])


def _binned_influences(data: ContrastData, summary: Summary, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """(bins, contrasts) influences summed over bins of units dealt at random, never holding (units, contrasts)."""
    n_units = int(summary.units[0, 0])
    if n_units <= BINS:
        return _all_influences(data, summary)
    bin_of_unit = (rng.permutation(n_units) % BINS).astype(np.int16)
    bin_of_row = bin_of_unit if data.codes is None else bin_of_unit[data.codes]
    order = np.argsort(bin_of_row, kind="stable")
    bounds = np.searchsorted(bin_of_row[order], np.arange(BINS + 1))
    binned = np.empty((BINS, *summary.mean.shape), dtype=np.float32)
    scale, centre = _scale(summary), summary.mean - data.shift
    for b in range(BINS):
        rows = order[bounds[b] : bounds[b + 1]]
        # Sparse on purpose: thousands of small dense products wait for each other's threads on a busy machine.
        members = scipy.sparse.csr_array(_members(data, rows).T, dtype=np.float64)
        sums = members @ data.values[rows] - members.sum(axis=1)[:, None] * centre
        if data.strata_means is not None:
            sums[0] = _members(data, rows)[:, 0] @ (data.values[rows] - data.strata_means[rows])
        binned[b] = sums * scale
    return binned.reshape(BINS, -1)
