"""P-values of several comparisons, adjusted so that the family's claim holds."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from mlbaseline.stats.simultaneous.step_down import step_down
from mlbaseline.stats.types import Alternative, Array

Correction = Literal["holm", "bh", "romano_wolf", "none"]


def adjust(
    p_values: ArrayLike,
    method: Correction,
    *,
    statistics: ArrayLike | None = None,
    draws: ArrayLike | None = None,
    alternative: Alternative = "two-sided",
) -> Array:
    """Adjust the p-values of a family of comparisons.

    ``holm`` bounds the chance of any false claim in the family, whatever the dependence; ``romano_wolf`` does so with
    the comparisons' joint distribution and loses less when they are correlated (Romano and Wolf 2005, Econometrica
    73:1237, step-down; p-values after Romano and Wolf 2016, with one added to both counts); ``bh`` (Benjamini–Hochberg)
    bounds the expected share of false claims, for exploration only; ``none`` returns the p-values.

    Args:
        p_values: Shape (c,); with ``romano_wolf`` they only give the number of comparisons.
        method: The correction.
        statistics: With ``romano_wolf``, the observed studentised statistics (c,), 0 for identical systems.
        draws: With ``romano_wolf``, (n_resamples, c) draws of the same statistics, centred at zero, one joint resample
            a row.
        alternative: With ``romano_wolf``, which statistics speak against the null hypothesis: those far from 0, above
            or below it. The other corrections take p-values that are already one-sided.

    Returns:
        Adjusted p-values (c,), in the order given.

    Raises:
        ValueError: If p-values leave [0, 1], shapes do not match, or draws are missing or not wanted.

    Example:
        >>> adjust([0.01, 0.04, 0.03], "holm").tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    if method not in get_args(Correction):
        raise ValueError(f"method: expected one of {', '.join(get_args(Correction))}, got {method!r}")
    if p.ndim != 1 or not ((p >= 0.0) & (p <= 1.0)).all():
        raise ValueError(f"p_values: expected shape (c,) within [0, 1], got {p!r:.120}")
    if (method == "romano_wolf") != (statistics is not None and draws is not None):
        raise ValueError("statistics and draws: expected both with romano_wolf, and neither with another method")
    if alternative not in get_args(Alternative):
        raise ValueError(f"alternative: expected one of {', '.join(get_args(Alternative))}, got {alternative!r}")
    if method == "romano_wolf":
        drawn = np.asarray(draws, dtype=float)
        return _romano_wolf(len(p), np.asarray(statistics, dtype=float), drawn, alternative)
    if method == "none" or len(p) == 0:
        return p.copy()
    if method == "holm":
        return _holm(p)
    from statsmodels.stats.multitest import multipletests  # as long to import as all of this package

    return np.asarray(multipletests(p, method="fdr_bh")[1])


def _holm(p: Array) -> Array:
    """statsmodels 0.15 gives the same, and collects the whole process's garbage at every call: 0.15 s beside torch."""
    ascending = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[ascending] = np.minimum(1.0, np.maximum.accumulate(p[ascending] * np.arange(len(p), 0, -1)))
    return adjusted


def _romano_wolf(count: int, statistics: Array, draws: Array, alternative: Alternative) -> Array:
    if statistics.shape != (count,) or draws.ndim != 2 or draws.shape[1] != count or len(draws) == 0:
        raise ValueError(
            f"statistics and draws: expected shapes ({count},) and (n_resamples, {count}), "
            f"got {statistics.shape} and {draws.shape}"
        )
    if not (np.isfinite(statistics).all() and np.isfinite(draws).all()):
        raise ValueError("statistics and draws: expected finite numbers; an identical pair has statistic and draws 0")
    return step_down(statistics, draws, alternative)
