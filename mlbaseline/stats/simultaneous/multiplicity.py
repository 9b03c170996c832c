"""P-values of several comparisons, adjusted so that the family's claim holds."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from mlbaseline.stats.simultaneous.step_down import step_down
from mlbaseline.stats.types import Array

Correction = Literal["holm", "bh", "romano_wolf", "none"]


def adjust(
    p_values: ArrayLike,
    method: Correction,
    *,
    statistics: ArrayLike | None = None,
    draws: ArrayLike | None = None,
) -> Array:
    """Adjusted p-values (c,) of c comparisons, in the order given.

    ``holm`` bounds the chance of any false claim in the family, whatever the dependence; ``romano_wolf`` does so with
    the comparisons' joint distribution and loses less when they are correlated; ``bh`` (Benjamini–Hochberg) bounds the
    expected share of false claims, for exploration only; ``none`` returns the p-values.

    ``romano_wolf`` is two-sided and needs the observed studentised ``statistics`` (c,) and the ``draws``
    (n_resamples, c) of the same statistics, centred at zero, one joint resample a row (Romano & Wolf 2005, Econometrica
    73:1237, step-down; p-values after Romano & Wolf 2016, with one added to both counts). ``p_values`` then only gives
    the number of comparisons. A comparison of identical systems must have statistic 0.

    Raises ValueError for p-values outside [0, 1], NaN, shapes that do not match, or draws that are missing or too many.
    """
    p = np.asarray(p_values, dtype=float)
    if method not in get_args(Correction):
        raise ValueError(f"method: expected one of {', '.join(get_args(Correction))}, got {method!r}")
    if p.ndim != 1 or not ((p >= 0.0) & (p <= 1.0)).all():
        raise ValueError(f"p_values: expected shape (c,) within [0, 1], got {p!r:.120}")
    if (method == "romano_wolf") != (statistics is not None and draws is not None):
        raise ValueError("statistics and draws: expected both with romano_wolf, and neither with another method")
    if method == "romano_wolf":
        return _romano_wolf(len(p), np.asarray(statistics, dtype=float), np.asarray(draws, dtype=float))
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


def _romano_wolf(count: int, statistics: Array, draws: Array) -> Array:
    if statistics.shape != (count,) or draws.ndim != 2 or draws.shape[1] != count or len(draws) == 0:
        raise ValueError(
            f"statistics and draws: expected shapes ({count},) and (n_resamples, {count}), "
            f"got {statistics.shape} and {draws.shape}"
        )
    if not (np.isfinite(statistics).all() and np.isfinite(draws).all()):
        raise ValueError("statistics and draws: expected finite numbers; an identical pair has statistic and draws 0")
    return step_down(statistics, draws)
