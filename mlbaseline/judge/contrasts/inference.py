"""One question, whatever the metric: how do these tables differ, or where does this one stand, with what interval?

Per-example metrics go to `stats.compare_paired`, corpus metrics to `stats.compare_corpus`; one system alone goes to
`stats.estimate_mean` and `stats.corpus_interval`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from mlbaseline.judge.contrasts.pair import ModelPair
from mlbaseline.metrics import corpus_statistics, metric_of
from mlbaseline.records import Estimate
from mlbaseline.results import ResultTable
from mlbaseline.stats import (
    CorpusMetric,
    ExampleWeights,
    VarianceComponents,
    compare_corpus,
    compare_paired,
    corpus_interval,
    detectable_effect,
    estimate_mean,
    minimum_detectable_effect,
)

Mask = npt.NDArray[np.bool_]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ContrastEstimate:
    """Candidate minus baseline in the metric's own unit.

    p_value: of the true difference being `margin`, two-sided. mde: smallest difference detected with 80 % power.
    n_labels, effective_labels, undecided, effective_n, plain: see `records.Comparison`.
    limits: the interval at another level, from the same resamples; None where it takes others.
    z: the normal statistic of a look at growing data, in the metric's own unit; NaN where there are no looks.
    """

    candidate_mean: float
    baseline_mean: float
    delta: float
    low: float
    high: float
    p_value: float
    mde: float
    n: int
    n_clusters: int
    method: str
    effect_size: float | None = None
    gained: int | None = None
    lost: int | None = None
    n_labels: int | None = None
    effective_labels: float | None = None
    undecided: str | None = None
    limits: Callable[[float], tuple[float, float]] | None = None
    caution: str = ""
    z: float = math.nan
    effective_n: float | None = None
    plain: tuple[float, float, float] | None = None


def contrast(pair: ModelPair, *, level: float, margin: float, rng: np.random.Generator) -> ContrastEstimate | None:
    """Compare the two sides of a pair.

    An example that one side has no score for (an annotator's agreement that was not recorded) is left out for both.

    Args:
        pair: What is compared.
        level: Confidence level of the interval, in (0, 1).
        margin: The difference that the p-value tests, in the metric's own unit.
        rng: Source of resamples.

    Returns:
        The difference. None where a side lacks the metric, or fewer than two examples are left.
    """
    if metric_of(pair.metric).corpus:
        return _corpus_contrast(pair, level=level, margin=margin, rng=rng)
    scores = paired_scores(pair)
    if scores is None:
        return None
    ours, theirs, clusters = scores.candidate, scores.baseline, scores.clusters
    compared = partial(compare_paired, ours, theirs, clusters=clusters, level=level, margin=margin, rng=rng)
    try:
        found = compared(weights=scores.weights)
    except ValueError:
        if scores.weights is None:
            raise
        return None  # a stratum of one unit
    plain = compared() if scores.weights is not None else None
    return ContrastEstimate(
        candidate_mean=found.candidate_mean,
        baseline_mean=found.baseline_mean,
        delta=found.delta,
        low=found.low,
        high=found.high,
        p_value=found.p_value,
        mde=detectable_effect(found),
        n=found.n,
        n_clusters=found.n_clusters,
        method=found.method,
        effect_size=found.effect_size,
        gained=found.gained,
        lost=found.lost,
        limits=found.limits,
        caution=found.caution,
        effective_n=None if plain is None else found.effective_n,
        plain=None if plain is None else (plain.delta, plain.low, plain.high),
    )


@dataclass(frozen=True)
class PairedScores:
    """What `stats` takes of a pair.

    Attributes:
        candidate: Scores (seeds, n).
        baseline: Scores (seeds, n).
        clusters: Labels (n,); None where there are none.
        weights: Of the examples; None where all count the same.
    """

    candidate: Array
    baseline: Array
    clusters: npt.NDArray[np.object_] | None
    weights: ExampleWeights | None


def paired_scores(pair: ModelPair) -> PairedScores | None:
    """Collect the scores of both sides; None as `contrast`."""
    ours, theirs = _scores(pair.candidate, pair.metric), _scores(pair.baseline, pair.metric)
    if ours is None or theirs is None:
        return None
    scored: Mask = pair.mask & ~np.isnan(ours).any(axis=0) & ~np.isnan(theirs).any(axis=0)
    clusters = clusters_of(pair.candidate[0], scored)
    if scored.sum() < max(2, len(ours), len(theirs)) or (clusters is not None and len(set(clusters)) < 2):
        return None
    try:
        weights = pair.weights(scored)
    except ValueError:  # so far no example of a value that has a share in the mix
        return None
    return PairedScores(ours[:, scored], theirs[:, scored], clusters, weights)


def _corpus_contrast(
    pair: ModelPair, *, level: float, margin: float, rng: np.random.Generator
) -> ContrastEstimate | None:
    ours, theirs = (_statistics(side, pair.labels, pair.metric) for side in (pair.candidate, pair.baseline))
    clusters = clusters_of(pair.candidate[0], pair.mask)
    if ours is None or theirs is None or pair.mask.sum() < 2 or (clusters is not None and len(set(clusters)) < 2):
        return None
    corpus, ours_statistics = ours
    found = compare_corpus(
        ours_statistics[:, pair.mask],
        theirs[1][:, pair.mask],
        corpus,
        clusters=clusters,
        level=level,
        margin=margin,
        rng=rng,
    )
    return ContrastEstimate(
        candidate_mean=found.candidate,
        baseline_mean=found.baseline,
        delta=found.delta,
        low=found.low,
        high=found.high,
        p_value=found.p_value,
        mde=detectable_from(found.standard_error, found.n, found.n_units, level=level),
        n=found.n,
        n_clusters=found.n_units,
        method=found.method,
        caution=found.caution,
    )


def detectable_from(standard_error: float, n: int, n_units: int, *, level: float) -> float:
    """Compute the minimum detectable effect of a difference whose examples come in units.

    Args:
        standard_error: Of the difference.
        n: Number of examples.
        n_units: Number of clusters, or of examples without any.
        level: Of its interval.
    """
    return minimum_detectable_effect(
        VarianceComponents(n * standard_error**2, examples_per_unit=n / n_units), n, level=level
    )


def estimate(
    tables: Sequence[ResultTable], labels: Sequence[str], metric: str, *, level: float, rng: np.random.Generator
) -> Estimate | None:
    """Estimate a metric of a rung, over its seeds and examples; None where the rung lacks the metric."""
    if metric_of(metric).corpus:
        return _corpus_estimate(tables, labels, metric, level=level, rng=rng)
    scores = _scores(tables, metric)
    if scores is None:
        return None
    scored: Mask = np.asarray(~np.isnan(scores).any(axis=0))
    if scored.sum() < max(2, len(scores)):
        return None
    known = scores[:, scored]
    clusters = clusters_of(tables[0], scored)
    mean = estimate_mean(known, clusters=clusters, level=level, rng=rng)
    return Estimate(
        mean.value, mean.low, mean.high, level, mean.n, mean.n_clusters, len(tables), mean.method, mean.caution
    )


def _corpus_estimate(
    tables: Sequence[ResultTable], labels: Sequence[str], metric: str, *, level: float, rng: np.random.Generator
) -> Estimate | None:
    found = _statistics(tables, labels, metric)
    if found is None:
        return None
    corpus, statistics = found
    clusters = clusters_of(tables[0], np.ones(statistics.shape[1], dtype=bool))
    if len(tables) == 1:
        alone = corpus_interval(statistics[0], corpus, clusters=clusters, level=level)
        return Estimate(
            alone.value, alone.low, alone.high, level, alone.n, alone.n_units, 1, alone.method, alone.caution
        )
    # Against a system whose examples are all average: it adds no variance, and its value is known.
    average = np.broadcast_to(statistics.mean(axis=(0, 1)), statistics.shape[1:])
    # The metric itself, and not what two systems are compared by: of ece that is a squared error.
    itself = replace(corpus, compared_by=None)
    against = compare_corpus(statistics, average, itself, clusters=clusters, level=level, rng=rng)
    low = max(corpus.lowest, against.low + against.baseline - corpus.bias_of(statistics))
    high = min(corpus.highest, against.high + against.baseline)
    return Estimate(
        against.candidate, low, high, level, against.n, against.n_units, len(tables), against.method, against.caution
    )


def _scores(tables: Sequence[ResultTable], metric: str) -> Array | None:
    """Stack the scores of the tables: (seeds, n). None where one lacks the metric."""
    columns = [table.scores(metric) for table in tables]
    known = [column for column in columns if column is not None]
    return np.stack(known) if len(known) == len(columns) else None


def _statistics(tables: Sequence[ResultTable], labels: Sequence[str], metric: str) -> tuple[CorpusMetric, Array] | None:
    """Stack the statistics of a corpus metric: (seeds, n, s). None where a table lacks the metric."""
    found = [corpus_statistics(table, labels, metric) for table in tables]
    known = [side for side in found if side is not None]
    return (known[0][0], np.stack([side[1] for side in known])) if len(known) == len(found) else None


def clusters_of(table: ResultTable, mask: Mask) -> npt.NDArray[np.object_] | None:
    """Give the cluster of each row in `mask` (n,); a row without one is its own. None where no row has one."""
    cluster = table.frame["cluster"]
    if cluster.isna().all():
        return None
    return cluster.fillna(table.frame["example_id"]).to_numpy(dtype=object)[mask]
