"""Where the uncertainty of a difference comes from: examples, runs and seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mlbaseline.stats.confidence import SeedVariance
from mlbaseline.stats.inputs import as_clusters, as_scores
from mlbaseline.stats.paired.methods import example_error_variance
from mlbaseline.stats.paired.sample import PairedSample
from mlbaseline.stats.planning.detectable import Precision
from mlbaseline.stats.types import Array
from mlbaseline.stats.variance import Clusters, run_variance


@dataclass(frozen=True)
class VarianceComponents:
    """Where the uncertainty of a difference comes from, in squared units of the metric.

    ``examples``: variance over examples of the two systems' true difference, design effect of clusters included
    (clusters of the same size are assumed to go on). ``*_residual``: an example's score varying from run to run.
    ``*_seed``: the whole run's mean varying from seed to seed; zero for a checkpoint. With K runs a side,
    Var(Δ) = (examples + Σ residual/K)/n + Σ seed/K: more examples do nothing about the last part.
    ``examples_per_unit``: how many examples one degree of freedom takes; more than 1 with clusters, more still where
    they are unequal.
    """

    examples: float
    candidate_residual: float = 0.0
    baseline_residual: float = 0.0
    candidate_seed: float = 0.0
    baseline_seed: float = 0.0
    examples_per_unit: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value >= 0.0):
                raise ValueError(f"{name}: expected a variance, finite and zero or more, got {value!r}")

    def precision(self, n: int, seeds_candidate: int = 1, seeds_baseline: int = 1) -> Precision:
        """Compute how well n examples and these numbers of runs determine the difference, at the expected values."""
        sides = [
            (self.candidate_residual, self.candidate_seed, seeds_candidate),
            (self.baseline_residual, self.baseline_seed, seeds_baseline),
        ]
        variance = (self.examples + sum(residual / runs for residual, _, runs in sides)) / n
        df = max(n / self.examples_per_unit - 1.0, 1.0)
        seeded = [(residual / n + seed, residual, runs) for residual, seed, runs in sides if runs > 1]
        if not seeded or not any(between for between, _, _ in seeded):
            return Precision(variance, df)
        observed = sum(between / runs for between, _, runs in seeded)
        curvature = sum((between / runs) ** 2 / (runs - 1.0) for between, _, runs in seeded)
        fewest = min(runs for _, _, runs in seeded) - 1.0
        residual = sum(residual / (runs * n) for _, residual, runs in seeded)
        seeds_df = min(observed**2 / curvature, 2.0 * fewest)  # as `seed_variance`
        return Precision(variance, df, SeedVariance(*(np.asarray(x) for x in (observed, residual, seeds_df))))


def estimate_components(
    candidate: ArrayLike, baseline: ArrayLike, *, clusters: ArrayLike | None = None
) -> VarianceComponents:
    """Estimate the variance components of a difference from scores as `compare_paired` takes them.

    Without a differing example, ``examples`` is the smoothed variance, not zero. A side with one run has no residual or
    seed part: it counts as a checkpoint.

    Args:
        candidate: Scores (n,) or (seeds, n).
        baseline: Scores (n,) or (seeds, n) on the same examples.
        clusters: Labels (n,) of examples that belong together.

    Returns:
        The components.

    Raises:
        ValueError: If the examples do not match, or as `compare_paired`.

    Example:
        >>> round(estimate_components(np.tile([1, 0, 1, 1], 50), np.tile([1, 1, 0, 1], 50)).examples, 2)
        0.5
    """
    a, b = as_scores(candidate, "candidate"), as_scores(baseline, "baseline")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"candidate and baseline: expected the same examples, got {a.shape[1]} and {b.shape[1]}")
    groups = as_clusters(clusters, a.shape[1])
    sample = PairedSample.of(a, b, groups)
    total = a.shape[1] * example_error_variance(sample)
    (a_residual, a_seed), (b_residual, b_seed) = _of_side(a, groups), _of_side(b, groups)
    return VarianceComponents(
        max(total - a_residual / len(a) - b_residual / len(b), 0.0),
        a_residual,
        b_residual,
        a_seed,
        b_seed,
        examples_per_unit=float(sample.summary.n / (sample.summary.df + 1.0)),
    )


def _of_side(scores: Array, clusters: Clusters | None) -> tuple[float, float]:
    if len(scores) < 2:
        return 0.0, 0.0
    runs = run_variance(scores, clusters)
    return runs.residual, max(runs.between - runs.residual / runs.n, 0.0)
