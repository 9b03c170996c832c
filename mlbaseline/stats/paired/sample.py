"""Paired scores ready for a method: their differences, their summary, and what weighs them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mlbaseline.stats import methods
from mlbaseline.stats.confidence import SeedVariance
from mlbaseline.stats.contrast_data import ContrastData, ScoreRanges, contrast_data
from mlbaseline.stats.summaries import Summary, summarise
from mlbaseline.stats.types import Array
from mlbaseline.stats.variance import Clusters, seed_variance
from mlbaseline.stats.weights import ExampleWeights


@dataclass(frozen=True)
class PairedSample:
    """Paired scores ready for a method.

    Attributes:
        candidate: Scores (R_a, n).
        baseline: Scores (R_b, n); zeros (1, n) where there is only one system.
        clusters: Of the examples, None where they are independent.
        data: Their mean difference per example, as contrast data of one column, with the weights of the examples.
        summary: Its summary, arrays of shape ().
    """

    candidate: Array
    baseline: Array
    clusters: Clusters | None
    data: ContrastData
    summary: Summary

    @classmethod
    def of(
        cls, candidate: Array, baseline: Array, clusters: Clusters | None, weights: ExampleWeights | None = None
    ) -> PairedSample:
        """Make the sample of two systems."""
        ranges = ScoreRanges(
            *(np.array([f(side) for side in (candidate, baseline)]) for f in (np.min, np.max, _zero_one))
        )
        means = np.column_stack([candidate.mean(axis=0), baseline.mean(axis=0)])
        data = _contrast_data(means, np.array([[1.0, -1.0]]), clusters, ranges, weights)
        return cls._summarised(candidate, baseline, clusters, data)

    @classmethod
    def single(cls, scores: Array, clusters: Clusters | None, weights: ExampleWeights | None = None) -> PairedSample:
        """Make the sample of one system's own scores (R, n)."""
        ranges = ScoreRanges(*(np.array([f(scores)]) for f in (np.min, np.max, _zero_one)))
        none = np.zeros((1, scores.shape[1]))
        data = _contrast_data(scores.mean(axis=0)[:, None], np.ones((1, 1)), clusters, ranges, weights)
        return cls._summarised(scores, none, clusters, data)

    @classmethod
    def _summarised(
        cls, candidate: Array, baseline: Array, clusters: Clusters | None, data: ContrastData
    ) -> PairedSample:
        if max(len(candidate), len(baseline)) > 1:  # means over seeds are not 0 or 1
            none = np.zeros(1, dtype=bool)
            data = replace(data, pair=none, proportion=none)
        return cls(candidate, baseline, clusters, data, summarise(data).at((0, 0)))

    @property
    def differences(self) -> Array:
        """Mean difference of each example, (n,), with ties made exact."""
        values = self.data.values[:, 0] + self.data.shift[0]
        tied = np.abs(values - self.summary.usual) <= 1e-9 * self.data.scale[0]
        return np.where(tied, self.summary.usual, values)

    @property
    def is_constant(self) -> bool:
        """Whether all examples have the same difference."""
        return bool(methods.is_constant(self.summary))

    def seeds(self) -> SeedVariance | None:
        """Compute the part of the variance that comes from training seeds; None where no side has two."""
        return seed_variance((self.candidate, self.baseline), self.clusters, self.weights)

    @property
    def weights(self) -> Array | None:
        """Of the examples (n,), with mean 1; None where all count the same."""
        return None if self.data.weights is None else self.data.weights.values

    @property
    def effective_n(self) -> float:
        """Examples of equal weight that would be as precise."""
        return float(self.summary.n) if self.data.weights is None else self.data.weights.effective_n


def _contrast_data(
    means: Array, contrasts: Array, clusters: Clusters | None, ranges: ScoreRanges, weights: ExampleWeights | None
) -> ContrastData:
    codes = None if clusters is None else clusters.codes
    return contrast_data(means, contrasts, codes=codes, ranges=ranges, weights=weights)


def _zero_one(scores: Array) -> np.bool_:
    return np.bool_(((scores == 0.0) | (scores == 1.0)).all())
