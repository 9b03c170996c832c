"""Variances of a mean difference: over examples, over clusters of examples, and over training seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlbaseline.stats.confidence import SeedVariance
from mlbaseline.stats.types import Array


@dataclass(frozen=True)
class Clusters:
    """Which examples belong together: ``codes`` (n,) in 0..C−1 and their ``sizes`` (C,)."""

    codes: NDArray[np.intp]
    sizes: Array

    @classmethod
    def of(cls, labels: NDArray[np.generic]) -> Clusters:
        """From any sortable labels (n,)."""
        _, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        return cls(codes.reshape(-1), sizes.astype(float))

    def sums(self, values: Array) -> Array:
        """Sum within clusters: (n,) ─▶ (C,)."""
        return np.asarray(np.bincount(self.codes, weights=values, minlength=len(self.sizes)), dtype=float)


def bell_mccaffrey_df(share: Array, variance: Array, *, alike: bool = False) -> float:
    """Degrees of freedom of the CR2 variance of a mean over units, in strata whose shares are known.

    (tr G)²/tr G², G the covariance of the units' corrected residual sums (Bell and McCaffrey 2002, Survey Methodology
    28:169; Imbens and Kolesár 2016, REStat 98:701). A unit's sum is Σ_k a_k (S_k − share_k T_k), a = (1 − share)^−½,
    S_k its weighted sum in stratum k and T_k that of all units. So G is a diagonal matrix and one of rank 2K, and the
    traces take O(C K²).

    Args:
        share: Of each stratum's weight that a unit has, shape (C, K).
        variance: Of the units' weighted sums, shape (C, K), up to a constant.
        alike: Whether the sums of one unit in several strata move as one, or are independent.

    Returns:
        The degrees of freedom.
    """
    correction = 1.0 / np.sqrt(1.0 - share)
    if alike:
        deviation = np.sqrt(variance)
        own = (correction * deviation).sum(axis=1)
        diagonal, with_totals, totals = np.square(own), deviation * own[:, None], deviation.T @ deviation
    else:
        diagonal, with_totals = (np.square(correction) * variance).sum(axis=1), correction * variance
        totals = np.diag(variance.sum(axis=0))
    one = np.eye(share.shape[1])
    factor, middle = np.hstack([with_totals, correction * share]), np.block([[0.0 * one, -one], [-one, totals]])
    low_rank, product = ((factor @ middle) * factor).sum(axis=1), middle @ (factor.T @ factor)
    trace = (diagonal + low_rank).sum()
    square = (diagonal * (diagonal + 2.0 * low_rank)).sum() + np.trace(product @ product)
    return float(trace**2 / square)


@dataclass(frozen=True)
class RunVariance:
    """Runs of one recipe: the variance ``between`` run means, and the ``residual`` mean square of seed × example."""

    seeds: int
    n: int
    between: float
    residual: float


def run_variance(scores: Array, clusters: Clusters | None, weights: Array | None = None) -> RunVariance:
    """Variance components of (R, n) scores, R at least 2. With clusters, residuals are summed within them first.

    With weights (n,) of mean 1, run means are weighted, and ``residual``/n is again what the examples add to their
    variance.
    """
    seeds, n = scores.shape
    runs = scores.mean(axis=1) if weights is None else scores @ weights / n
    noise = scores - runs[:, None] - scores.mean(axis=0) + runs.mean()
    between = float(runs.var(ddof=1))
    if weights is not None:
        shares, noise = weights / n, noise * weights
        if clusters is not None:
            shares, noise = clusters.sums(shares), np.stack([clusters.sums(row) for row in noise])
        return RunVariance(seeds, n, between, float((noise**2 / (1.0 - shares)).sum()) / n / (seeds - 1.0))
    squares, units = float((noise**2).sum()), n
    if clusters is not None:
        squares, units = sum(float((clusters.sums(row) ** 2).sum()) for row in noise), len(clusters.sizes)
    return RunVariance(seeds, n, between, squares / n * units / (units - 1.0) / (seeds - 1.0))


def seed_variance(
    sides: Sequence[Array], clusters: Clusters | None, weights: Array | None = None
) -> SeedVariance | None:
    """Estimate the seeds' part of the variance of a mean difference; None if no side has two seeds.

    ``sides``: one (R, n) matrix for each side that has seeds, R may differ. For each, Var_r(run mean)/R estimates
    σ_seed²/R + σ_residual²/(R n); MS_residual/(R n) is what must come off it, because the variance over examples
    already contains it. With one seeded side this is the crossed analysis of variance,
    V = (MS_seed + MS_example − MS_residual)/(R n). The degrees of freedom of the sum over sides are Satterthwaite's.
    """
    seeded = [run_variance(scores, clusters, weights) for scores in sides if len(scores) > 1]
    if not seeded:
        return None
    observed = sum(side.between / side.seeds for side in seeded)
    residual = sum(side.residual / (side.seeds * side.n) for side in seeded)
    curvature = sum((side.between / side.seeds) ** 2 / (side.seeds - 1.0) for side in seeded)
    fewest = min(side.seeds for side in seeded) - 1.0
    # Capped, or many quiet seeds on one side would vouch for two loud ones on the other.
    df = min(observed**2 / curvature, 2.0 * fewest) if curvature > 0 else fewest
    return SeedVariance(np.asarray(observed), np.asarray(residual), np.asarray(df))
