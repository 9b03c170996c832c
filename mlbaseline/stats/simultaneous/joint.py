"""Many models, metrics and slices at once: intervals that hold together, and step-down p-values.

Every contrast on every slice has the interval and p-value that suit it alone (`simultaneous.contrasts`). What they
share is how they move together (`simultaneous.dependence`). Simultaneous limits take the error rate that one contrast
may have so that all of them hold at once: with c the quantile of max|Z| over the joint draws, that rate is 2(1 − Φ(c)),
and each contrast meets it by its own method. Where every contrast is normal this is the max-t interval.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy

from mlbaseline.stats.bootstrap import cluster_codes
from mlbaseline.stats.simultaneous.contrasts import Cells, infer_contrasts
from mlbaseline.stats.simultaneous.dependence import Draws, Method, choose_method, draw_statistics
from mlbaseline.stats.simultaneous.design import build_design, measure
from mlbaseline.stats.simultaneous.step_down import step_down
from mlbaseline.stats.types import Alternative, Array


@dataclass(frozen=True)
class JointIntervals:
    """Contrasts (c) on slices (s + 1, all examples first). Arrays are (s + 1, c) unless they say otherwise.

    ``low`` and ``high`` hold for each cell alone, ``simultaneous_low`` and ``simultaneous_high`` for all cells at once,
    both at ``level``. ``critical_value`` is the quantile of max|Z| behind the latter. ``n`` and ``n_units`` (s + 1,)
    count examples and independent units (clusters where given). ``kind`` names each cell's own method, ``method`` and
    ``reason`` how the joint draws were made. ``draws`` (n_resamples, s + 1, c) are the standardised statistics under
    the null hypothesis, for :func:`mlbaseline.stats.adjust` over any family of cells: ``draws[:, family]``.
    """

    estimate: Array
    standard_error: Array
    low: Array
    high: Array
    simultaneous_low: Array
    simultaneous_high: Array
    level: float
    critical_value: float
    n: npt.NDArray[np.intp]
    n_units: npt.NDArray[np.intp]
    kind: npt.NDArray[np.str_]
    method: Method
    reason: str
    cells: Cells
    draws: Draws

    def p_values(self, margin: npt.ArrayLike = 0.0, alternative: Alternative = "two-sided") -> Array:
        """(s + 1, c) unadjusted p-values. ``margin`` is a number, or an array that broadcasts to the cells.

        ``greater`` tests for an effect above the margin (superiority with +m, non-inferiority with −m).
        """
        if alternative not in ("two-sided", "greater", "less"):
            raise ValueError(f"alternative must be two-sided, greater or less, got {alternative!r}")
        return self.cells.p_values(margin, alternative)

    def statistics(self, margin: npt.ArrayLike = 0.0, alternative: Alternative = "two-sided") -> Array:
        """(s + 1, c) standard normal statistics with the cells' own p-values, to be compared with ``draws``."""
        # Kept off 0 and 1, whose quantiles are infinite.
        p = np.clip(self.p_values(margin, alternative), 1e-300, 1 - 1e-16)
        if alternative == "greater":
            return np.asarray(scipy.stats.norm.isf(p))
        if alternative == "less":
            return np.asarray(scipy.stats.norm.ppf(p))
        return np.asarray(np.copysign(scipy.stats.norm.isf(p / 2), self.estimate - np.asarray(margin)))

    def adjusted_p_values(
        self,
        margin: npt.ArrayLike = 0.0,
        alternative: Alternative = "two-sided",
        family: npt.NDArray[np.bool_] | None = None,
    ) -> Array:
        """Romano–Wolf step-down p-values over ``family`` (s + 1, c), all cells by default.

        Returns the shape of the cells, or (m,) in row-major order for a family of m. Never below a cell's own p-value,
        which the draws only know to Monte-Carlo error.
        """
        observed, own = self.statistics(margin, alternative), self.p_values(margin, alternative)
        if family is not None:
            return np.maximum(step_down(observed[family], self.draws[:, family], alternative), own[family])
        flat = self.draws.reshape(len(self.draws), -1)
        return np.maximum(step_down(observed.ravel(), flat, alternative).reshape(observed.shape), own)


def joint_intervals(
    scores: npt.ArrayLike,
    contrasts: npt.ArrayLike,
    *,
    slices: npt.ArrayLike | None = None,
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
    method: Literal["auto"] | Method = "auto",
    n_resamples: int = 10_000,
    rng: np.random.Generator | None = None,
) -> JointIntervals:
    """Intervals of ``contrasts`` (c, k) of the columns of ``scores`` (n, k), overall and on each of ``slices`` (n, s).

    A row of ``contrasts`` holds one weight a column: +1 and −1 for a difference. ``slices`` are booleans and may
    overlap; ``clusters`` (n,) are labels of examples that belong together. ``method`` says how the joint draws are
    made: ``normal`` (from the covariance), ``multiplier`` (random weights on bins of units), ``bootstrap`` (resampled
    influences, small tables only), or ``auto``, the cheaper of the first two.

    A cell without variation (a model against itself, a slice of one example, one cluster) has p = 1 where its estimate
    equals the margin, and an interval of positive width (kind ``unchanging``).
    Raises ValueError for shapes that do not fit, non-finite scores, a contrast of zeros, and a slice without examples.
    """
    rng = np.random.default_rng() if rng is None else rng
    score_array, weights, members = _checked(scores, contrasts, slices)
    if not 0.5 <= level < 1:
        raise ValueError(f"level must lie in [0.5, 1), got {level}")
    if n_resamples < 100:
        raise ValueError(f"n_resamples must be at least 100, got {n_resamples}")
    design = build_design(score_array, weights, members, cluster_codes(clusters, len(score_array)))
    moments = measure(design)
    n_units, n_cells = int(moments.units[0]), moments.mean.size
    chosen = choose_method(n_units, n_cells, n_resamples) if method == "auto" else method
    draws = draw_statistics(design, moments, chosen, n_resamples, rng)
    cells = infer_contrasts(design, moments, n_resamples, rng)
    maxima = np.array([np.abs(row).max() for row in draws.reshape(n_resamples, -1)])
    # No draw can make many cells easier to hold than one.
    critical_value = max(
        float(np.quantile(maxima, level, method="higher")), float(scipy.stats.norm.isf((1 - level) / 2))
    )
    low, high = cells.interval(1 - level)
    together_low, together_high = cells.interval(2 * float(scipy.stats.norm.sf(critical_value)))
    return JointIntervals(
        estimate=cells.estimate,
        standard_error=cells.error,
        low=low,
        high=high,
        simultaneous_low=together_low,
        simultaneous_high=together_high,
        level=level,
        critical_value=critical_value,
        n=moments.n,
        n_units=moments.units,
        kind=cells.kind,
        method=chosen,
        reason=_explain(chosen, _why(n_units, n_cells) if method == "auto" else "as requested", cells.kind),
        cells=cells,
        draws=draws,
    )


def _checked(
    scores: npt.ArrayLike, contrasts: npt.ArrayLike, slices: npt.ArrayLike | None
) -> tuple[Array, Array, npt.NDArray[np.bool_] | None]:
    score_array = np.asarray(scores, dtype=np.float64)
    weights = np.asarray(contrasts, dtype=np.float64)
    if score_array.ndim != 2 or 0 in score_array.shape:
        raise ValueError(f"scores must be (n, k) with at least one row and one column, got shape {score_array.shape}")
    n, k = score_array.shape
    if weights.ndim != 2 or len(weights) == 0 or weights.shape[1] != k:
        raise ValueError(f"contrasts must be (c, {k}), one weight for each column of scores, got shape {weights.shape}")
    if not np.isfinite(weights).all() or not weights.any(axis=1).all():
        raise ValueError("each contrast must have finite weights that are not all zero")
    if slices is None:
        return score_array, weights, None
    members = np.asarray(slices)
    if members.dtype != np.bool_ or members.ndim != 2 or len(members) != n:
        raise ValueError(f"slices must be booleans ({n}, s), got {members.dtype} of shape {members.shape}")
    return score_array, weights, members


def _why(n_units: int, n_cells: int) -> str:
    return f"the cheapest for {n_units:,} independent units and {n_cells:,} cells"


def _explain(method: Method, why: str, kind: npt.NDArray[np.str_]) -> str:
    how = {
        "normal": "multivariate normal draws with the cells' covariance",
        "multiplier": "Gaussian multipliers on the units' influences",
        "bootstrap": "resampled influences of the units",
    }[method]
    own = ", ".join(f"{name} in {count:,}" for name, count in sorted(Counter(kind.ravel().tolist()).items()))
    return f"{how}, {why}; each cell's own method: {own}"
