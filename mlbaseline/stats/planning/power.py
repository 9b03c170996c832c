"""How many examples, how many seeds, and what a "no difference" could have missed."""

from __future__ import annotations

import math

from mlbaseline.stats.inputs import check_hypothesis
from mlbaseline.stats.paired.comparison import PairedComparison
from mlbaseline.stats.planning.components import VarianceComponents
from mlbaseline.stats.planning.detectable import Precision, detectable, tail_of
from mlbaseline.stats.types import Alternative

_MOST_EXAMPLES = 1 << 40


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
        >>> comparison = compare_paired([1, 0, 1, 1] * 50, [1, 1, 0, 1] * 50)
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
        """Compute the distance that n examples show, in units of the wanted one."""
        detected = minimum_detectable_effect(
            components,
            n,
            seeds_candidate=seeds_candidate,
            seeds_baseline=seeds_baseline,
            power=power,
            level=level,
            alternative=alternative,
        )
        return detected / abs(distance)

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


def check_power(power: float, level: float, alternative: Alternative) -> None:
    check_hypothesis(level, alternative, 0.0)
    if not 0.0 < power < 1.0:
        raise ValueError(f"power: expected a probability between 0 and 1, got {power!r}")
