"""A paired difference where the baseline is known on more examples than the candidate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mlbaseline.stats.paired.prediction_powered import compare_judged
from mlbaseline.stats.types import Alternative


@dataclass(frozen=True)
class ControlledComparison:
    """A difference on the examples that both have answered, corrected by how the baseline does on the others.

    Attributes:
        delta: Candidate minus baseline.
        low: Lower limit; −∞ for the alternative ``less``.
        high: Upper limit; ∞ for the alternative ``greater``.
        level: Level of the interval.
        p_value: Of "the difference is ``margin``" (or at most, or at least).
        paired_delta: Mean difference on the examples that both have answered.
        weight: Coefficient of the baseline's scores.
        effective_n: Examples answered by both that would be as precise without the others.
        n: Examples that the baseline has answered.
        n_both: Examples that both have answered.
        df: Degrees of freedom of the standard error.
        standard_error: Of ``delta``.
    """

    delta: float
    low: float
    high: float
    level: float
    p_value: float
    paired_delta: float
    weight: float
    effective_n: float
    n: int
    n_both: int
    df: float
    standard_error: float


def compare_with_control_variate(
    candidate: ArrayLike,
    baseline: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
    alternative: Alternative = "two-sided",
    margin: float = 0.0,
) -> ControlledComparison:
    """Compare two systems where the baseline is known on all examples and the candidate on a random subset.

    The baseline's own scores b tell whether the subset is easier than the rest. With d = candidate − baseline, n
    examples answered by both and N others, Δ = mean of (d − λb) over the n + λ · mean of b over the N, with
    λ = Cov(d, b)/((1 + n/N) Var(b)): b is a control variate (Owen 2013, "Monte Carlo theory, methods and examples",
    8.9). Up to a share ρ²·N/(n + N) of the variance goes, ρ the correlation of d and b; where they are not correlated
    nothing is gained, and nothing is lost but a degree of freedom. It is the estimate of `compare_judged` with the
    baseline as its own judge, and its intervals.

    The subset must have been drawn without regard to any score. An answer that is missing because a test was stopped
    by its results, or because it was too slow or too long, is not such an example.

    Args:
        candidate: Scores (n,), NaN where the candidate has not answered; at least ten others.
        baseline: Scores (n,) of all examples.
        clusters: Labels (n,) of examples that belong together.
        level: Level of the interval, in (0, 1); at least 0.5 if one-sided.
        alternative: What to show: the difference is not ``margin``, is ``greater`` or is ``less``.
        margin: Difference under the null hypothesis.

    Returns:
        The comparison.

    Raises:
        ValueError: If shapes do not match, a score of the baseline is missing, or fewer than ten are of both.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> hard = rng.random(2_000) < 0.5
        >>> baseline, candidate = np.where(hard, 0.0, 1.0), rng.random(2_000)
        >>> result = compare_with_control_variate(np.where(np.arange(2_000) < 200, candidate, np.nan), baseline)
        >>> result.n_both, result.effective_n > 500
        (200, True)
    """
    ours, theirs = np.asarray(candidate, dtype=float), np.asarray(baseline, dtype=float)
    if ours.ndim != 1 or ours.shape != theirs.shape:
        raise ValueError(f"candidate and baseline: expected scores of one shape (n,), got {ours.shape}, {theirs.shape}")
    if not np.isfinite(theirs).all():
        raise ValueError("baseline: expected a finite score for every example; NaN is for the candidate alone")
    both = ~np.isnan(ours)
    found = compare_judged(
        theirs,
        np.zeros_like(theirs),
        ours,
        np.where(both, theirs, math.nan),
        clusters=clusters,
        level=level,
        alternative=alternative,
        margin=margin,
    )
    return ControlledComparison(
        delta=found.delta,
        low=found.low,
        high=found.high,
        level=level,
        p_value=found.p_value,
        paired_delta=found.label_delta,
        weight=found.weight,
        effective_n=found.effective_labels,
        n=found.n,
        n_both=found.n_labels,
        df=found.df,
        standard_error=found.standard_error,
    )
