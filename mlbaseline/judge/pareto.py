"""The front of what is worth its price."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def pareto_front(quality: ArrayLike, cost: ArrayLike) -> np.ndarray:
    """Which points (n,) no other point beats: none is at least as good in both and better in one.

    quality: more is better. cost: less is better. NaN in either keeps a point off the front. Returns booleans (n,).
    """
    q, c = np.asarray(quality, dtype=float), np.asarray(cost, dtype=float)
    if q.shape != c.shape or q.ndim != 1:
        raise ValueError(f"quality and cost must be of one shape (n,), got {q.shape} and {c.shape}")
    at_least = (q[None, :] >= q[:, None]) & (c[None, :] <= c[:, None])
    better = (q[None, :] > q[:, None]) | (c[None, :] < c[:, None])
    dominated = (at_least & better).any(axis=1)
    front: np.ndarray = ~(dominated | np.isnan(q) | np.isnan(c))
    return front
