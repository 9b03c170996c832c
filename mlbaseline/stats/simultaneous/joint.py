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
from mlbaseline.stats.contrast_data import contrast_data
from mlbaseline.stats.inputs import generator
from mlbaseline.stats.simultaneous.contrasts import ContrastInference, infer_contrasts
from mlbaseline.stats.simultaneous.dependence import Draws, Method, choose_draws, draw_statistics
from mlbaseline.stats.simultaneous.step_down import step_down
from mlbaseline.stats.summaries import summarise
from mlbaseline.stats.types import Alternative, Array
from mlbaseline.stats.weights import ExampleWeights, as_weights


@dataclass(frozen=True)
class JointIntervals:
    """Contrasts (c) on slices (s + 1, all examples first). Arrays are (s + 1, c) unless they say otherwise.

    ``low`` and ``high`` hold for each contrast alone, ``simultaneous_low`` and ``simultaneous_high`` for all of them at
    once, both at ``level``. ``critical_value`` is the quantile of max|Z| behind the latter. ``n`` and ``n_units``
    (s + 1,) count examples and independent units (clusters where given). ``kind`` names each contrast's own method,
    ``method`` and ``reason`` how the joint draws were made. ``draws`` (n_resamples, s + 1, c) are the standardised
    statistics under the null hypothesis, for :func:`mlbaseline.stats.adjust` over any family of contrasts:
    ``draws[:, family]``.
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
    contrasts: ContrastInference
    draws: Draws

    def p_values(self, margin: npt.ArrayLike = 0.0, alternative: Alternative = "two-sided") -> Array:
        """(s + 1, c) unadjusted p-values. ``margin`` is a number, or an array that broadcasts to them.

        ``greater`` tests for an effect above the margin (superiority with +m, non-inferiority with −m).
        """
        if alternative not in ("two-sided", "greater", "less"):
            raise ValueError(f"alternative must be two-sided, greater or less, got {alternative!r}")
        return self.contrasts.p_values(margin, alternative)

    def statistics(self, margin: npt.ArrayLike = 0.0, alternative: Alternative = "two-sided") -> Array:
        """(s + 1, c) standard normal statistics with the contrasts' own p-values, to be compared with ``draws``."""
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
        """Romano–Wolf step-down p-values over ``family`` (s + 1, c), all contrasts by default.

        Returns that shape, or (m,) in row-major order for a family of m. Never below a contrast's own p-value,
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
    weights: npt.ArrayLike | ExampleWeights | None = None,
    level: float = 0.95,
    method: Literal["auto"] | Method = "auto",
    n_resamples: int = 10_000,
    rng: np.random.Generator | None = None,
) -> JointIntervals:
    """Estimate contrasts of the columns of scores, overall and on slices, with intervals that hold together.

    Args:
        scores: Shape (n, k), one column a system and metric.
        contrasts: Shape (c, k), a weight for each column: +1 and −1 for a difference, a single 1 for one system.
        slices: Booleans of shape (n, s); slices may overlap.
        clusters: Labels (n,) of examples that belong together.
        weights: How much each example counts (n,), or `post_stratification`; on a slice, relative to each other.
        level: Level of the intervals, in [0.5, 1).
        method: How the joint draws are made: ``normal`` (from the covariance), ``multiplier`` (random weights on bins
            of units), ``bootstrap`` (resampled influences, small tables only), or ``auto``, the cheaper of the first
            two.
        n_resamples: Joint draws, and resamples of contrasts that are bootstrapped; at least 100.
        rng: Their source; by default the same at every call.

    Returns:
        Intervals of shape (s + 1, c), all examples first. A contrast without variation (a model against itself, a
        slice of one example, one cluster) has p = 1 where its estimate equals the margin, and an interval of positive
        width (kind ``unseen``).

    Raises:
        ValueError: If shapes do not fit, a score is not finite, a contrast has no weight, or a slice has no example.

    Example:
        >>> scores = np.random.default_rng(0).integers(0, 2, (200, 3))
        >>> joint = joint_intervals(scores, [[1, -1, 0], [1, 0, -1]], n_resamples=500)
        >>> bool((joint.simultaneous_low <= joint.low).all())
        True
    """
    rng = generator(rng)
    score_array, rows, members = _checked(scores, contrasts, slices)
    if not 0.5 <= level < 1:
        raise ValueError(f"level must lie in [0.5, 1), got {level}")
    if n_resamples < 100:
        raise ValueError(f"n_resamples must be at least 100, got {n_resamples}")
    n = len(score_array)
    codes = cluster_codes(clusters, n)
    data = contrast_data(score_array, rows, slices=members, codes=codes, weights=as_weights(weights, n))
    summary = summarise(data)
    n_units, n_contrasts = int(summary.units[0, 0]), summary.mean.size
    chosen = choose_draws(n_units, n_contrasts, n_resamples) if method == "auto" else method
    draws = draw_statistics(data, summary, chosen, n_resamples, rng)
    inference = infer_contrasts(data, summary, n_resamples, rng)
    maxima = np.array([np.abs(row).max() for row in draws.reshape(n_resamples, -1)])
    # No draw can make many contrasts easier to hold than one.
    critical_value = max(
        float(np.quantile(maxima, level, method="higher")), float(scipy.stats.norm.isf((1 - level) / 2))
    )
    low, high = inference.interval(1 - level)
    together_low, together_high = inference.interval(2 * float(scipy.stats.norm.sf(critical_value)))
    return JointIntervals(
        estimate=inference.estimate,
        standard_error=np.sqrt(summary.variance),
        low=low,
        high=high,
        simultaneous_low=together_low,
        simultaneous_high=together_high,
        level=level,
        critical_value=critical_value,
        n=summary.n[:, 0].astype(np.intp),
        n_units=summary.units[:, 0].astype(np.intp),
        kind=inference.methods,
        method=chosen,
        reason=_explain(chosen, _why(n_units, n_contrasts) if method == "auto" else "as requested", inference.methods),
        contrasts=inference,
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


def _why(n_units: int, n_contrasts: int) -> str:
    return f"the cheapest for {n_units:,} independent units and {n_contrasts:,} contrasts"


def _explain(method: Method, why: str, kind: npt.NDArray[np.str_]) -> str:
    how = {
        "normal": "multivariate normal draws with the contrasts' covariance",
        "multiplier": "Gaussian multipliers on the units' influences",
        "bootstrap": "resampled influences of the units",
    }[method]
    own = ", ".join(f"{name} in {count:,}" for name, count in sorted(Counter(kind.ravel().tolist()).items()))
    return f"{how}, {why}; each contrast's own method: {own}"
