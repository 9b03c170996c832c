"""The inference of every contrast on every slice alone: its interval and p-value at any error rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlbaseline.stats.confidence import ConfidenceDistribution
from mlbaseline.stats.contrast_data import ContrastData, Mask
from mlbaseline.stats.methods import choose_methods, confidences
from mlbaseline.stats.summaries import Summary
from mlbaseline.stats.types import Alternative, Array


@dataclass(frozen=True)
class ContrastInference:
    """Confidence distributions of contrasts (c) on slices (s), by the methods that suit them.

    Attributes:
        estimate: Shape (s, c).
        methods: Names of the methods (see `mlbaseline.stats.methods`), shape (s, c).
        distributions: Which contrasts, as masks (s, c), and their confidence distributions.
    """

    estimate: Array
    methods: npt.NDArray[np.str_]
    distributions: tuple[tuple[Mask, ConfidenceDistribution], ...]

    def interval(self, alpha: float) -> tuple[Array, Array]:
        """Two-sided limits at error rate ``alpha``, each (s, c)."""
        low, high = np.empty_like(self.estimate), np.empty_like(self.estimate)
        for chosen, distribution in self.distributions:
            low[chosen] = distribution.lower(alpha / 2)
            high[chosen] = -distribution.mirrored().lower(alpha / 2)
        return low, high

    def p_values(self, margin: npt.ArrayLike, alternative: Alternative) -> Array:
        """(s, c) p-values of "the contrast equals ``margin``" (or does not exceed it, or is not below it)."""
        margin = np.broadcast_to(np.asarray(margin, dtype=np.float64), self.estimate.shape)
        above, below = np.empty_like(self.estimate), np.empty_like(self.estimate)
        for chosen, distribution in self.distributions:
            above[chosen] = distribution.p_greater(margin[chosen])
            below[chosen] = distribution.mirrored().p_greater(-margin[chosen])
        if alternative == "greater":
            return above
        return below if alternative == "less" else np.minimum(1.0, 2.0 * np.minimum(above, below))


def infer_contrasts(
    data: ContrastData, summary: Summary, n_resamples: int, rng: np.random.Generator
) -> ContrastInference:
    """Choose every contrast's method and form its confidence distribution.

    Args:
        data: The contrasts.
        summary: Their summaries, shape (slices, contrasts).
        n_resamples: Resamples where the studentised bootstrap is chosen.
        rng: Their source.

    Returns:
        The inference of every contrast.
    """
    chosen = tuple(confidences(data, summary, n_resamples, rng))
    return ContrastInference(np.asarray(summary.mean), choose_methods(summary), chosen)
