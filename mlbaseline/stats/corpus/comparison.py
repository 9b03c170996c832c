"""Intervals and paired tests of corpus metrics from statistics per example.

Two checkpoints: examples (or clusters) are resampled, both systems on the same weights. With dev* the resampled
difference minus the observed one, the interval is Δ ± the quantile of |dev*|, and p counts |dev*| ≥ |Δ|: the two agree,
and identical systems have p = 1. Percentile limits are not used: with few examples they cover less (macro-F1 of three
classes, n = 50, nominal 0.95: 0.85 against 0.94). dev* is stretched for small samples: by sqrt((d + 1)/d) · t/z with d
degrees of freedom, the fewer the fewer units carry the variance, and, where the systems agree on at least half of them,
as if one more unit disagreed (Agresti and Min's half of one each way).

Recipes (several seeds of either side): the metric is linear to first order, so each seed r has pseudo-values
v_ri = θ_r + n · ∇f(T_r) · (x_ri − x̄_r) over examples i, whose mean is its metric θ_r, and `compare_paired` compares the
pseudo-values as it does any scores of several seeds, crossed with the examples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from mlbaseline.stats.bootstrap import bootstrap_distribution, checked_values, gather_units
from mlbaseline.stats.corpus.influences import caution_about, effective_df, influences_of, standard_error_of
from mlbaseline.stats.corpus.metric import CorpusMetric
from mlbaseline.stats.paired.comparison import compare_paired
from mlbaseline.stats.types import Alternative, Array


@dataclass(frozen=True)
class CorpusComparison:
    """A corpus metric of two systems on the same examples; ``delta`` is ``candidate`` − ``baseline``."""

    metric: str
    candidate: float
    baseline: float
    delta: float
    low: float
    high: float
    level: float
    standard_error: float
    p_value: float
    n: int
    n_units: int
    n_seeds_candidate: int
    n_seeds_baseline: int
    method: str
    reason: str
    caution: str = ""


def compare_corpus(
    candidate: npt.ArrayLike,
    baseline: npt.ArrayLike,
    metric: CorpusMetric,
    *,
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
    alternative: Alternative = "two-sided",
    margin: float = 0.0,
    n_resamples: int = 10_000,
    rng: np.random.Generator | None = None,
) -> CorpusComparison:
    """Compare two systems by a corpus metric, from their statistics on the same examples.

    Args:
        candidate: Statistics (n, s) of a checkpoint, or (seeds, n, s) of a recipe.
        baseline: The same for the other system.
        metric: The metric; where it has a ``compared_by``, that one is compared and reported.
        clusters: Labels (n,) of examples that belong together.
        level: Level of the interval, in [0.5, 1).
        alternative: What to show: the difference is not ``margin``, is ``greater`` or is ``less``. One-sided, one end
            of the interval is infinite.
        margin: Difference under the null hypothesis, in the unit of the metric.
        n_resamples: Resamples of examples or clusters.
        rng: Their source; by default the same at every call.

    Returns:
        The comparison.

    Raises:
        ValueError: If statistics are empty or not finite, shapes do not match, there are more seeds than examples, or
            the level is out of range.

    Example:
        >>> from mlbaseline.stats import macro_f1
        >>> metric, target = macro_f1(2), np.tile([0, 1], 30)
        >>> better, worse = np.where(np.arange(60) % 9, target, 0), np.where(np.arange(60) % 3, target, 0)
        >>> statistics = [metric.statistics(target, prediction) for prediction in (better, worse)]
        >>> bool(compare_corpus(*statistics, metric).delta > 0)
        True
    """
    first, second = _by_seed(candidate, "candidate"), _by_seed(baseline, "baseline")
    if first.shape[1:] != second.shape[1:]:
        raise ValueError(f"both systems need the same examples and statistics, got {first.shape} and {second.shape}")
    if not 0.5 <= level < 1:
        raise ValueError(f"level must lie in [0.5, 1), got {level}")
    if metric.compared_by is not None:
        metric = metric.compared_by(first.sum(axis=(0, 1)) + second.sum(axis=(0, 1)))
    if alternative not in ("two-sided", "greater", "less"):
        raise ValueError(f"alternative must be two-sided, greater or less, got {alternative!r}")
    task, question = _Pair(first, second, metric, clusters), _Hypothesis(level, alternative, margin)
    if task.unchanging:
        low, high, p, method, reason = _unchanging(task, question)
    elif task.is_checkpoints:
        low, high, p, method, reason = _resample(task, question, n_resamples, rng)
    else:
        low, high, p, method, reason = _crossed(task, question)
    return CorpusComparison(
        metric=metric.name,
        candidate=task.candidate,
        baseline=task.baseline,
        delta=task.delta,
        low=low,
        high=high,
        level=level,
        standard_error=task.standard_error(),
        p_value=float(p),
        n=first.shape[1],
        n_units=task.n_units,
        n_seeds_candidate=len(first),
        n_seeds_baseline=len(second),
        method=method,
        reason=reason,
        caution=caution_about(metric, first.sum(axis=(0, 1)) + second.sum(axis=(0, 1)), task.differences),
    )


_Result = tuple[float, float, float, str, str]


@dataclass(frozen=True)
class _Hypothesis:
    level: float
    alternative: Alternative
    margin: float

    @property
    def tail(self) -> float:
        """Error rate on each side that the alternative leaves open."""
        return (1.0 - self.level) / (2.0 if self.alternative == "two-sided" else 1.0)

    def cut(self, low: float, high: float) -> tuple[float, float]:
        """Cut the limits: an end that a one-sided question does not have is infinite."""
        return (-math.inf if self.alternative == "less" else low, math.inf if self.alternative == "greater" else high)


class _Pair:
    """Two systems by seed (R, n, s) with their influences (R, units), whose means over units are 0."""

    def __init__(self, first: Array, second: Array, metric: CorpusMetric, clusters: npt.ArrayLike | None) -> None:
        self.first, self.second, self.metric, self.clusters = first, second, metric, clusters
        units = [[gather_units(seed, clusters) for seed in side] for side in (first, second)]
        self.n_units = len(units[0][0].sums)
        self.values = [np.array([metric.of(seed) for seed in side]) for side in (first, second)]
        self.candidate, self.baseline = (float(side.mean()) for side in self.values)
        self.delta = self.candidate - self.baseline
        self.influences = [np.array([influences_of(metric, seed) for seed in side]) for side in units]
        self.differences = self.influences[0].mean(axis=0) - self.influences[1].mean(axis=0)
        rows = [np.mean([seed.sums for seed in side], axis=0) for side in units]
        self.differ = (rows[0] != rows[1]).any(axis=1)

    @property
    def is_checkpoints(self) -> bool:
        """No side has seeds to vary over."""
        return len(self.first) == len(self.second) == 1

    @property
    def unchanging(self) -> bool:
        """Neither examples nor seeds vary in what the metric sees of them."""
        still = all((values == values[0]).all() for values in self.values)
        return self.n_units < 2 or (still and not self.differences.any())

    def sparse_stretch(self) -> float:
        """How much one more unit of the usual disagreement adds to the standard error, where most units agree."""
        squares = float(np.square(self.differences).sum())
        if squares == 0 or self.differ.mean() > 0.5:
            return 1.0
        typical = float(np.square(self.differences[self.differ]).mean())
        return max(1.0, float(np.sqrt((squares + typical) / squares)) * self.n_units / (self.n_units + 2))

    def standard_error(self) -> float:
        if self.unchanging or self.is_checkpoints:
            return standard_error_of(self.differences)
        return compare_paired(*self.pseudo_values()).standard_error

    def pseudo_values(self) -> tuple[Array, Array]:
        """(seeds, units) of each side; the mean over units is the seed's metric."""
        first, second = (
            values[:, None] + influences for values, influences in zip(self.values, self.influences, strict=True)
        )
        return first, second


def _resample(task: _Pair, question: _Hypothesis, n_resamples: int, rng: np.random.Generator | None) -> _Result:
    s = task.first.shape[2]
    both = np.hstack([task.first[0], task.second[0]])
    totals = len(both) * bootstrap_distribution(both, n_resamples=n_resamples, clusters=task.clusters, rng=rng)
    drawn = task.metric.from_totals(totals[:, :s]) - task.metric.from_totals(totals[:, s:])
    stretch = _small_sample_stretch(effective_df(task.differences), question.tail) * task.sparse_stretch()
    deviation = (drawn - task.delta) * stretch
    distance = task.delta - question.margin
    # How far resamples move towards what would have been observed under the null hypothesis.
    moved = {"two-sided": np.abs(deviation), "greater": deviation, "less": -deviation}[question.alternative]
    needed = {"two-sided": abs(distance), "greater": distance, "less": -distance}[question.alternative]
    half = float(np.quantile(moved, question.level, method="higher"))
    p = (1.0 + np.count_nonzero(moved >= needed)) / (1.0 + n_resamples)
    reason = f"two checkpoints: {n_resamples:,} resamples of {_units(task)}, both systems on the same weights"
    return *question.cut(task.delta - half, task.delta + half), p, "bootstrap", reason


def _crossed(task: _Pair, question: _Hypothesis) -> _Result:
    first, second = task.pseudo_values()
    linear = compare_paired(
        first, second, level=question.level, alternative=question.alternative, margin=question.margin
    )
    reason = f"{len(first)} and {len(second)} seeds on {_units(task)}: linear terms of the metric; {linear.reason}"
    return linear.low, linear.high, linear.p_value, linear.method, reason


def _unchanging(task: _Pair, question: _Hypothesis) -> _Result:
    """Nothing varies: a share of up to q = 1 − (α/2)^(1/C) of all units may be of the worst kind without being seen."""
    span = task.metric.highest - task.metric.lowest
    if not np.isfinite(span):
        span = max(abs(task.candidate), abs(task.baseline))
    share = 1.0 - question.tail ** (1.0 / task.n_units)
    down, up = span + task.delta, span - task.delta
    distance = task.delta - question.margin
    away = down if distance > 0 else up
    unseen = (1.0 - (min(1.0, abs(distance) / away) if away > 0 else 1.0)) ** task.n_units
    p = {
        "two-sided": 1.0 if distance == 0 else min(1.0, 2 * unseen),
        "greater": unseen if distance > 0 else 1.0,
        "less": unseen if distance < 0 else 1.0,
    }[question.alternative]
    reason = f"no variation in {_units(task)}: the share that may differ unseen is bounded"
    return *question.cut(task.delta - share * down, task.delta + share * up), p, "unchanging", reason


def _small_sample_stretch(df: float, tail: float) -> float:
    """By how much t exceeds the normal, and the unbiased variance the biased one."""
    tail = min(tail, 0.45)
    ratio = float(scipy.special.stdtrit(df, tail) / scipy.special.ndtri(tail))
    return ratio * float(np.sqrt((df + 1.0) / df))


def _units(task: _Pair) -> str:
    return f"{task.n_units:,} {'examples' if task.clusters is None else 'clusters'}"


def _by_seed(statistics: npt.ArrayLike, name: str) -> Array:
    """(seeds, n, s), with one seed for (n, s)."""
    array = np.asarray(statistics)
    array = array[None] if array.ndim == 2 else array
    if array.ndim == 3 and array.shape[0] > array.shape[1] > 0:
        raise ValueError(f"{name}: expected (seeds, n, s) with no more seeds than examples, got {array.shape}")
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"{name} must be statistics (n, s) or (seeds, n, s), not empty, got shape {array.shape}")
    try:
        return np.stack([checked_values(seed) for seed in array])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
