"""A quantile of what came before, as a threshold for what comes after."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mlbaseline.stats.types import Array

_FIRST = 100
"""Values behind the first threshold. It is renewed when their number has doubled."""


def running_quantile(values: ArrayLike, counts: ArrayLike, p: float) -> Array:
    """Compute a quantile of the earlier values, at each position of a stream.

    The threshold at a position depends on earlier positions alone (it is predictable). Of two arms that share a stream,
    the chance to exceed it can then be compared as failures are, whatever the values' distribution and however it
    changes over time.

    Args:
        values: Values in the order of the stream, shape (n,).
        counts: Which of them belong to the side whose quantile it is, shape (n,).
        p: Probability of the quantile, in (0, 1).

    Returns:
        Thresholds, shape (n,): NaN for as long as there are fewer than 100 values, then the quantile of the first 100,
        200, 400, … values, each from the next position on.

    Example:
        >>> thresholds = running_quantile(np.arange(300.0), np.full(300, True), 0.5)
        >>> thresholds[[99, 100, 199, 200]].tolist()
        [nan, 49.5, 49.5, 99.5]
    """
    numbers, ours = np.asarray(values, dtype=float), np.asarray(counts, dtype=bool)
    thresholds = np.full(len(numbers), np.nan)
    positions = np.flatnonzero(ours)
    size = _FIRST
    while size <= len(positions):
        thresholds[positions[size - 1] + 1 :] = np.quantile(numbers[positions[:size]], p)
        size *= 2
    return thresholds
