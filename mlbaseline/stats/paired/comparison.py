"""The paired comparison of two systems on the same examples: the heart of the package."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from mlbaseline.stats import methods
from mlbaseline.stats.confidence import ConfidenceDistribution, SeedVariance, infer
from mlbaseline.stats.inputs import as_clusters, as_scores, check_hypothesis
from mlbaseline.stats.paired.binary import infer_pair, is_binary
from mlbaseline.stats.paired.effect import cohens_d_value, cohens_g_value
from mlbaseline.stats.paired.methods import ChosenMethod, Method, caution_about, choose_method
from mlbaseline.stats.paired.sample import PairedSample
from mlbaseline.stats.types import Alternative, Array
from mlbaseline.stats.weights import ExampleWeights, as_weights


@dataclass(frozen=True)
class PairedComparison:
    """What two systems' scores on the same examples say about their difference.

    ``delta`` is candidate minus baseline (mean over seeds and examples), ``low`` and ``high`` its confidence interval
    at ``level`` (one end infinite if one-sided), ``p_value`` that of: the true difference equals ``margin``
    (two-sided), is at most ``margin`` (greater), is at least ``margin`` (less).

    ``effect_size`` is what ``effect_measure`` says: Cohen's g for 0/1 scores (the share of discordant examples that
    the candidate wins, less ½), else Cohen's d of the differences over examples; None where it is infinite (all
    differences equal and not zero). ``gained`` and ``lost`` count the examples on which the candidate is better and
    worse (over seeds: on average). ``correlation`` is that of the two systems over examples, None where one is
    constant. ``n_clusters`` is n without clusters. ``n_seeds_*`` is 1 for a checkpoint. ``estimand`` is ``recipe``
    when some side's seeds are part of the uncertainty, else ``checkpoint``.

    ``method`` is the name of what was used, ``reason`` a sentence on why. ``standard_error`` is never zero: with few or
    no differing examples it includes the smoothing of the method. ``df`` is None where the method has none;
    ``examples_df`` and ``seeds`` are its parts over examples and over training seeds. ``caution`` says where the data
    are such that no interval is reliable, and is empty elsewhere. With weights, means, ``delta``, interval and p-value
    are weighted, and ``effective_n`` says how many examples of equal weight would be as precise; counts, effect size
    and correlation stay those of the examples.
    """

    candidate_mean: float
    baseline_mean: float
    delta: float
    low: float
    high: float
    level: float
    p_value: float
    alternative: Alternative
    margin: float
    effect_size: float | None
    effect_measure: Literal["cohens_g", "cohens_d"]
    gained: int
    lost: int
    correlation: float | None
    n: int
    n_clusters: int
    n_seeds_candidate: int
    n_seeds_baseline: int
    estimand: Literal["checkpoint", "recipe"]
    standard_error: float
    df: float | None
    method: str
    reason: str
    examples_df: float | None = None
    seeds: SeedVariance | None = None
    confidence: ConfidenceDistribution | None = field(default=None, repr=False, compare=False)
    caution: str = ""
    effective_n: float = math.nan

    def limits(self, level: float) -> tuple[float, float]:
        """Limits of the two-sided interval at another level, from the same resamples."""
        assert self.confidence is not None
        tail = (1.0 - level) / 2.0
        return float(self.confidence.lower(tail)), -float(self.confidence.mirrored().lower(tail))


def compare_paired(
    candidate: ArrayLike,
    baseline: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    weights: ArrayLike | ExampleWeights | None = None,
    level: float = 0.95,
    alternative: Alternative = "two-sided",
    margin: float = 0.0,
    method: Method = "auto",
    rng: np.random.Generator | None = None,
) -> PairedComparison:
    """Compare two systems scored on the same n examples.

    A recipe's interval says where the mean over further seeds and examples lies. A side of one row counts as that
    checkpoint, because one seed shows no seed variance. Examples are rows of a larger population; failed ones must
    already have their score.

    Args:
        candidate: Scores (n,) of a checkpoint, or (seeds, n) of a recipe.
        baseline: The same for the other system; the number of seeds may differ.
        clusters: Labels (n,) of examples that belong together.
        weights: How much each example counts (n,), or `post_stratification`; by default all the same.
        level: Level of the interval, in (0, 1); at least 0.5 if one-sided.
        alternative: What to show: the difference is not ``margin``, is ``greater`` or is ``less``.
        margin: Difference under the null hypothesis, in the unit of the scores.
        method: ``auto`` chooses by the sample, as described in `mlbaseline.stats.methods`, crossed with seeds if there
            are any (``crossed_t``). ``score``, ``agresti_min``, ``bootstrap_t`` and ``t`` can be named.
        rng: Source of the resamples of ``bootstrap_t``; by default the same at every call.

    Returns:
        The comparison. Its two-sided p-value and interval agree (p ≤ 1 − level exactly when the interval excludes
        ``margin``) for every method but ``agresti_min``, whose p-value is McNemar's.

    Raises:
        ValueError: If scores are not finite, there are fewer than two examples or clusters or more seeds than examples,
            shapes do not match, or the method does not fit the scores.

    Example:
        >>> result = compare_paired([1, 1, 1, 0, 1, 1, 1, 1], [0, 1, 0, 0, 1, 0, 1, 0])
        >>> result.delta, result.gained, result.lost, result.p_value
        (0.5, 4, 0, 0.125)
    """
    check_hypothesis(level, alternative, margin)
    a, b = as_scores(candidate, "candidate"), as_scores(baseline, "baseline")
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"candidate and baseline: expected scores of the same examples, got {a.shape[1]} and {b.shape[1]}; "
            "align them by example first, or use compare_unpaired"
        )
    groups = as_clusters(clusters, a.shape[1])
    sample = PairedSample.of(a, b, groups, as_weights(weights, a.shape[1]))
    chosen = choose_method(sample, method, rng)
    low, high, p_value = _infer(chosen, sample, level, alternative, margin)
    binary = len(a) == len(b) == 1 and is_binary(a) and is_binary(b)
    differences = sample.differences
    gained, lost = int((differences > 0).sum()), int((differences < 0).sum())
    return PairedComparison(
        candidate_mean=_mean(a, sample.weights),
        baseline_mean=_mean(b, sample.weights),
        delta=float(sample.summary.mean),
        low=low,
        high=high,
        level=level,
        p_value=p_value,
        alternative=alternative,
        margin=margin,
        effect_size=cohens_g_value(gained, lost) if binary else cohens_d_value(differences),
        effect_measure="cohens_g" if binary else "cohens_d",
        gained=gained,
        lost=lost,
        correlation=_correlation(a.mean(axis=0), b.mean(axis=0)),
        n=a.shape[1],
        n_clusters=a.shape[1] if groups is None else len(groups.sizes),
        n_seeds_candidate=len(a),
        n_seeds_baseline=len(b),
        estimand="recipe" if max(len(a), len(b)) > 1 else "checkpoint",
        standard_error=chosen.standard_error,
        df=chosen.df,
        method=chosen.name,
        reason=chosen.reason + _single_seed_note(candidate, baseline),
        examples_df=None if chosen.df is None else float(sample.summary.df),
        seeds=sample.seeds() if chosen.name.startswith("crossed") else None,
        confidence=chosen.confidence,
        caution=caution_about(sample),
        effective_n=sample.effective_n,
    )


def _mean(scores: Array, weights: Array | None) -> float:
    return float(scores.mean() if weights is None else (scores @ weights).mean() / len(weights))


def _infer(
    chosen: ChosenMethod, sample: PairedSample, level: float, alternative: Alternative, margin: float
) -> tuple[float, float, float]:
    """Lower and upper limit and p-value."""
    if chosen.name == methods.SCORE:
        summary = sample.summary
        counts = (float(summary.gained), float(summary.lost), float(summary.n))
        return infer_pair(counts, level, alternative, margin)
    answer = infer(chosen.confidence, level=level, alternative=alternative, margin=margin)
    return float(answer.low), float(answer.high), float(answer.p_value)


def _single_seed_note(candidate: ArrayLike, baseline: ArrayLike) -> str:
    """Warn that a recipe of one seed cannot show what its other seeds would do."""
    single = [
        name
        for name, scores in (("candidate", candidate), ("baseline", baseline))
        if np.ndim(scores) == 2 and np.shape(scores)[0] == 1
    ]
    if not single:
        return ""
    return (
        f"; {' and '.join(single)}: one seed shows no seed variance, so this is about that checkpoint, not the recipe"
    )


def _correlation(a: Array, b: Array) -> float | None:
    if np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return None
    return float(np.clip(np.corrcoef(a, b)[0, 1], -1.0, 1.0))
