"""Intervals and paired tests of corpus metrics from statistics per example.

Two checkpoints: examples (or clusters) are resampled, both systems on the same weights. With dev* the resampled
difference minus the observed one, the interval is Δ ± the quantile of |dev*|, and p counts |dev*| ≥ |Δ|: the two agree,
and identical systems have p = 1. Percentile limits are not used: with few examples they cover less (macro-F1 of three
classes, n = 50, nominal 0.95: 0.85 against 0.94). dev* is stretched for small samples: by sqrt(C/(C − 1)) · t/z for C
units, and, where the systems agree on at least half of them, as if one more unit disagreed (Agresti and Min's half of
one each way).

Recipes (several seeds of either side): the metric is linear to first order, so each seed r has pseudo-values
v_ri = θ_r + n · ∇f(T_r) · (x_ri − x̄_r) over examples i, whose mean is its metric θ_r, and `compare_paired` compares the
pseudo-values as it does any scores of several seeds, crossed with the examples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from mlbaseline.stats.bootstrap import Units, bootstrap_distribution, checked_values, gather_units
from mlbaseline.stats.corpus.metrics import CorpusMetric
from mlbaseline.stats.paired.comparison import compare_paired
from mlbaseline.stats.types import Alternative, Array


@dataclass(frozen=True)
class CorpusInterval:
    """A corpus metric of one system. ``n_units`` are clusters where given, else examples."""

    value: float
    low: float
    high: float
    level: float
    standard_error: float
    n: int
    n_units: int
    method: str


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


def corpus_interval(
    statistics: npt.ArrayLike,
    metric: CorpusMetric,
    *,
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
    n_resamples: int = 10_000,
    rng: np.random.Generator | None = None,
) -> CorpusInterval:
    """The metric of one system's ``statistics`` (n, s) with a symmetric bootstrap interval, cut at the metric's range.

    Where no example varies, a share 1 − (α/2)^(1/n) of them may have the worst value. ValueError as
    :func:`compare_corpus`.
    """
    values = checked_values(statistics)
    units = gather_units(values, clusters)
    n, n_units, value = len(values), len(units.sums), metric.of(values)
    error = _error(_influences(metric, units))
    if error == 0:
        share = 1.0 - ((1 - level) / 2) ** (1.0 / n_units)
        low, high = value - share * (value - metric.lowest), value + share * _room(metric, value)
        return CorpusInterval(value, low, high, level, error, n, n_units, "unchanging")
    totals = n * bootstrap_distribution(values, n_resamples=n_resamples, clusters=clusters, rng=rng)
    deviation = np.abs(metric.from_totals(totals) - value) * _small_sample_stretch(n_units, level)
    half = float(np.quantile(deviation, level, method="higher"))
    low, high = max(metric.lowest, value - half), min(metric.highest, value + half)
    return CorpusInterval(value, low, high, level, error, n, n_units, "bootstrap")


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
    """Compare two systems by ``metric`` from their statistics on the same n examples.

    ``candidate`` and ``baseline`` are (n, s) for a checkpoint or (seeds, n, s) for a recipe. ``p_value`` tests
    "Δ = ``margin``" (or ≤, ≥ for the alternatives ``greater``, ``less``); the interval is two-sided at ``level``.
    Raises ValueError for non-finite or empty statistics, shapes that do not match, and a level outside [0.5, 1).
    """
    first, second = _by_seed(candidate, "candidate"), _by_seed(baseline, "baseline")
    if first.shape[1:] != second.shape[1:]:
        raise ValueError(f"both systems need the same examples and statistics, got {first.shape} and {second.shape}")
    if not 0.5 <= level < 1:
        raise ValueError(f"level must lie in [0.5, 1), got {level}")
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
        p_value=p,
        n=first.shape[1],
        n_units=task.n_units,
        n_seeds_candidate=len(first),
        n_seeds_baseline=len(second),
        method=method,
        reason=reason,
    )


_Result = tuple[float, float, float, str, str]


@dataclass(frozen=True)
class _Hypothesis:
    level: float
    alternative: Alternative
    margin: float


class _Pair:
    """Two systems by seed (R, n, s) with their influences (R, units), whose means over units are 0."""

    def __init__(self, first: Array, second: Array, metric: CorpusMetric, clusters: npt.ArrayLike | None) -> None:
        self.first, self.second, self.metric, self.clusters = first, second, metric, clusters
        units = [[gather_units(seed, clusters) for seed in side] for side in (first, second)]
        self.n_units = len(units[0][0].sums)
        self.values = [np.array([metric.of(seed) for seed in side]) for side in (first, second)]
        self.candidate, self.baseline = (float(side.mean()) for side in self.values)
        self.delta = self.candidate - self.baseline
        self.influences = [np.array([_influences(metric, seed) for seed in side]) for side in units]
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
            return _error(self.differences)
        return compare_paired(*self.pseudo_values()).standard_error

    def pseudo_values(self) -> tuple[Array, Array]:
        """(seeds, units) of each side; the mean over units is the seed's metric."""
        first, second = (
            values[:, None] + influences for values, influences in zip(self.values, self.influences, strict=True)
        )
        return first, second


def pseudo_values(
    statistics: npt.ArrayLike, metric: CorpusMetric, *, clusters: npt.ArrayLike | None = None
) -> npt.NDArray[np.float64]:
    """The metric to first order as a mean: (units,) values, one a cluster where given, else one an example.

    statistics: (n, s) of one system. Their mean is the metric, and their variance is that of the metric. ValueError as
    :func:`compare_corpus`.
    """
    values = checked_values(statistics)
    return metric.of(values) + _influences(metric, gather_units(values, clusters))


def _resample(task: _Pair, question: _Hypothesis, n_resamples: int, rng: np.random.Generator | None) -> _Result:
    s = task.first.shape[2]
    both = np.hstack([task.first[0], task.second[0]])
    totals = len(both) * bootstrap_distribution(both, n_resamples=n_resamples, clusters=task.clusters, rng=rng)
    drawn = task.metric.from_totals(totals[:, :s]) - task.metric.from_totals(totals[:, s:])
    deviation = (drawn - task.delta) * _small_sample_stretch(task.n_units, question.level) * task.sparse_stretch()
    half = float(np.quantile(np.abs(deviation), question.level, method="higher"))
    distance = task.delta - question.margin
    extreme = {
        "two-sided": np.abs(deviation) >= abs(distance),
        "greater": deviation >= distance,
        "less": deviation <= distance,
    }[question.alternative]
    p = (1.0 + np.count_nonzero(extreme)) / (1.0 + n_resamples)
    reason = f"two checkpoints: {n_resamples:,} resamples of {_units(task)}, both systems on the same weights"
    return task.delta - half, task.delta + half, p, "bootstrap", reason


def _crossed(task: _Pair, question: _Hypothesis) -> _Result:
    first, second = task.pseudo_values()
    found = compare_paired(first, second, level=question.level, margin=question.margin)
    p = found.p_value
    if question.alternative != "two-sided":
        p = compare_paired(first, second, alternative=question.alternative, margin=question.margin).p_value
    reason = f"{len(first)} and {len(second)} seeds on {_units(task)}: linear terms of the metric; {found.reason}"
    return found.low, found.high, p, found.method, reason


def _unchanging(task: _Pair, question: _Hypothesis) -> _Result:
    """Nothing varies: a share of up to q = 1 − (α/2)^(1/C) of all units may be of the worst kind without being seen."""
    span = task.metric.highest - task.metric.lowest
    if not np.isfinite(span):
        span = max(abs(task.candidate), abs(task.baseline))
    share = 1.0 - ((1 - question.level) / 2) ** (1.0 / task.n_units)
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
    return task.delta - share * down, task.delta + share * up, p, "unchanging", reason


def _influences(metric: CorpusMetric, units: Units) -> Array:
    """(units,) first-order effect of each unit on the metric, times the number of units: n · ∇f(T) · (x − x̄)."""
    totals = units.sums.sum(axis=0)
    steps = np.diag(1e-5 * np.maximum(np.abs(totals), 1e-3 * np.abs(totals).max()))
    gradient = (metric.from_totals(totals + steps) - metric.from_totals(totals - steps)) / (2 * np.diag(steps))
    residuals = units.sums - np.outer(units.sizes, units.means)
    influences: Array = len(units.sums) * (residuals @ gradient)
    influences[np.abs(influences) < 1e-9 * np.abs(gradient * totals).sum()] = 0.0
    return influences


def _error(influences: Array) -> float:
    """Standard error of the mean of influences, 0 for a single unit."""
    n = len(influences)
    return float(np.sqrt(np.square(influences).sum() / (n * max(n - 1, 1)))) if n > 1 else 0.0


def _small_sample_stretch(n_units: int, level: float) -> float:
    tail = (1 - level) / 2
    ratio = float(scipy.stats.t.isf(tail, n_units - 1) / scipy.stats.norm.isf(tail))
    return ratio * float(np.sqrt(n_units / (n_units - 1)))


def _room(metric: CorpusMetric, value: float) -> float:
    return metric.highest - value if np.isfinite(metric.highest) else max(abs(value), 1.0)


def _units(task: _Pair) -> str:
    return f"{task.n_units:,} {'examples' if task.clusters is None else 'clusters'}"


def _by_seed(statistics: npt.ArrayLike, name: str) -> Array:
    """(seeds, n, s), with one seed for (n, s)."""
    array = np.asarray(statistics)
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"{name} must be statistics (n, s) or (seeds, n, s), not empty, got shape {array.shape}")
    try:
        return np.stack([checked_values(seed) for seed in array])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
