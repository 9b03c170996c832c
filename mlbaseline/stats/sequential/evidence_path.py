"""The evidence of a whole stream at once: where it first rejects, and its course for a plot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlbaseline.stats.types import Array

Positions = NDArray[np.intp]
_SHOWN = 100
_BLOCK = 4_096


@dataclass(frozen=True)
class EvidencePath:
    """Log e-values along a stream, at some of its positions.

    Attributes:
        positions: Positions in the stream, rising, shape (m,).
        log_e: Natural logarithm of the e-value after each, shape (m,).
        crossed: The first position of the whole stream at which the threshold is reached, None for never. It does not
            depend on what comes later, nor on which positions are kept.
    """

    positions: Positions
    log_e: Array
    crossed: int | None

    @property
    def last(self) -> float:
        """The log e-value at the end of the stream, 0 for an empty one."""
        return float(self.log_e[-1]) if len(self.log_e) else 0.0


def trace_path(bound: Array, exact: Callable[[Positions], Array], threshold: float) -> EvidencePath:
    """Find the first crossing and keep some positions, computing the exact evidence only where it may matter.

    Args:
        bound: An upper bound of the log e-value at each position, shape (n,), cheap to compute.
        exact: Gives the log e-values at some positions.
        threshold: The log e-value that rejects.

    Returns:
        The path at some 100 positions and at the crossing.
    """
    candidates = np.flatnonzero(bound >= threshold)
    crossed: int | None = None
    for start in range(0, len(candidates), _BLOCK):
        block = candidates[start : start + _BLOCK]
        reached = np.flatnonzero(exact(block) >= threshold)
        if len(reached):
            crossed = int(block[reached[0]])
            break
    shown = np.unique(np.linspace(0, len(bound) - 1, _SHOWN).astype(np.intp)) if len(bound) else np.empty(0, np.intp)
    if crossed is not None:
        shown = np.union1d(shown, [crossed])
    return EvidencePath(shown, exact(shown) if len(shown) else np.empty(0), crossed)


def merge_paths(paths: list[tuple[Positions, Array]], length: int) -> Array:
    """Add log e-values that each change at some positions of one stream, and hold in between; shape (length,)."""
    if len(paths) == 1 and len(paths[0][0]) == length:
        return paths[0][1]
    total = np.zeros(length)
    for positions, log_e in paths:
        total[positions] += np.diff(log_e, prepend=0.0)
    return np.asarray(np.cumsum(total))
