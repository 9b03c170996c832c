"""Contrasts of scores on slices of examples, and what bounds them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mlbaseline.stats.types import Array
from mlbaseline.stats.weights import ExampleWeights

Mask = npt.NDArray[np.bool_]

ROWS_PER_CHUNK = 2_048


@dataclass(frozen=True)
class ContrastData:
    """Values of c contrasts on n examples, and the slices to summarise them on.

    Attributes:
        values: Shape (n, c), around ``shift``.
        shift: Shape (c,), the mean of every contrast.
        slices: Which examples belong to a slice, shape (n, s), the first slice holding all.
        codes: Clusters numbered from 0, shape (n,); None where examples are independent.
        scale: Shape (c,), the width of the scale that a contrast lives on: 1 for a pair of scores within [0, 1], for
            others from the observed range of the scores. Never zero.
        lowest: Shape (c,), the least value that an example can have; NaN where the scores do not tell.
        highest: Shape (c,), the greatest.
        pair: Shape (c,), whether it is the plain difference of two scores that are all 0 or 1.
        proportion: Shape (c,), whether it is a single score that is always 0 or 1.
        weights: Of the examples, None where all count the same.
    """

    values: Array
    shift: Array
    slices: Mask
    codes: npt.NDArray[np.intp] | None
    scale: Array
    lowest: Array
    highest: Array
    pair: Mask
    proportion: Mask
    weights: ExampleWeights | None = None

    @property
    def has_exact_counts(self) -> bool:
        """Whether methods that count examples apply: those are independent, and all count the same."""
        return self.codes is None and self.weights is None

    @cached_property
    def strata_means(self) -> Array | None:
        """(n, c) mean of each example's stratum, as ``values`` are; None where no strata have known shares."""
        strata = None if self.weights is None else self.weights.strata
        if strata is None:
            return None
        sums = np.zeros((int(strata.max()) + 1, self.values.shape[1]))
        np.add.at(sums, strata, self.values)
        means: Array = (sums / np.bincount(strata)[:, None])[strata]
        return means


@dataclass(frozen=True)
class ScoreRanges:
    """Least and greatest value of each column of scores, and whether it holds only 0 and 1; each of shape (k,)."""

    low: Array
    high: Array
    zero_one: Mask

    @classmethod
    def of(cls, scores: Array) -> ScoreRanges:
        """Read the scores (n, k) once. Raises ValueError where they are not finite."""
        k = scores.shape[1]
        low, high, zero_one = np.full(k, np.inf), np.full(k, -np.inf), np.ones(k, dtype=bool)
        for start in range(0, len(scores), ROWS_PER_CHUNK):
            rows = scores[start : start + ROWS_PER_CHUNK]
            low, high = np.minimum(low, rows.min(axis=0)), np.maximum(high, rows.max(axis=0))
            if zero_one.any():
                zero_one &= ((rows == 0) | (rows == 1)).all(axis=0)
        bad = np.flatnonzero(~(np.isfinite(low) & np.isfinite(high)))
        if len(bad):
            raise ValueError(f"scores must be finite, got NaN or infinity in column(s) {bad.tolist()}")
        return cls(low, high, zero_one)


def contrast_data(
    scores: Array,
    contrasts: Array,
    *,
    slices: Mask | None = None,
    codes: npt.NDArray[np.intp] | None = None,
    ranges: ScoreRanges | None = None,
    weights: ExampleWeights | None = None,
) -> ContrastData:
    """Form contrasts of scores.

    Args:
        scores: Shape (n, k).
        contrasts: Weights of the columns, shape (c, k).
        slices: Shape (n, s), beside all examples.
        codes: Clusters numbered from 0, shape (n,).
        ranges: Of the scores, where they are averages of others; by default those of ``scores``.
        weights: Of the examples.

    Returns:
        The contrasts with what bounds them.

    Raises:
        ValueError: If a score is not finite.
    """
    ranges = ScoreRanges.of(scores) if ranges is None else ranges
    used = contrasts != 0
    least = np.where(used, ranges.low, np.inf).min(axis=1)
    most = np.where(used, ranges.high, -np.inf).max(axis=1)
    within = (least >= 0) & (most <= 1)
    width = np.where(within, 1.0, np.where(most > least, most - least, np.maximum(np.abs(most), 1e-300)))
    balanced = np.abs(contrasts.sum(axis=1)) <= 1e-12 * np.abs(contrasts).sum(axis=1)
    # Weights that sum to 0 add on one side what they take away on the other.
    scale = width * np.abs(contrasts).sum(axis=1) * np.where(balanced, 0.5, 1.0)
    unknown = np.where(balanced, scale, np.nan)
    zero_one = np.where(used, ranges.zero_one, True).all(axis=1)
    units = np.where(used, np.abs(contrasts) == 1, True).all(axis=1)
    values = scores @ contrasts.T
    shift = values.mean(axis=0)
    values -= shift
    everyone = np.ones((len(scores), 1), dtype=bool)
    return ContrastData(
        values=values,
        shift=shift,
        slices=everyone if slices is None else np.hstack([everyone, slices]),
        codes=codes,
        scale=scale,
        lowest=np.where(within, np.minimum(contrasts, 0.0).sum(axis=1), -unknown),
        highest=np.where(within, np.maximum(contrasts, 0.0).sum(axis=1), unknown),
        pair=zero_one & units & balanced & (used.sum(axis=1) == 2),
        proportion=zero_one & (used.sum(axis=1) == 1) & (contrasts.sum(axis=1) == 1),
        weights=weights,
    )
