"""What every comparison checks before it computes: a wrong shape or a NaN is an error, never a number."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from mlbaseline.stats.types import Alternative, Array
from mlbaseline.stats.variance import Clusters


def as_scores(scores: ArrayLike, name: str) -> Array:
    """Scores as (seeds, n) floats; (n,) becomes one row. Raises ValueError on anything but finite numbers."""
    try:
        array = np.asarray(scores, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected numbers, (n,) or (seeds, n), got {scores!r:.80}: {error}") from error
    if array.ndim not in (1, 2):
        raise ValueError(f"{name}: expected shape (n,) or (seeds, n), got {array.shape}")
    rows = np.atleast_2d(array)
    if rows.shape[0] == 0 or rows.shape[1] == 0:
        raise ValueError(f"{name}: expected at least two examples, got none (shape {array.shape})")
    bad = int(np.count_nonzero(~np.isfinite(rows)))
    if bad:
        where = np.argwhere(~np.isfinite(rows))[0].tolist()
        raise ValueError(
            f"{name}: expected finite scores, got {bad} NaN or infinite (first at [seed, example] {where}); "
            "decide how a failed example counts before comparing"
        )
    if rows.shape[1] < 2:
        raise ValueError(f"{name}: one example has no variance; expected at least two")
    if rows.shape[0] > rows.shape[1]:
        raise ValueError(
            f"{name}: expected (seeds, n) with no more seeds than examples, got {rows.shape[0]} and {rows.shape[1]}; "
            "transpose scores of shape (n, seeds)"
        )
    return rows


def as_clusters(labels: ArrayLike | None, n: int) -> Clusters | None:
    """Clusters of ``n`` examples from one label each; None if no label is shared. Raises ValueError."""
    if labels is None:
        return None
    array = np.asarray(labels)
    if array.shape != (n,):
        raise ValueError(f"clusters: expected one label for each of the {n} examples, got shape {array.shape}")
    if array.dtype == object:
        if any(label is None or (isinstance(label, float) and math.isnan(label)) for label in array.tolist()):
            raise ValueError("clusters: expected a label for every example, got a missing one")
        array = array.astype(str)
    elif array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("clusters: expected a label for every example, got NaN or infinity")
    clusters = Clusters.of(array)
    if len(clusters.sizes) < 2:
        raise ValueError("clusters: one cluster has no variance; expected at least two different labels")
    return clusters if clusters.sizes.max() > 1 else None


def generator(rng: np.random.Generator | None) -> np.random.Generator:
    """Give the source of random numbers: a fixed one unless one is given, so that equal calls give equal results."""
    return np.random.default_rng(0) if rng is None else rng


def check_hypothesis(level: float, alternative: str, margin: float) -> None:
    """Raise ValueError unless level, alternative and margin make sense."""
    if alternative not in get_args(Alternative):
        raise ValueError(f"alternative: expected one of {', '.join(get_args(Alternative))}, got {alternative!r}")
    smallest = 0.0 if alternative == "two-sided" else 0.5
    if not smallest < level < 1.0:
        raise ValueError(f"level: expected a number between {smallest:g} and 1 ({alternative}), got {level!r}")
    if not math.isfinite(margin):
        raise ValueError(f"margin: expected a finite number, got {margin!r}")
