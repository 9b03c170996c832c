"""The mean of what was measured in batches: the time of a batch is one measurement, whatever rows share it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from mlbaseline.stats.paired.methods import choose_method
from mlbaseline.stats.paired.sample import PairedSample
from mlbaseline.stats.types import Array
from mlbaseline.stats.variance import Clusters


@dataclass(frozen=True)
class BatchedMean:
    """A mean over rows, batches and runs with its interval; None where one batch of one run shows no noise."""

    value: float
    low: float | None
    high: float | None
    n_batches: int


def batched_mean(
    values: Array,
    sizes: Array,
    batches: npt.NDArray[np.int64],
    *,
    clusters: npt.NDArray[np.object_] | None = None,
    level: float = 0.95,
) -> BatchedMean:
    """Estimate a mean of shares of the time of batches.

    A row's value is its share of what its batch took. Three things move the mean: which rows were drawn (some are
    longer than others), how fast each batch happened to be, and how fast each run. The first is the variance over rows
    (clusters) of values that are freed of their batch's speed; the second the variance over batches of what they took
    beyond the usual time for their size; the third, with several runs, the variance of the runs' means, where it is
    larger than the second. They add up, with Satterthwaite's degrees of freedom. Counting rows as independent covers
    0.40 at a batch noise of 0.2; counting batches as clusters takes their different sizes for noise.

    Args:
        values: Shape (runs, n).
        sizes: What the time of a batch is shared by, such as tokens, (runs, n), positive.
        batches: The batch of each row, (runs, n).
        clusters: Labels (n,) of rows that belong together.
        level: Level of the interval, in (0, 1).

    Returns:
        The mean with its interval.

    Raises:
        ValueError: If shapes do not match.

    Example:
        >>> seconds, tokens = np.array([[1.0, 2.0, 1.2, 2.4, 0.9, 1.8]]), np.array([[10.0, 20, 10, 20, 10, 20]])
        >>> found = batched_mean(seconds, tokens, np.array([[0, 0, 1, 1, 2, 2]]))
        >>> found.low < found.value < found.high
        True
    """
    if not values.shape == sizes.shape == batches.shape or values.ndim != 2:
        raise ValueError(f"expected three arrays (runs, n), got {values.shape}, {sizes.shape} and {batches.shape}")
    runs, n = values.shape
    mean = float(values.mean())
    freed = np.empty_like(values)
    of_batches, n_batches = 0.0, 0
    for run in range(runs):
        codes = np.unique(batches[run], return_inverse=True)[1].ravel()
        took, size = np.bincount(codes, values[run]), np.bincount(codes, sizes[run])
        rate = values[run].sum() / sizes[run].sum()
        beyond, count = took - rate * size, len(took)
        usual = np.divide(rate * size, took, out=np.ones(count), where=took > 0)
        freed[run] = values[run] * usual[codes]
        of_batches += float(np.square(beyond).sum()) * count / max(count - 1, 1) / n**2 / runs**2
        n_batches += count
    df_batches = float(n_batches - runs)
    if runs > 1:
        of_runs = float(values.mean(axis=1).var(ddof=1)) / runs
        if of_runs > of_batches:
            of_batches, df_batches = of_runs, runs - 1.0
    if df_batches < 1.0:
        return BatchedMean(mean, None, None, n_batches)
    largest = float(freed.max())
    if largest <= 0.0:
        return BatchedMean(mean, mean, mean, n_batches)
    groups = None if clusters is None else Clusters.of(clusters)
    chosen = choose_method(PairedSample.single(freed.mean(axis=0, keepdims=True) / largest, groups), "t", None)
    of_rows = (chosen.standard_error * largest) ** 2
    df_rows = n - 1.0 if chosen.df is None else chosen.df
    total = of_rows + of_batches
    df = total**2 / (of_rows**2 / df_rows + of_batches**2 / df_batches)
    reach = float(-scipy.special.stdtrit(df, (1.0 - level) / 2.0)) * math.sqrt(total)
    return BatchedMean(mean, max(mean - reach, 0.0), mean + reach, n_batches)
