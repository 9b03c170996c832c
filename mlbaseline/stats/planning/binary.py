"""Exact power of paired 0/1 comparisons."""

from __future__ import annotations

import numpy as np
import scipy

from mlbaseline.stats.confidence import RuleOfThree
from mlbaseline.stats.inputs import check_hypothesis
from mlbaseline.stats.paired.binary import WiderConfidence
from mlbaseline.stats.planning.power import check_power
from mlbaseline.stats.types import Alternative, Array


def binary_power(
    n: int,
    gain_rate: float,
    loss_rate: float,
    *,
    margin: float = 0.0,
    level: float = 0.95,
    alternative: Alternative = "two-sided",
) -> float:
    """Compute the exact power of the paired 0/1 comparison.

    That is of McNemar's exact test at margin 0, and of the ``score`` method at others. All outcomes with a probability
    that matters are enumerated.

    Args:
        n: Examples, at least 2.
        gain_rate: Share of examples that only the candidate gets right.
        loss_rate: Share that only the baseline gets right.
        margin: Difference under the null hypothesis.
        level: Level of the interval, in (0, 1).
        alternative: Whether the test is two-sided.

    Returns:
        The probability of rejecting the null hypothesis.

    Raises:
        ValueError: If the rates are no shares, or ``n`` is below 2.

    Example:
        >>> round(binary_power(300, 0.15, 0.05), 3)
        0.974
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
    """Compute how many examples `binary_power` needs to reach a power.

    Exact power rises in steps, so this is where a bisection finds it reached, a few examples from the first such n.

    Args:
        gain_rate: Share of examples that only the candidate gets right.
        loss_rate: Share that only the baseline gets right.
        margin: Difference under the null hypothesis.
        power: Probability of showing the difference, in (0, 1).
        level: Level of the interval, in (0, 1).
        alternative: Whether the test is two-sided.
        most: Examples beyond which the search ends.

    Returns:
        The number of examples; None if more than ``most``.

    Raises:
        ValueError: If a rate or the power is out of range.

    Example:
        >>> binary_sample_size(0.15, 0.05)
        168
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
