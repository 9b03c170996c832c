"""A paired difference from a judge's scores on all examples and people's labels on some."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlbaseline.stats.confidence import ConfidenceDistribution, MeanConfidence, RuleOfThree, infer
from mlbaseline.stats.inputs import as_clusters, check_hypothesis
from mlbaseline.stats.methods import SPARSE_BELOW
from mlbaseline.stats.summaries import TIE
from mlbaseline.stats.types import Alternative, Array
from mlbaseline.stats.variance import Clusters

MIN_LABELS = 10


@dataclass(frozen=True)
class JudgedComparison:
    """A difference that people's labels make unbiased and a judge's scores make precise.

    Attributes:
        delta: Candidate minus baseline, in the unit of the labels.
        low: Lower limit; −∞ for the alternative ``less``.
        high: Upper limit; ∞ for the alternative ``greater``.
        level: Level of the interval.
        p_value: Of "the difference is ``margin``" (or at most, or at least).
        judge_delta: What the judge alone says.
        label_delta: What the labels alone say.
        weight: How much of the judge's scores is used, 0 where it knows nothing.
        effective_labels: Labels alone that would be as precise.
        n: Examples.
        n_labels: Labelled ones.
        df: Degrees of freedom of the standard error.
        standard_error: Of ``delta``.
    """

    delta: float
    low: float
    high: float
    level: float
    p_value: float
    judge_delta: float
    label_delta: float
    weight: float
    effective_labels: float
    n: int
    n_labels: int
    df: float
    standard_error: float


def compare_judged(
    judge_candidate: ArrayLike,
    judge_baseline: ArrayLike,
    label_candidate: ArrayLike,
    label_baseline: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
    alternative: Alternative = "two-sided",
    margin: float = 0.0,
) -> JudgedComparison:
    """Compare two systems by a judge on all examples, corrected by labels on a random subset.

    With judged differences f and labelled differences y, n labels and N examples without one,
    Δ = mean of (y − λf) over the labelled + λ · mean of f over the others, with
    λ = Cov(y, f)/((1 + n/N) Var(f)), which makes the variance smallest (PPI++: Angelopoulos, Duchi and Zrnic 2023,
    arXiv 2311.01453). It is unbiased however wrong the judge is, as long as the labelled examples were drawn at random
    before anyone saw the answers.

    The interval is Student's t, widened by the skewness of the labelled part. Where labels seldom differ between the
    systems, or from the judge, the few that do say little about those not seen: then each bound takes pseudo-examples,
    as a paired difference without a judge does (`MeanConfidence`; without them a gate at nominal 2.5 % passes 12 % of
    tables with 50 labels of which 5 % differ).

    Args:
        judge_candidate: The judge's scores (n,) of the candidate's answers.
        judge_baseline: Those of the baseline's answers to the same examples.
        label_candidate: People's scores (n,) of the candidate's answers, NaN where there is none.
        label_baseline: Those of the baseline's answers, on the same examples.
        clusters: Labels (n,) of examples that belong together.
        level: Level of the interval, in (0, 1); at least 0.5 if one-sided.
        alternative: What to show: the difference is not ``margin``, is ``greater`` or is ``less``.
        margin: Difference under the null hypothesis.

    Returns:
        The comparison.

    Raises:
        ValueError: If shapes do not match, a judge's score is missing, the two sides are not labelled on the same
            examples, or fewer than ten are labelled.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> truth = rng.normal(0.1, 1, 1_000)
        >>> labels = np.where(np.arange(1_000) < 100, truth, np.nan)
        >>> judged = truth + rng.normal(0.2, 0.5, 1_000)
        >>> result = compare_judged(judged, np.zeros(1_000), labels, np.where(np.isnan(labels), np.nan, 0.0))
        >>> result.low < 0.1 < result.high, result.effective_labels > 200
        (True, True)
    """
    check_hypothesis(level, alternative, margin)
    f, y, labelled = _differences(judge_candidate, judge_baseline, label_candidate, label_baseline)
    groups = as_clusters(clusters, len(f))
    n, others = int(labelled.sum()), int((~labelled).sum())
    weight = _weight(y[labelled], f[labelled], f, n, others)
    rest = f[~labelled].mean() if others else 0.0
    delta = float((y[labelled] - weight * f[labelled]).mean() + weight * rest)
    variance, df = _variance(f, y, labelled, weight, groups)
    alone, _ = _variance(f, y, labelled, 0.0, groups)
    unit = _reach(label_candidate, label_baseline) * _together(f, y, labelled, weight, groups)
    confidence = _confidence(delta, variance, df, y[labelled], f[labelled], weight=weight, unit=unit)
    answer = infer(confidence, level=level, alternative=alternative, margin=margin)
    return JudgedComparison(
        delta=delta,
        low=float(answer.low),
        high=float(answer.high),
        level=level,
        p_value=float(answer.p_value),
        judge_delta=float(f.mean()),
        label_delta=float(y[labelled].mean()),
        weight=weight,
        effective_labels=n * alone / variance if variance > 0.0 else float(n),
        n=len(f),
        n_labels=n,
        df=df,
        standard_error=math.sqrt(variance),
    )


def _differences(
    judge_candidate: ArrayLike, judge_baseline: ArrayLike, label_candidate: ArrayLike, label_baseline: ArrayLike
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Judged and labelled differences (n,), the latter NaN without a label, and where there is one."""
    columns = [np.asarray(x, dtype=float) for x in (judge_candidate, judge_baseline, label_candidate, label_baseline)]
    if columns[0].ndim != 1 or any(column.shape != columns[0].shape for column in columns):
        raise ValueError(f"expected four columns of one shape (n,), got {[column.shape for column in columns]}")
    if not (np.isfinite(columns[0]).all() and np.isfinite(columns[1]).all()):
        raise ValueError("judge_candidate and judge_baseline: expected a finite score for every example")
    labelled = ~np.isnan(columns[2])
    if not np.array_equal(labelled, ~np.isnan(columns[3])):
        raise ValueError("label_candidate and label_baseline: expected labels on the same examples; NaN for none")
    if labelled.sum() < MIN_LABELS or not np.isfinite(columns[2][labelled] - columns[3][labelled]).all():
        raise ValueError(f"labels: expected at least {MIN_LABELS} finite ones, got {int(labelled.sum())}")
    return columns[0] - columns[1], columns[2] - columns[3], labelled


def _reach(label_candidate: ArrayLike, label_baseline: ArrayLike) -> float:
    """How far two labels lie apart at most, as far as the labels show it."""
    labels = np.stack([np.asarray(side, dtype=float) for side in (label_candidate, label_baseline)])
    return float(np.nanmax(labels) - np.nanmin(labels))


def _confidence(
    delta: float, variance: float, df: float, y: Array, f: Array, *, weight: float, unit: float
) -> ConfidenceDistribution:
    """Form the confidence distribution of the estimate.

    Args:
        delta: The estimate.
        variance: Of it.
        df: Degrees of freedom of the variance.
        y: Labelled differences (n,).
        f: Judged differences (n,) of the same examples.
        weight: Of the judge.
        unit: Largest difference between two labels, times the labels that go together.
    """
    n = len(y)
    if variance == 0.0:
        far = np.asarray(unit or 1.0)
        return RuleOfThree(np.asarray(delta), far, far, np.asarray(float(n)))
    residual = (y - weight * f) - (y - weight * f).mean()
    third = (residual**3).sum() / (n**2 * (n - 1))
    # Of a judge who is seldom wrong the errors are as rare as differences are between similar systems.
    moved = unit / n if _is_sparse(y) or _is_sparse(y - f) else 0.0
    estimate, spread, degrees, cubed, one = (np.asarray(value) for value in (delta, variance, df, third, moved))
    return MeanConfidence(estimate, spread, degrees, cubed, one)


def _together(f: Array, y: Array, labelled: NDArray[np.bool_], weight: float, groups: Clusters | None) -> float:
    """How many labels go together: the observed design effect, but at least the root of the labels in a cluster."""
    if groups is None:
        return 1.0
    independent, _ = _variance(f, y, labelled, weight, None)
    clustered, _ = _variance(f, y, labelled, weight, groups)
    sizes = np.unique(groups.codes[labelled], return_counts=True)[1]
    typical = float(np.square(sizes).sum() / sizes.sum())
    effect = clustered / independent if independent > 0.0 else typical
    return float(np.clip(effect, math.sqrt(typical), sizes.max()))


def _is_sparse(values: Array) -> bool:
    """Whether at least half of the values are equal and too few differ from them for the normal law."""
    differing = int((np.abs(values - np.median(values)) > TIE).sum())
    return 2 * differing <= len(values) and differing < SPARSE_BELOW


def _weight(y: Array, f: Array, everywhere: Array, n: int, others: int) -> float:
    spread = float(everywhere.var(ddof=1))
    if others < 2 or spread == 0.0:
        return 0.0
    covariance = float(np.cov(y, f)[0, 1])
    return covariance / ((1.0 + n / others) * spread)


def _variance(
    f: Array, y: Array, labelled: NDArray[np.bool_], weight: float, groups: Clusters | None
) -> tuple[float, float]:
    """Variance of the estimate and its degrees of freedom, those of the labels (or of the clusters with one)."""
    n, others = int(labelled.sum()), int((~labelled).sum())
    known = y[labelled] - weight * f[labelled]
    moves = np.zeros(len(f))
    moves[labelled] = (known - known.mean()) / n
    if others and weight != 0.0:
        moves[~labelled] = weight * (f[~labelled] - f[~labelled].mean()) / others
    # One degree of freedom is spent on the mean, another on the weight.
    lost = 1.0 if weight == 0.0 else 2.0
    if groups is None:
        first = np.square(moves[labelled]).sum() * n / (n - lost)
        return float(first + np.square(moves[~labelled]).sum()), n - lost
    count = len(np.unique(groups.codes[labelled]))
    if count < 3:
        raise ValueError(f"clusters: expected labels in at least three clusters, got {count}")
    return float(np.square(groups.sums(moves)).sum() * count / (count - lost)), count - lost
