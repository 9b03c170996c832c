"""Decisions from an interval and a margin. A margin is a size: zero or positive, in the metric's own unit."""

from __future__ import annotations

import math


def is_superior(low: float, margin: float = 0.0) -> bool:
    """Better by more than ``margin``: the lower bound of the difference lies above +margin."""
    return _checked(low) > _size(margin)


def is_non_inferior(low: float, margin: float) -> bool:
    """Not worse by ``margin`` or more: the lower bound lies above −margin. Testing superiority next costs no error."""
    return _checked(low) > -_size(margin)


def is_equivalent(low: float, high: float, margin: float) -> bool:
    """Within ±margin: both bounds of the interval lie strictly inside. At a size of 5 % the interval is the 90 % one
    (two one-sided tests: Schuirmann 1987)."""
    return _checked(low) > -_size(margin) and _checked(high) < margin


def equivalence_level(alpha: float = 0.05) -> float:
    """The level of the two-sided interval that tests equivalence at size ``alpha``: 1 − 2·alpha."""
    if not 0.0 < alpha < 0.5:
        raise ValueError(f"alpha: expected a number between 0 and 0.5, got {alpha!r}")
    return 1.0 - 2.0 * alpha


def equivalence_p_value(p_above_lower: float, p_below_upper: float) -> float:
    """Two one-sided tests: the larger of p("difference ≤ −margin") and p("difference ≥ +margin")."""
    return max(_checked(p_above_lower), _checked(p_below_upper))


def _checked(number: float) -> float:
    if math.isnan(number):
        raise ValueError("expected a number, got NaN: a missing bound decides nothing")
    return number


def _size(margin: float) -> float:
    if not (math.isfinite(margin) and margin >= 0.0):
        raise ValueError(f"margin: expected a finite size of zero or more, got {margin!r}")
    return margin
