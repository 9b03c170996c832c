"""The resampled means of many columns on one set of weights, by the cheapest engine that gives the same distribution.

A resample is a vector of weights over the *units* (examples, or whole clusters of them). Every column is averaged with
the same weights, so that differences between columns stay paired. Four engines draw from that distribution:

=========== ============================================================= ==========================================
engine      what it does                                                  taken when
=========== ============================================================= ==========================================
collapse    counts how often each distinct row is drawn                   few distinct rows (0/1 scores, counts)
gemm        weights times values, one matrix product                      up to 10⁹ weights (10⁵ units)
normal      draws from the normal limit with the columns' covariance      more units than that, few columns
multiplier  Gaussian weights on the sums of randomly filled bins of rows  more units than that, many columns
=========== ============================================================= ==========================================

The first two are the bootstrap itself (Efron 1979); from a thousand units on its multinomial counts are drawn as
independent Poisson counts divided by their sum, which is the same distribution with a random number of draws (variance
larger by a factor of 1 + 1/n). The last two are its limit for large n, with the bootstrap's own variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy

from mlbaseline.stats.inputs import generator
from mlbaseline.stats.types import Array

Engine = Literal["collapse", "gemm", "normal", "multiplier"]

POISSON_FROM_UNITS = 1_000
MULTINOMIAL_UP_TO_PATTERNS = 64
UNITS_PER_PATTERN = 16  # a Poisson count of a pattern costs as much as about 16 weights of single rows
MAX_WEIGHTS = 1_000_000_000
BINS = 1_024
CHUNK_BYTES = 1 << 26

# Poisson(1) by looking 16 random bits up: the frequencies of 0, 1, … 8 out of 65,536, chosen so that mean and variance
# are exactly 1.
_POISSON_TABLE = np.repeat(np.arange(9, dtype=np.float32), [24109, 24109, 12056, 4018, 1005, 200, 33, 5, 1])


@dataclass(frozen=True)
class Units:
    """What is drawn as a whole: per unit the sum of its values (N, k) and its number of examples (N,)."""

    sums: Array
    sizes: Array

    @property
    def means(self) -> Array:
        """(k,) means over all examples."""
        means: Array = self.sums.sum(axis=0) / self.sizes.sum()
        return means


def bootstrap_distribution(
    values: npt.ArrayLike,
    *,
    n_resamples: int,
    clusters: npt.ArrayLike | None = None,
    rng: np.random.Generator | None = None,
    engine: Engine | Literal["auto"] = "auto",
) -> Array:
    """Resample the means of columns, all of them on the same resamples.

    Args:
        values: Shape (n, k), finite.
        n_resamples: Number of resamples, at least 1.
        clusters: Labels (n,); whole clusters are resampled, and a mean is the resampled sum over the resampled number
            of examples.
        rng: Source of random numbers; by default the same at every call.
        engine: How the draws are made (see the module); by default the cheapest for the shape.

    Returns:
        Resampled means, shape (n_resamples, k).

    Raises:
        ValueError: If the array is empty or not finite, the labels do not match it, or ``collapse`` is named and rows
            hardly repeat.

    Example:
        >>> bootstrap_distribution([[0.0], [1.0], [1.0]], n_resamples=500).shape
        (500, 1)
    """
    rng = generator(rng)
    units = gather_units(checked_values(values), clusters)
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, got {n_resamples}")
    n_units, n_columns = units.sums.shape
    patterns = None
    if engine in ("auto", "collapse"):
        patterns = collapse_rows(np.column_stack([units.sums, units.sizes]), limit=_pattern_limit(n_units, engine))
        if patterns is None and engine == "collapse":
            raise ValueError(f"engine 'collapse' needs equal rows, got {n_units} rows that hardly repeat; use 'gemm'")
    if engine == "auto":
        engine = "collapse" if patterns is not None else choose_engine(n_units, n_columns, n_resamples)
    if patterns is not None:
        return _draw_collapsed(*patterns, n_resamples, rng)
    if engine == "gemm":
        return _draw_weighted(units, n_resamples, rng)
    residuals = (units.sums - np.outer(units.sizes, units.means)) / units.sizes.sum()
    if engine == "normal":
        return units.means + draw_normal(residuals.T @ residuals, n_resamples, rng)
    binned = _bin_rows(residuals, rng)
    # The bins only stand in for how columns move together: each column keeps its exact variance.
    exact, seen = np.square(residuals).sum(axis=0), np.square(binned).sum(axis=0)
    binned *= np.sqrt(np.divide(exact, seen, out=np.ones_like(seen), where=seen > 0))
    return units.means + draw_multiplier(binned, n_resamples, rng)


def choose_engine(n_units: int, n_columns: int, n_resamples: int) -> Engine:
    """Choose the engine for rows that do not repeat.

    Past MAX_WEIGHTS the cheaper of ``normal`` (units × columns²) and ``multiplier`` (bins × columns × resamples).
    """
    if n_units * n_resamples <= MAX_WEIGHTS:
        return "gemm"
    return "normal" if n_columns * n_units <= BINS * n_resamples else "multiplier"


def checked_values(values: npt.ArrayLike) -> Array:
    """``values`` as numbers (n, k) without NaN or infinity, else ValueError."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] == 0 or array.shape[1] == 0:
        raise ValueError(f"values must be (n, k) with at least one row and one column, got shape {array.shape}")
    if not np.isfinite(array.sum(axis=0)).all():
        bad = np.flatnonzero(~np.isfinite(array).all(axis=0))
        raise ValueError(f"values must be finite, got NaN or infinity in column(s) {bad.tolist()}")
    return array


def cluster_codes(clusters: npt.ArrayLike | None, n: int) -> npt.NDArray[np.intp] | None:
    """Give the labels codes 0 … C−1 (n,), or None where there are none. ValueError if they are not n labels."""
    if clusters is None:
        return None
    labels = np.asarray(clusters)
    if labels.shape != (n,):
        raise ValueError(f"clusters must be one label an example, shape ({n},), got shape {labels.shape}")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ValueError("clusters must not hold NaN: give every example without a cluster a label of its own")
    codes: npt.NDArray[np.intp] = np.unique(labels, return_inverse=True)[1].reshape(n)
    return codes


def gather_units(values: Array, clusters: npt.ArrayLike | None) -> Units:
    """Sum rows and count them per unit: without clusters each row is a unit."""
    n = len(values)
    codes = cluster_codes(clusters, n)
    if codes is None:
        return Units(values, np.ones(n))
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return Units(np.add.reduceat(values[order], starts, axis=0), np.diff(starts, append=n).astype(np.float64))


def collapse_rows(rows: Array, limit: int) -> tuple[Array, npt.NDArray[np.intp]] | None:
    """Find the distinct rows (P, k) and how often each comes (P,), or None if there are more than ``limit``."""
    n, k = rows.shape
    sample = rows[:: max(1, n // 512)]
    if len(np.unique(sample, axis=0)) > min(limit, max(2, len(sample) // 2)):
        return None
    code, radix = np.zeros(n, dtype=np.int64), 1
    for j in range(k):
        levels, inverse = _factorise(rows[:, j], np.unique(sample[:, j]))
        code, radix = code * len(levels) + inverse, radix * len(levels)
        if radix > 4 * n or j == k - 1:
            distinct, code = np.unique(code, return_inverse=True) if radix > 4 * n else _present(code, radix)
            radix = len(distinct)
            if radix > limit:
                return None
    first = np.empty(radix, dtype=np.intp)
    first[code[::-1]] = np.arange(n - 1, -1, -1)
    return rows[first], np.bincount(code, minlength=radix)


def draw_weights(n_units: int, n_resamples: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """(n_resamples, n_units) counts: multinomial for few units, independent Poisson(1) from POISSON_FROM_UNITS on."""
    size = n_resamples * n_units
    if n_units >= POISSON_FROM_UNITS:
        bits = rng.integers(0, 1 << 64, size=-(-size // 4), dtype=np.uint64).view(np.uint16)[:size]
        return np.take(_POISSON_TABLE, bits).reshape(n_resamples, n_units)
    picks = rng.integers(0, n_units, size=(n_resamples, n_units))
    picks += np.arange(n_resamples)[:, None] * n_units
    return np.bincount(picks.ravel(), minlength=size).astype(np.float32).reshape(n_resamples, n_units)


def draw_normal(covariance: Array, n_resamples: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """(n_resamples, k) normal vectors of mean 0. Columns of variance 0 stay exactly 0."""
    scale = np.sqrt(np.diag(covariance))
    safe = np.where(scale > 0, scale, 1.0)
    correlation = covariance / np.outer(safe, safe)
    # The ridge keeps repeated columns factorisable; it changes a variance by one part in 10⁶.
    correlation[np.diag_indices_from(correlation)] = 1.0 + 1e-6
    factor = scipy.linalg.cholesky(correlation, lower=True).astype(np.float32)
    noise = rng.standard_normal((n_resamples, len(scale)), dtype=np.float32)
    draws: npt.NDArray[np.float32] = noise @ factor.T
    draws *= scale.astype(np.float32)
    return draws


def draw_multiplier(
    rows: Array | npt.NDArray[np.float32], n_resamples: int, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """(n_resamples, k) sums of ``rows`` (N, k) with independent standard normal multipliers."""
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    draws = np.empty((n_resamples, rows.shape[1]), dtype=np.float32)
    for chunk in _chunks(n_resamples, len(rows)):
        noise = rng.standard_normal((chunk.stop - chunk.start, len(rows)), dtype=np.float32)
        np.matmul(noise, rows, out=draws[chunk])
    return draws


def _pattern_limit(n_units: int, engine: str) -> int:
    if engine == "collapse":
        return n_units
    return max(MULTINOMIAL_UP_TO_PATTERNS, n_units // UNITS_PER_PATTERN)


def _factorise(column: Array, guess: Array) -> tuple[Array, npt.NDArray[np.intp]]:
    """Levels and codes of a column; ``guess`` (sorted levels of a sample) usually spares the sort."""
    inverse = np.minimum(np.searchsorted(guess, column), len(guess) - 1)
    if np.array_equal(guess[inverse], column):
        return guess, inverse
    levels, inverse = np.unique(column, return_inverse=True)
    return levels, inverse


def _present(code: npt.NDArray[np.int64], radix: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """np.unique(code, return_inverse=True) for small codes, without a sort."""
    present = np.flatnonzero(np.bincount(code, minlength=radix))
    rank = np.zeros(radix, dtype=np.intp)
    rank[present] = np.arange(len(present))
    return present, rank[code]


def _chunks(n_resamples: int, n_units: int) -> list[slice]:
    size = max(1, CHUNK_BYTES // (4 * n_units))
    return [slice(start, min(start + size, n_resamples)) for start in range(0, n_resamples, size)]


def _draw_collapsed(patterns: Array, counts: npt.NDArray[np.intp], n_resamples: int, rng: np.random.Generator) -> Array:
    """``patterns`` (P, k + 1) with the unit's size last."""
    n_units = int(counts.sum())
    draws = np.empty((n_resamples, patterns.shape[1]))
    for chunk in _chunks(n_resamples, 2 * len(counts)):
        size = chunk.stop - chunk.start
        if len(counts) <= MULTINOMIAL_UP_TO_PATTERNS or n_units < POISSON_FROM_UNITS:
            drawn = rng.multinomial(n_units, counts / n_units, size=size)
        else:
            drawn = rng.poisson(counts, size=(size, len(counts)))
        np.matmul(drawn.astype(np.float64), patterns, out=draws[chunk])
    return draws[:, :-1] / draws[:, -1:]


def _draw_weighted(units: Units, n_resamples: int, rng: np.random.Generator) -> Array:
    """Single precision is exact for counts; other values are centred first, so that it rounds the deviation only."""
    n_units, k = units.sums.shape
    small = (np.abs(units.sums).sum(axis=0) < 1 << 22).all()
    integers = bool(small and np.array_equal(units.sums, np.rint(units.sums)))
    centre = np.zeros(k) if integers else units.means
    rows = np.empty((n_units, k + 1), dtype=np.float32)
    rows[:, :k] = units.sums - units.sizes[:, None] * centre
    rows[:, k] = units.sizes
    draws = np.empty((n_resamples, k + 1), dtype=np.float32)
    for chunk in _chunks(n_resamples, n_units):
        np.matmul(draw_weights(n_units, chunk.stop - chunk.start, rng), rows, out=draws[chunk])
    return centre + draws[:, :k].astype(np.float64) / draws[:, k:]


def _bin_rows(rows: Array, rng: np.random.Generator) -> Array:
    """(≤ BINS, k) sums of rows dealt out at random: in file order a trend would pass for variance between bins."""
    if len(rows) <= BINS:
        return rows
    bounds = np.linspace(0, len(rows), BINS, endpoint=False).astype(np.intp)
    return np.add.reduceat(rows[rng.permutation(len(rows))], bounds, axis=0)
