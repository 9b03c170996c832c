"""How many examples, how many seeds, and what a "no difference" could have missed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from mlbaseline.stats.confidence import RuleOfThree
from mlbaseline.stats.inputs import as_clusters, as_scores, check_hypothesis
from mlbaseline.stats.paired.binary import WiderConfidence
from mlbaseline.stats.paired.comparison import PairedComparison
from mlbaseline.stats.paired.methods import PairedSample, example_error_variance
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
    """

    examples: float
    candidate_residual: float = 0.0
    baseline_residual: float = 0.0
    candidate_seed: float = 0.0
    baseline_seed: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value >= 0.0):
                raise ValueError(f"{name}: expected a variance, finite and zero or more, got {value!r}")

    def per_example(self, seeds_candidate: int, seeds_baseline: int) -> float:
        """The part of the variance that n divides, times n."""
        return self.examples + self.candidate_residual / seeds_candidate + self.baseline_residual / seeds_baseline


def estimate_components(
    candidate: ArrayLike, baseline: ArrayLike, *, clusters: ArrayLike | None = None
) -> VarianceComponents:
    """Variance components from scores as ``compare_paired`` takes them. Without a differing example, ``examples`` is
    the smoothed variance, not zero. A side with one run has no residual or seed part: it counts as a checkpoint."""
    a, b = as_scores(candidate, "candidate"), as_scores(baseline, "baseline")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"candidate and baseline: expected the same examples, got {a.shape[1]} and {b.shape[1]}")
    groups = as_clusters(clusters, a.shape[1])
    total = a.shape[1] * example_error_variance(PairedSample.of(a, b, groups))
    (a_residual, a_seed), (b_residual, b_seed) = _of_side(a, groups), _of_side(b, groups)
    return VarianceComponents(
        max(total - a_residual / len(a) - b_residual / len(b), 0.0), a_residual, b_residual, a_seed, b_seed
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
    """The smallest true distance from the margin that n examples show with probability ``power``.

    (t_{α/2} + t_power) · SE (Card et al. 2020, EMNLP), t with Satterthwaite's degrees of
    freedom: for a side with a seed part and few seeds much larger than the normal quantile. Raises ValueError for n
    below 2, fewer than one run on a side, or power outside (0, 1).
    """
    check_power(power, level, alternative)
    if n < 2 or seeds_candidate < 1 or seeds_baseline < 1:
        raise ValueError(f"expected n ≥ 2 and at least one run a side, got {n}, {seeds_candidate}, {seeds_baseline}")
    examples = components.per_example(seeds_candidate, seeds_baseline) / n
    variance, curvature = examples, examples**2 / (n - 1.0)
    for seed, runs in ((components.candidate_seed, seeds_candidate), (components.baseline_seed, seeds_baseline)):
        variance += seed / runs
        curvature += (seed / runs) ** 2 / (runs - 1.0) if runs > 1 else 0.0
    df = variance**2 / curvature if curvature > 0.0 else math.inf
    return float((_quantile(df, level, alternative) + scipy.stats.t.ppf(power, df)) * math.sqrt(variance))


def detectable_effect(comparison: PairedComparison, *, power: float = 0.8) -> float:
    """The minimum detectable effect of a comparison as it was made: what to print beside "no difference"."""
    check_power(power, comparison.level, comparison.alternative)
    df = math.inf if comparison.df is None else comparison.df
    quantiles = _quantile(df, comparison.level, comparison.alternative) + scipy.stats.t.ppf(power, df)
    return float(quantiles * comparison.standard_error)


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
    """Examples needed to tell a true difference ``delta`` from ``margin`` with probability ``power``.

    None when no number of examples does: the seeds' own variance is too large, so more seeds are needed. Raises
    ValueError when delta lies on the margin or, one-sided, on its wrong side.
    """
    distance = (delta - margin) * (-1.0 if alternative == "less" else 1.0)
    if distance == 0.0 or (alternative != "two-sided" and distance < 0.0) or not math.isfinite(distance):
        raise ValueError(f"delta: expected a difference beyond the margin {margin:g} ({alternative}), got {delta!r}")

    def enough(n: int) -> bool:
        detectable = minimum_detectable_effect(
            components,
            n,
            seeds_candidate=seeds_candidate,
            seeds_baseline=seeds_baseline,
            power=power,
            level=level,
            alternative=alternative,
        )
        return detectable <= abs(distance)

    if not enough(_MOST_EXAMPLES):
        return None
    low, high = 1, 2
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
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


def _quantile(df: float, level: float, alternative: Alternative) -> float:
    tail = (1.0 - level) / (2.0 if alternative == "two-sided" else 1.0)
    return float(scipy.stats.t.isf(tail, df)) if math.isfinite(df) else float(-scipy.special.ndtri(tail))


def check_power(power: float, level: float, alternative: Alternative) -> None:
    check_hypothesis(level, alternative, 0.0)
    if not 0.0 < power < 1.0:
        raise ValueError(f"power: expected a probability between 0 and 1, got {power!r}")
