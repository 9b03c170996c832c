"""Weights of examples: how much each counts, by the data or by the mix of groups that a mean is to stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlbaseline.stats.types import Array

_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ExampleWeights:
    """How much each example counts.

    Attributes:
        values: Shape (n,), above 0, with mean 1.
        strata: Groups numbered from 0, shape (n,), whose shares are known; None where the weights are the data's own.
    """

    values: Array
    strata: NDArray[np.intp] | None = None

    @property
    def effective_n(self) -> float:
        """Examples of equal weight that would be as precise, (Σw)²/Σw² (Kish 1965, "Survey sampling", 11.7)."""
        return float(effective_count(self.values))


def effective_count(weights: Array) -> Array:
    """(Σw)²/Σw² over the first axis: how many equal weights would be as precise; 0 where all are 0."""
    squares = np.square(weights).sum(axis=0)
    sums = np.square(weights.sum(axis=0))
    return np.asarray(np.divide(sums, squares, out=np.zeros(np.shape(squares)), where=squares > 0.0))


def post_stratification(groups: ArrayLike, mix: Mapping[str, float]) -> ExampleWeights:
    """Weight examples so that their groups have the shares of a known mix (Holt and Smith 1979, JRSS A 142:33).

    An example of group k, with n_k of the n examples and share W_k in the mix, weighs W_k n/n_k. The mean becomes
    Σ W_k · mean of group k, and its variance is that within the groups, for their shares are known.

    Args:
        groups: Group of each example, shape (n,).
        mix: Group ─▶ its share, above 0, together 1.

    Returns:
        The weights.

    Raises:
        ValueError: If the mix does not name exactly the groups of the examples, or its shares do not add up to 1.

    Example:
        >>> post_stratification(["a", "a", "a", "b"], {"a": 0.5, "b": 0.5}).values.round(3).tolist()
        [0.667, 0.667, 0.667, 2.0]
    """
    labels = np.asarray(groups).astype(str)
    if labels.ndim != 1 or not len(labels):
        raise ValueError(f"groups: expected one for each example, shape (n,), got shape {labels.shape}")
    names, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    absent, unnamed = sorted(set(mix) - set(names.tolist())), sorted(set(names.tolist()) - set(mix))
    if absent or unnamed:
        raise ValueError(
            f"mix: expected a share for each group of the examples, and no other; without an example: {absent}, "
            f"without a share: {unnamed}"
        )
    shares = np.array([mix[name] for name in names.tolist()], dtype=float)
    if not (shares > 0.0).all() or abs(shares.sum() - 1.0) > _SUM_TOLERANCE:
        raise ValueError(f"mix: expected shares above 0 that add up to 1, got {dict(mix)}")
    per_example = shares / shares.sum() * len(labels) / counts
    return ExampleWeights(per_example[codes.reshape(-1)], codes.reshape(-1).astype(np.intp))


def as_weights(weights: ArrayLike | ExampleWeights | None, n: int) -> ExampleWeights | None:
    """Check the weights of ``n`` examples; None where all count the same and no shares are known.

    Raises:
        ValueError: If there is not one finite weight above 0 for each example.
    """
    if weights is None:
        return None
    if isinstance(weights, ExampleWeights):
        values, strata = weights.values, weights.strata
    else:
        values, strata = np.asarray(weights, dtype=float), None
    if values.shape != (n,):
        raise ValueError(f"weights: expected one for each of the {n} examples, got shape {values.shape}")
    if not (np.isfinite(values) & (values > 0.0)).all():
        raise ValueError("weights: expected finite numbers above 0; leave out examples that are not to count")
    if strata is None and np.ptp(values) <= 1e-12 * values.max():
        return None
    return ExampleWeights(values / values.mean(), strata)
