"""The mean of one system's scores, inferred by the methods of the paired comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mlbaseline.stats.confidence import infer
from mlbaseline.stats.inputs import as_clusters, as_scores, check_hypothesis
from mlbaseline.stats.paired.methods import caution_about, choose_method
from mlbaseline.stats.paired.sample import PairedSample
from mlbaseline.stats.weights import ExampleWeights, as_weights


@dataclass(frozen=True)
class MeanEstimate:
    """The mean of one system's scores with its two-sided interval.

    Attributes:
        value: Mean over seeds and examples, weighted where they have weights.
        low: Lower limit.
        high: Upper limit.
        level: Level of the interval.
        n: Examples.
        n_clusters: Clusters, n without them.
        n_seeds: Runs; several are crossed with the examples.
        method: Name of the method (see `mlbaseline.stats.methods`).
        reason: A sentence on why it was chosen.
        caution: Why no interval of such data is reliable; empty where it is.
        effective_n: Examples of equal weight that would be as precise; n without weights.
    """

    value: float
    low: float
    high: float
    level: float
    n: int
    n_clusters: int
    n_seeds: int
    method: str
    reason: str
    caution: str = ""
    effective_n: float = math.nan


def estimate_mean(
    scores: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    weights: ArrayLike | ExampleWeights | None = None,
    level: float = 0.95,
    rng: np.random.Generator | None = None,
) -> MeanEstimate:
    """Estimate the mean of one system's scores.

    Args:
        scores: Scores (n,) of a checkpoint, or (seeds, n) of a recipe.
        clusters: Labels (n,) of examples that belong together.
        weights: How much each example counts (n,), or `post_stratification`; by default all the same.
        level: Level of the interval, in (0, 1).
        rng: Source of resamples; by default the same at every call.

    Returns:
        The mean with its interval: for 0/1 scores of independent examples the wider of Wilson's and the mid-p one, else
        what suits the scores.

    Raises:
        ValueError: If scores are not finite, or there are fewer than two examples or clusters.

    Example:
        >>> result = estimate_mean([1, 1, 0, 1, 1, 1, 1, 1, 1, 1])
        >>> result.method, round(result.low, 3), round(result.high, 3)
        ('wilson', 0.596, 0.995)
    """
    check_hypothesis(level, "two-sided", 0.0)
    rows = as_scores(scores, "scores")
    groups = as_clusters(clusters, rows.shape[1])
    sample = PairedSample.single(rows, groups, as_weights(weights, rows.shape[1]))
    chosen = choose_method(sample, "auto", rng)
    answer = infer(chosen.confidence, level=level)
    return MeanEstimate(
        value=float(sample.summary.mean),
        low=float(answer.low),
        high=float(answer.high),
        level=level,
        n=rows.shape[1],
        n_clusters=rows.shape[1] if groups is None else len(groups.sizes),
        n_seeds=len(rows),
        method=chosen.name,
        reason=chosen.reason,
        caution=caution_about(sample),
        effective_n=sample.effective_n,
    )
