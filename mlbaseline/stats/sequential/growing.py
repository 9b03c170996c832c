"""How much of an error rate a look at growing data may spend, where nobody knows how many looks there will be."""

from __future__ import annotations

import math


def rate_of_look(alpha: float, look: int, *, from_first: bool) -> float:
    """Give the error rate that one look at growing data is tested at.

    α·6/(π²k²) at look k: over all looks, however many, these add up to α (the sum of 1/k² is π²/6), and by Bonferroni's
    inequality no dependence between the looks matters.

    Args:
        alpha: Error rate over all looks, in (0, 1).
        look: Which look it is, 1 the first.
        from_first: Whether further looks were planned from the start. If not, the first look has spent all of α
            already; those after it are tested as strictly all the same, and `rate_over_looks` says what that comes to.

    Raises:
        ValueError: If the rate or the look is out of range.

    Example:
        >>> [round(rate_of_look(0.05, k, from_first=True), 4) for k in (1, 2, 3)]
        [0.0304, 0.0076, 0.0034]
    """
    if not 0.0 < alpha < 1.0 or look < 1:
        raise ValueError(f"expected a rate in (0, 1) and a look from 1 on, got {alpha!r} and {look}")
    return alpha if look == 1 and not from_first else alpha * 6.0 / (math.pi * look) ** 2


def rate_over_looks(alpha: float, look: int, *, from_first: bool) -> float:
    """Bound the error rate over all looks up to this one: never above α if `from_first`, else below 1.4 α.

    For the arguments see `rate_of_look`.

    Example:
        >>> round(rate_over_looks(0.05, 2, from_first=False), 4)
        0.0576
    """
    return sum(rate_of_look(alpha, k, from_first=from_first) for k in range(1, look + 1))
