"""How many examples, how many seeds, and what a "no difference" could have missed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from mlbaseline.stats.confidence import RuleOfThree, SeedVariance
from mlbaseline.stats.inputs import as_clusters, as_scores, check_hypothesis
from mlbaseline.stats.paired.binary import WiderConfidence
from mlbaseline.stats.paired.comparison import PairedComparison
from mlbaseline.stats.paired.methods import PairedSample, example_error_variance
from mlbaseline.stats.planning.detectable import Precision, detectable, tail_of
from mlbaseline.stats.types import Alternative, Array
from mlbaseline.stats.variance import Clusters, run_variance

_MOST_EXAMPLES = 1 << 40


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
        """What is known of the difference from n examples and these numbers of runs, at the expected values."""
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
    """Variance components from scores as ``compare_paired`` takes them. Without a differing example, ``examples`` is
    the smoothed variance, not zero. A side with one run has no residual or seed part: it counts as a checkpoint."""
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


def minimum_detectable_effect(
    components: VarianceComponents,
    n: int,
    *,
    seeds_candidate: int = 1,
    seeds_baseline: int = 1,
    power: float = 0.8,
    level: float = 0.95,
    alternative: Alternative = "two-sided",
) -> float:
    """Compute the smallest true distance from the margin that n examples show with a given power.

    The power is that of the method that `compare_paired` uses (see `planning.detectable`): with few seeds or clusters
    intervals are much wider than the normal law would have them (Card et al. 2020, EMNLP, for checkpoints).

    Args:
        components: Where the uncertainty comes from.
        n: Examples, at least 2.
        seeds_candidate: Runs of the candidate, at least 1.
        seeds_baseline: Runs of the baseline, at least 1.
        power: Probability of showing it, in (0, 1).
        level: Level of the interval, in (0, 1).
        alternative: Whether the test is two-sided.

    Returns:
        The distance, in the unit of the scores.

    Raises:
        ValueError: If a number is out of range.

    Example:
        >>> round(minimum_detectable_effect(VarianceComponents(examples=0.2), n=500), 3)
        0.056
    """
    check_power(power, level, alternative)
    if n < 2 or seeds_candidate < 1 or seeds_baseline < 1:
        raise ValueError(f"expected n ≥ 2 and at least one run a side, got {n}, {seeds_candidate}, {seeds_baseline}")
    precision = components.precision(n, seeds_candidate, seeds_baseline)
    return detectable(precision, tail_of(level, alternative), power)


def detectable_effect(comparison: PairedComparison, *, power: float = 0.8) -> float:
    """Compute the minimum detectable effect of a comparison as it was made: what to print beside "no difference".

    Args:
        comparison: The comparison.
        power: Probability of showing the effect, in (0, 1).

    Returns:
        The smallest true distance from the margin, in the unit of the scores.

    Raises:
        ValueError: If the power is out of range.

    Example:
        >>> from mlbaseline.stats import compare_paired
        >>> comparison = compare_paired(np.tile([1, 0, 1, 1], 50), np.tile([1, 1, 0, 1], 50))
        >>> round(detectable_effect(comparison), 2)
        0.14
    """
    check_power(power, comparison.level, comparison.alternative)
    seeds = comparison.seeds
    variance = comparison.standard_error**2 - (0.0 if seeds is None else float(seeds.estimate))
    df = math.inf if comparison.examples_df is None else comparison.examples_df
    return detectable(Precision(variance, df, seeds), tail_of(comparison.level, comparison.alternative), power)


def sample_size(
    delta: float,
    components: VarianceComponents,
    *,
    margin: float = 0.0,
    seeds_candidate: int = 1,
    seeds_baseline: int = 1,
    power: float = 0.8,
    level: float = 0.95,
    alternative: Alternative = "two-sided",
) -> int | None:
    """Compute how many examples tell a true difference from a margin with a given power.

    Args:
        delta: The true difference.
        components: Where the uncertainty comes from.
        margin: Difference under the null hypothesis.
        seeds_candidate: Runs of the candidate.
        seeds_baseline: Runs of the baseline.
        power: Probability of showing the difference, in (0, 1).
        level: Level of the interval, in (0, 1).
        alternative: Whether the test is two-sided.

    Returns:
        The number of examples; None when no number does, because the seeds' own variance is too large: more seeds are
        needed.

    Raises:
        ValueError: If ``delta`` lies on the margin or, one-sided, on its wrong side.

    Example:
        >>> sample_size(0.05, VarianceComponents(examples=0.2))
        630
    """
    distance = (delta - margin) * (-1.0 if alternative == "less" else 1.0)
    if distance == 0.0 or (alternative != "two-sided" and distance < 0.0) or not math.isfinite(distance):
        raise ValueError(f"delta: expected a difference beyond the margin {margin:g} ({alternative}), got {delta!r}")

    def ratio(n: int) -> float:
        """The distance that n examples show, in units of the wanted one."""
        found = minimum_detectable_effect(
            components,
            n,
            seeds_candidate=seeds_candidate,
            seeds_baseline=seeds_baseline,
            power=power,
            level=level,
            alternative=alternative,
        )
        return found / abs(distance)

    if ratio(_MOST_EXAMPLES) > 1.0:
        return None
    # Most of the distance shrinks with the root of n, so that one step nearly arrives.
    low, high = 1, 2
    while high < _MOST_EXAMPLES and (at := ratio(high)) > 1.0:
        low, high = high, min(max(high + 1, math.ceil(1.02 * high * min(at, 1e3) ** 2)), _MOST_EXAMPLES)
    while high - low > 1:
        middle = max(low + 1, min(high - 1, round(math.sqrt(low * high))))
        low, high = (low, middle) if ratio(middle) <= 1.0 else (middle, high)
    return high


def binary_power(
    n: int,
    gain_rate: float,
    loss_rate: float,
    *,
    margin: float = 0.0,
    level: float = 0.95,
    alternative: Alternative = "two-sided",
) -> float:
    """Exact power of the paired 0/1 comparison: McNemar's exact test at margin 0, the ``score`` method elsewhere.

    ``gain_rate``, ``loss_rate``: shares of examples that only the candidate, only the baseline gets right. All outcomes
    with a probability that matters are enumerated. Raises ValueError for rates that are none or n below 2.
    """
    check_hypothesis(level, alternative, margin)
    if not (min(gain_rate, loss_rate) >= 0.0 and gain_rate + loss_rate <= 1.0) or n < 2:
        raise ValueError(f"expected n ≥ 2 and rates that sum to at most 1, got {n}, {gain_rate!r}, {loss_rate!r}")
    gained, lost = np.meshgrid(_likely(n, gain_rate), _likely(n, loss_rate), indexing="ij")
    possible = gained + lost <= n
    b, c = gained[possible].astype(float), lost[possible].astype(float)
    weight = scipy.stats.multinomial.pmf(
        np.stack([b, c, n - b - c], -1), n, [gain_rate, loss_rate, 1 - gain_rate - loss_rate]
    )
    some = b + c > 0
    score, unseen = (
        WiderConfidence(b[some], c[some], np.asarray(float(n))),
        RuleOfThree(*np.array([0.0, 1.0, 1.0, float(n)])),
    )
    greater, less = np.empty_like(b), np.empty_like(b)
    greater[some], greater[~some] = score.p_greater(margin), unseen.p_greater(margin)
    less[some], less[~some] = score.mirrored().p_greater(-margin), unseen.mirrored().p_greater(-margin)
    p_value = {"greater": greater, "less": less, "two-sided": 2.0 * np.minimum(greater, less)}[alternative]
    return float(weight[p_value <= 1.0 - level].sum())


def _likely(n: int, rate: float) -> Array:
    low, high = scipy.stats.binom.ppf([1e-10, 1.0 - 1e-10], n, rate)
    return np.arange(int(low), int(high) + 2, dtype=float)


def binary_sample_size(
    gain_rate: float,
    loss_rate: float,
    *,
    margin: float = 0.0,
    power: float = 0.8,
    level: float = 0.95,
    alternative: Alternative = "two-sided",
    most: int = 200_000,
) -> int | None:
    """Examples needed for ``binary_power`` to reach ``power``; None if more than ``most``.

    Exact power rises in steps, so this is where a bisection finds it reached, a few examples from the first such n.
    """
    check_power(power, level, alternative)
    low, high = 2, 16
    while binary_power(high, gain_rate, loss_rate, margin=margin, level=level, alternative=alternative) < power:
        low, high = high, 2 * high
        if low >= most:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        reached = binary_power(middle, gain_rate, loss_rate, margin=margin, level=level, alternative=alternative)
        low, high = (low, middle) if reached >= power else (middle, high)
    return high if high <= most else None


def check_power(power: float, level: float, alternative: Alternative) -> None:
    check_hypothesis(level, alternative, 0.0)
    if not 0.0 < power < 1.0:
        raise ValueError(f"power: expected a probability between 0 and 1, got {power!r}")
