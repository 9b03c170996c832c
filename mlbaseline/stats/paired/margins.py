"""Decisions from an interval and a margin. A margin is a size: zero or positive, in the metric's own unit."""

from __future__ import annotations

import math


def is_superior(low: float, margin: float = 0.0) -> bool:
    """Decide whether a difference is larger than a margin: its lower limit lies above +margin.

    Args:
        low: Lower limit of the difference (better is positive).
        margin: Size in the metric's unit, zero or more.

    Returns:
        Whether superiority is shown.

    Raises:
        ValueError: If the limit is NaN or the margin is negative or infinite.

    Example:
        >>> is_superior(0.01), is_superior(0.01, margin=0.02)
        (True, False)
    """
    return _checked(low) > _size(margin)


def is_non_inferior(low: float, margin: float) -> bool:
    """Decide whether a difference is not worse than a margin: its lower limit lies above −margin.

    Testing superiority next costs no error.

    Args:
        low: Lower limit of the difference (better is positive).
        margin: Size in the metric's unit, zero or more.

    Returns:
        Whether non-inferiority is shown.

    Raises:
        ValueError: If the limit is NaN or the margin is negative or infinite.

    Example:
        >>> is_non_inferior(-0.01, margin=0.02)
        True
    """
    return _checked(low) > -_size(margin)


def is_equivalent(low: float, high: float, margin: float) -> bool:
    """Decide whether a difference lies within ±margin: both limits lie strictly inside.

    At a size of 5 % the interval is the 90 % one (two one-sided tests: Schuirmann 1987).

    Args:
        low: Lower limit of the difference.
        high: Upper limit.
        margin: Size in the metric's unit, zero or more.

    Returns:
        Whether equivalence is shown.

    Raises:
        ValueError: If a limit is NaN or the margin is negative or infinite.

    Example:
        >>> is_equivalent(-0.01, 0.015, margin=0.02)
        True
    """
    return _checked(low) > -_size(margin) and _checked(high) < margin


def equivalence_level(alpha: float = 0.05) -> float:
    """Compute the level of the two-sided interval that tests equivalence at a size: 1 − 2·alpha.

    Args:
        alpha: Size of the test, in (0, 0.5).

    Returns:
        The level.

    Raises:
        ValueError: If alpha is out of range.

    Example:
        >>> equivalence_level(0.05)
        0.9
    """
    if not 0.0 < alpha < 0.5:
        raise ValueError(f"alpha: expected a number between 0 and 0.5, got {alpha!r}")
    return 1.0 - 2.0 * alpha


def equivalence_p_value(p_above_lower: float, p_below_upper: float) -> float:
    """Combine two one-sided tests into the p-value of equivalence: the larger one.

    Args:
        p_above_lower: p-value of "the difference is at most −margin".
        p_below_upper: p-value of "the difference is at least +margin".

    Returns:
        The p-value.

    Raises:
        ValueError: If a p-value is NaN.

    Example:
        >>> equivalence_p_value(0.01, 0.03)
        0.03
    """
    return max(_checked(p_above_lower), _checked(p_below_upper))


def _checked(number: float) -> float:
    if math.isnan(number):
        raise ValueError("expected a number, got NaN: a missing bound decides nothing")
    return number


def _size(margin: float) -> float:
    if not (math.isfinite(margin) and margin >= 0.0):
        raise ValueError(f"margin: expected a finite size of zero or more, got {margin!r}")
    return margin
