"""Score test and limits for a paired difference of proportions (Tango 1998, Statistics in Medicine 17:891).

Of n pairs b are won and c lost. With q the maximum-likelihood probability of a loss when wins exceed losses by δ,
T(δ) = (b − c − nδ)/sqrt(n(2q + δ(1 − δ))) is close to normal even where wins and losses are few and uneven.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

BISECTIONS = 45


def score_statistic(wins: Array, losses: Array, n: Array, difference: Array) -> Array:
    """T(``difference``) for arrays of one shape; decreasing in ``difference``, which lies in [−1, 1]."""
    quadratic = 2.0 * n
    linear = -wins - losses + (2.0 * n - wins + losses) * difference
    constant = -losses * difference * (1.0 - difference)
    root = np.sqrt(np.maximum(linear**2 - 4 * quadratic * constant, 0.0))
    loss_rate = np.maximum((root - linear) / (2 * quadratic), np.maximum(0.0, -difference))
    variance = n * np.maximum(2 * loss_rate + difference * (1.0 - difference), 0.0)
    distance = wins - losses - n * difference
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(distance == 0, 0.0, distance / np.sqrt(variance))


def score_limits(wins: Array, losses: Array, n: Array, critical_value: float) -> tuple[Array, Array]:
    """Where T crosses ±``critical_value`` (positive), to 10⁻¹³, by bisection."""

    def crossing(inside: Array, outside: Array, sign: float) -> Array:
        for _ in range(BISECTIONS):
            middle = (inside + outside) / 2
            accepted = sign * score_statistic(wins, losses, n, middle) <= critical_value
            inside, outside = np.where(accepted, middle, inside), np.where(accepted, outside, middle)
        return outside

    estimate = (wins - losses) / n
    return crossing(estimate, np.full_like(estimate, -1.0), 1.0), crossing(estimate, np.ones_like(estimate), -1.0)
