"""Corpus metrics of probabilities: calibration, Brier score, perplexity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from mlbaseline.stats.corpus.metric import CorpusMetric, checked_labels, checked_probabilities, first_over_second, ratio
from mlbaseline.stats.types import Array


def ece(n_bins: int = 15) -> CorpusMetric:
    """Make the expected calibration error over equal bins (low, high] of confidence (Guo et al. 2017).

    The plug-in value is biased upward by chance gaps within bins, the more the sharper the confidences: two perfectly
    calibrated models, one of them sharp, differ "significantly" in 24 % of tables. It is reported, and comparisons use
    :func:`squared_calibration_error` in its place. Of a perfectly calibrated model, 100 examples give 0.10 on average:
    the interval of a single system reaches down by that bias. A bin's gap is about normal, and the mean of its absolute
    value is that of a folded normal (Leone, Nelson and Nottingham 1961). Its centre is taken to be two standard
    deviations nearer to 0 than it was observed, where the bias is larger.

    Args:
        n_bins: Number of bins.

    Returns:
        The metric. ``statistics(confidences, correct)`` takes (n,) in [0, 1] and 0/1.

    Example:
        >>> metric = ece(2)
        >>> metric.of(metric.statistics([0.9, 0.6], [1, 0]))
        0.25
    """

    def upward_bias(totals: Array) -> Array:
        gap, n, squares, size, pairs = _by_bin(totals, n_bins)
        spread = np.where(size > 1.5, (squares - ratio(np.square(gap), size)) * size / pairs, squares)
        deviation = np.sqrt(np.maximum(spread, 0.0))
        centre = np.maximum(np.abs(gap) - 2 * deviation, 0.0)
        distance = ratio(centre, deviation)
        folded = 2 * (deviation * norm.pdf(distance) + centre * norm.cdf(distance)) - centre
        return ratio((folded - centre).sum(axis=-1), n)

    return replace(
        squared_calibration_error(n_bins),
        name="ece",
        from_totals=lambda totals: ratio(np.abs(totals[..., :n_bins]).sum(axis=-1), totals[..., n_bins]),
        lowest=0.0,
        compared_by=lambda _: squared_calibration_error(n_bins),
        upward_bias=upward_bias,
    )


def squared_calibration_error(n_bins: int = 15) -> CorpusMetric:
    """Debiased squared calibration error: the mean over examples of the squared gap of their bin, without its noise.

    With S the sum of (correct − confidence) of a bin's N examples and Q the sum of their squares,
    Σ over bins of (S² − Q)/(N − 1) / n is unbiased for Σ over bins of N/n · gap² (a U-statistic; Kumar, Liang and
    Ma 2019, section 4). Bins of one example say nothing. It can be negative.

    Args:
        n_bins: Number of bins.

    Returns:
        The metric, for which sums must be those of whole samples. ``statistics(confidences, correct)`` as in `ece`.

    Example:
        >>> metric = squared_calibration_error(1)
        >>> round(metric.of(metric.statistics([0.5, 0.5, 0.5, 0.5], [1, 1, 1, 0])), 4)
        0.0
    """

    def statistics(confidences: npt.ArrayLike, correct: npt.ArrayLike) -> Array:
        confidence, hit = checked_probabilities(confidences, "confidences"), np.asarray(correct, dtype=np.float64)
        if hit.shape != confidence.shape or confidence.ndim != 1 or not np.isin(hit, (0.0, 1.0)).all():
            raise ValueError(f"expected confidences (n,) and 0/1 correct (n,), got {confidence.shape} and {hit.shape}")
        n = len(confidence)
        rows = np.zeros((n, 3 * n_bins + 1))
        bins = np.clip(np.ceil(confidence * n_bins).astype(np.intp) - 1, 0, n_bins - 1)
        example = np.arange(n)
        rows[example, bins] = hit - confidence
        rows[:, n_bins] = 1.0
        rows[example, n_bins + 1 + bins] = np.square(hit - confidence)
        rows[example, 2 * n_bins + 1 + bins] = 1.0
        return rows

    def from_totals(totals: Array) -> Array:
        gap, n, squares, _, pairs = _by_bin(totals, n_bins)
        return ratio(((np.square(gap) - squares) / pairs).sum(axis=-1), n)

    return CorpusMetric("squared_calibration_error", statistics, from_totals, lowest=-1.0, highest=1.0)


def _by_bin(totals: Array, n_bins: int) -> tuple[Array, Array, Array, Array, Array]:
    """Take summed statistics of confidences apart.

    Returns:
        The sum of (correct − confidence) of each bin, the number of examples (…,), the sum of squares and the size of
        each bin, and what a U-statistic divides by: size − 1, infinite for a bin of fewer than two.
    """
    squares, size = totals[..., n_bins + 1 : 2 * n_bins + 1], totals[..., 2 * n_bins + 1 :]
    return totals[..., :n_bins], totals[..., n_bins], squares, size, np.where(size > 1.5, size - 1.0, np.inf)


def brier() -> CorpusMetric:
    """Mean squared error of probabilities.

    Returns:
        The metric. ``statistics(probabilities, targets)`` takes (n,) probabilities of class 1, or (n, K) of each
        class, whose squared errors are summed over classes (Brier 1950), so that two classes give twice the (n,) form.

    Example:
        >>> metric = brier()
        >>> round(metric.of(metric.statistics([0.9, 0.2], [1, 0])), 3)
        0.025
    """

    def statistics(probabilities: npt.ArrayLike, targets: npt.ArrayLike) -> Array:
        p, y = checked_probabilities(probabilities, "probabilities"), np.asarray(targets)
        if p.ndim == 1:
            loss = np.square(p - checked_labels(y, 2, len(p), "targets"))
        else:
            loss = np.square(p - np.eye(p.shape[1])[checked_labels(y, p.shape[1], len(p), "targets")]).sum(axis=1)
        return np.column_stack([loss, np.ones(len(p))])

    return CorpusMetric("brier", statistics, first_over_second, lowest=0.0, highest=2.0)


def perplexity() -> CorpusMetric:
    """exp(Σ nats / Σ tokens).

    Returns:
        The metric. ``statistics(nll_nats, tokens)`` takes (n,) negative log-likelihoods of whole examples and their
        tokens.

    Example:
        >>> metric = perplexity()
        >>> round(metric.of(metric.statistics([10.0, 20.0], [5, 10])), 3)
        7.389
    """

    def statistics(nll_nats: npt.ArrayLike, tokens: npt.ArrayLike) -> Array:
        rows = np.column_stack([np.asarray(nll_nats, dtype=np.float64), np.asarray(tokens, dtype=np.float64)])
        if not np.isfinite(rows).all() or (rows[:, 1] < 0).any() or rows[:, 1].sum() == 0:
            raise ValueError("perplexity needs finite nats and token counts of at least 0 that are not all 0")
        return rows

    return CorpusMetric(
        "perplexity", statistics, lambda totals: np.exp(first_over_second(totals)), lowest=0.0, highest=np.inf
    )


def bits_per_unit() -> CorpusMetric:
    """Σ nats / Σ units / ln 2: bits a byte, for one.

    Returns:
        The metric. ``statistics(nll_nats, units)`` as in `perplexity`.

    Example:
        >>> metric = bits_per_unit()
        >>> round(metric.of(metric.statistics([10.0, 20.0], [5, 10])), 3)
        2.885
    """
    return CorpusMetric(
        "bits_per_unit",
        perplexity().statistics,
        lambda totals: first_over_second(totals) / np.log(2),
        lowest=0.0,
        highest=np.inf,
    )
