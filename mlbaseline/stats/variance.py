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


def bell_mccaffrey_df(share: Array, sum_variance: Array) -> float:
    """Degrees of freedom of the CR2 variance of a mean over clusters.

    (tr WG)²/tr(WG)² in O(C), G the covariance of the clusters' residual sums and W = diag(1/(1 − share)) (Bell and
    McCaffrey 2002, Survey Methodology 28:169; Imbens and Kolesár 2016, REStat 98:701).
    G = D + L with D = diag(ω) and L = −hω' − ωh' + (Σω)hh' of rank two, h the shares and ω the sums' variances.
    """
    weight = 1.0 / (1.0 - share)
    total = sum_variance.sum()
    low_rank_diagonal = -2.0 * share * sum_variance + total * share**2
    trace = (weight * (sum_variance + low_rank_diagonal)).sum()
    hh, ho, oo = (
        float((weight * left * right).sum())
        for left, right in ((share, share), (share, sum_variance), (sum_variance, sum_variance))
    )
    low_rank = 2.0 * (ho**2 + hh * oo) - 4.0 * total * hh * ho + total**2 * hh**2
    square = (weight**2 * sum_variance * (sum_variance + 2.0 * low_rank_diagonal)).sum() + low_rank
    return float(trace**2 / square)


@dataclass(frozen=True)
class RunVariance:
    """Runs of one recipe: the variance ``between`` run means, and the ``residual`` mean square of seed × example."""

    seeds: int
    n: int
    between: float
    residual: float


def run_variance(scores: Array, clusters: Clusters | None) -> RunVariance:
    """Variance components of (R, n) scores, R at least 2. With clusters, residuals are summed within them first."""
    seeds, n = scores.shape
    runs = scores.mean(axis=1)
    noise = scores - runs[:, None] - scores.mean(axis=0) + scores.mean()
    squares, units = float((noise**2).sum()), n
    if clusters is not None:
        squares, units = sum(float((clusters.sums(row) ** 2).sum()) for row in noise), len(clusters.sizes)
    return RunVariance(seeds, n, float(runs.var(ddof=1)), squares / n * units / (units - 1.0) / (seeds - 1.0))


def seed_variance(sides: Sequence[Array], clusters: Clusters | None) -> SeedVariance | None:
    """Estimate the seeds' part of the variance of a mean difference; None if no side has two seeds.

    ``sides``: one (R, n) matrix for each side that has seeds, R may differ. For each, Var_r(run mean)/R estimates
    σ_seed²/R + σ_residual²/(R n); MS_residual/(R n) is what must come off it, because the variance over examples
    already contains it. With one seeded side this is the crossed analysis of variance,
    V = (MS_seed + MS_example − MS_residual)/(R n). The degrees of freedom of the sum over sides are Satterthwaite's.
    """
    seeded = [run_variance(scores, clusters) for scores in sides if len(scores) > 1]
    if not seeded:
        return None
    observed = sum(side.between / side.seeds for side in seeded)
    residual = sum(side.residual / (side.seeds * side.n) for side in seeded)
    curvature = sum((side.between / side.seeds) ** 2 / (side.seeds - 1.0) for side in seeded)
    fewest = min(side.seeds for side in seeded) - 1.0
    # Capped, or many quiet seeds on one side would vouch for two loud ones on the other.
    df = min(observed**2 / curvature, 2.0 * fewest) if curvature > 0 else fewest
    return SeedVariance(np.asarray(observed), np.asarray(residual), np.asarray(df))
