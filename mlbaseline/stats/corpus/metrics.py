"""Metrics of a whole corpus as functions of summed statistics per example.

A metric that is no mean of per-example scores still is a function of a few sums (counts of a confusion matrix, matched
n-grams, nats and tokens). Each :class:`CorpusMetric` says how to get the statistics of every example once, (n, s), and
the metric from their sums, so that no resample reads a label or a text again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from mlbaseline.stats.types import Array


@dataclass(frozen=True)
class CorpusMetric:
    """``statistics`` of data ─▶ (n, s) per example; ``from_totals`` of sums (…, s) ─▶ the metric (…).

    The metric does not change when all sums are multiplied by one number, unless it says so. ``lowest`` and ``highest``
    are the values it can take.

    ``compared_by`` gives, from the summed statistics of both systems, the metric (of the same statistics) that their
    comparison uses in its place. ``pseudo_examples`` gives, from the statistics of one system, rows (m, s) of examples
    that could as well have been drawn, one for each way to be right and to be wrong: intervals of a single system
    weigh them in, because a rare class that happens to be answered without an error shows no variance.
    """

    name: str
    statistics: Callable[..., Array]
    from_totals: Callable[[Array], Array]
    lowest: float
    highest: float
    compared_by: Callable[[Array], CorpusMetric] | None = None
    pseudo_examples: Callable[[Array], Array] | None = None

    def of(self, statistics: Array) -> float:
        """The metric of one corpus from its (n, s) statistics."""
        return float(self.from_totals(statistics.sum(axis=0)))


def macro_f1(n_classes: int) -> CorpusMetric:
    """Unweighted mean of F1 over classes.

    A class in neither targets nor predictions does not count (scikit-learn's default). In a comparison a class counts
    for both systems, and in every resample, if it occurs in the targets or in either system's predictions: otherwise
    a resample without a rare class would be averaged over other classes than the next one.

    Args:
        n_classes: Number of classes.

    Returns:
        The metric. ``statistics(targets, predictions)`` takes integer labels 0 … n_classes − 1; a prediction of −1 is
        none.
    """

    def averaged_over(classes: Callable[[Array], Array]) -> Callable[[Array], Array]:
        def from_totals(totals: Array) -> Array:
            hits, targets, predictions = _confusion_totals(totals, n_classes)
            support = targets + predictions
            return _ratio(_ratio(2 * hits, support).sum(axis=-1), classes(support))

        return from_totals

    def compared_by(both: Array) -> CorpusMetric:
        _, targets, predictions = _confusion_totals(both, n_classes)
        count = np.asarray(np.count_nonzero(targets + predictions > 0, axis=-1), dtype=np.float64)
        return replace(metric, from_totals=averaged_over(lambda _: count), compared_by=None)

    metric = CorpusMetric(
        "macro_f1",
        _confusion_statistics(n_classes),
        averaged_over(lambda support: np.asarray(np.count_nonzero(support > 0, axis=-1))),
        lowest=0.0,
        highest=1.0,
        compared_by=compared_by,
        pseudo_examples=_right_and_wrong(n_classes),
    )
    return metric


def micro_f1(n_classes: int) -> CorpusMetric:
    """F1 of all decisions together: accuracy, unless some predictions are −1 (none), which cost recall only."""

    def from_totals(totals: Array) -> Array:
        hits, targets, predictions = _confusion_totals(totals, n_classes)
        return _ratio(2 * hits.sum(axis=-1), targets.sum(axis=-1) + predictions.sum(axis=-1))

    return CorpusMetric(
        "micro_f1",
        _confusion_statistics(n_classes),
        from_totals,
        lowest=0.0,
        highest=1.0,
        pseudo_examples=_right_and_wrong(n_classes),
    )


def mcc(n_classes: int) -> CorpusMetric:
    """Matthews correlation for any number of classes (Gorodkin 2004); 0 where either side has one class only."""

    def from_totals(totals: Array) -> Array:
        hits, targets, predictions = _confusion_totals(totals, n_classes)
        n = targets.sum(axis=-1)
        # Predictions of none form a class of their own, that no target has.
        squared_predictions = np.square(predictions).sum(axis=-1) + np.square(n - predictions.sum(axis=-1))
        covariance = hits.sum(axis=-1) * n - (targets * predictions).sum(axis=-1)
        spread = (n**2 - squared_predictions) * (n**2 - np.square(targets).sum(axis=-1))
        return _ratio(covariance, np.sqrt(np.maximum(spread, 0.0)))

    return CorpusMetric(
        "mcc",
        _confusion_statistics(n_classes),
        from_totals,
        lowest=-1.0,
        highest=1.0,
        pseudo_examples=_right_and_wrong(n_classes),
    )


def ece(n_bins: int = 15) -> CorpusMetric:
    """Expected calibration error over equal bins (low, high] of confidence (Guo et al. 2017).

    The plug-in value is biased upward by chance gaps within bins, the more the sharper the confidences: two perfectly
    calibrated models, one of them sharp, differ "significantly" in 24 % of tables. It is reported, and comparisons use
    :func:`squared_calibration_error` in its place.

    Args:
        n_bins: Number of bins.

    Returns:
        The metric. ``statistics(confidences, correct)`` takes (n,) in [0, 1] and 0/1.
    """
    return replace(
        squared_calibration_error(n_bins),
        name="ece",
        from_totals=lambda totals: _ratio(np.abs(totals[..., :n_bins]).sum(axis=-1), totals[..., n_bins]),
        lowest=0.0,
        compared_by=lambda _: squared_calibration_error(n_bins),
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
    """

    def statistics(confidences: npt.ArrayLike, correct: npt.ArrayLike) -> Array:
        confidence, hit = _probabilities(confidences, "confidences"), np.asarray(correct, dtype=np.float64)
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
        gap, n = totals[..., :n_bins], totals[..., n_bins]
        squares, size = totals[..., n_bins + 1 : 2 * n_bins + 1], totals[..., 2 * n_bins + 1 :]
        pairs = np.where(size > 1.5, size - 1.0, np.inf)
        return _ratio(((np.square(gap) - squares) / pairs).sum(axis=-1), n)

    return CorpusMetric("squared_calibration_error", statistics, from_totals, lowest=-1.0, highest=1.0)


def brier() -> CorpusMetric:
    """Mean squared error of probabilities. ``statistics(probabilities, targets)``: (n,) of class 1, or (n, K) of each
    class, whose squared errors are summed over classes (Brier 1950), so that two classes give twice the (n,) form.
    """

    def statistics(probabilities: npt.ArrayLike, targets: npt.ArrayLike) -> Array:
        p, y = _probabilities(probabilities, "probabilities"), np.asarray(targets)
        if p.ndim == 1:
            loss = np.square(p - _labels(y, 2, len(p), "targets"))
        else:
            loss = np.square(p - np.eye(p.shape[1])[_labels(y, p.shape[1], len(p), "targets")]).sum(axis=1)
        return np.column_stack([loss, np.ones(len(p))])

    return CorpusMetric("brier", statistics, _first_over_second, lowest=0.0, highest=2.0)


def perplexity() -> CorpusMetric:
    """exp(Σ nats / Σ tokens). ``statistics(nll_nats, tokens)``: (n,) negative log-likelihoods of whole examples."""

    def statistics(nll_nats: npt.ArrayLike, tokens: npt.ArrayLike) -> Array:
        rows = np.column_stack([np.asarray(nll_nats, dtype=np.float64), np.asarray(tokens, dtype=np.float64)])
        if not np.isfinite(rows).all() or (rows[:, 1] < 0).any() or rows[:, 1].sum() == 0:
            raise ValueError("perplexity needs finite nats and token counts of at least 0 that are not all 0")
        return rows

    return CorpusMetric(
        "perplexity", statistics, lambda totals: np.exp(_first_over_second(totals)), lowest=0.0, highest=np.inf
    )


def bits_per_unit() -> CorpusMetric:
    """Σ nats / Σ units / ln 2: bits a byte, for one. ``statistics(nll_nats, units)`` as in `perplexity`."""
    return CorpusMetric(
        "bits_per_unit",
        perplexity().statistics,
        lambda totals: _first_over_second(totals) / np.log(2),
        lowest=0.0,
        highest=np.inf,
    )


def auroc() -> CorpusMetric:
    """Area under the ROC curve. ``statistics(scores, targets)``: (n,) scores and 0/1 targets.

    The area is a mean over pairs of a positive and a negative example and has no exact statistics of fixed size. The
    rows hold each example's *placement*: for a positive the share of negatives that it beats (ties half), for a
    negative the share of positives that beat it, both against the whole sample. Sums of placements give the area
    exactly on the sample itself, and on a resample its Hájek projection, A* ≈ Ā₁* + Ā₀* − A: the resampling form of
    DeLong, DeLong and Clarke-Pearson (1988), off by terms of order 1/n.
    """

    def statistics(scores: npt.ArrayLike, targets: npt.ArrayLike) -> Array:
        score = np.asarray(scores, dtype=np.float64)
        positive = _labels(np.asarray(targets), 2, len(score), "targets") == 1
        n_positive, n_negative = int(positive.sum()), int((~positive).sum())
        if n_positive == 0 or n_negative == 0 or not np.isfinite(score).all():
            raise ValueError(f"AUROC needs finite scores of both classes, got {n_positive} ones and {n_negative} zeros")
        rank = scipy.stats.rankdata(score)
        placement = np.empty(len(score))
        placement[positive] = (rank[positive] - scipy.stats.rankdata(score[positive])) / n_negative
        placement[~positive] = 1.0 - (rank[~positive] - scipy.stats.rankdata(score[~positive])) / n_positive
        area = np.full(len(score), placement[positive].mean())
        return np.column_stack([positive, ~positive, placement * positive, placement * ~positive, area])

    def from_totals(totals: Array) -> Array:
        area = totals[..., 4] / (totals[..., 0] + totals[..., 1])
        of_positives = np.where(totals[..., 0] > 0, _ratio(totals[..., 2], totals[..., 0]), area)
        of_negatives = np.where(totals[..., 1] > 0, _ratio(totals[..., 3], totals[..., 1]), area)
        return of_positives + of_negatives - area

    def pseudo_examples(statistics: Array) -> Array:
        area = statistics[0, 4]
        return np.array([[1, 0, 1, 0, area], [1, 0, 0, 0, area], [0, 1, 0, 1, area], [0, 1, 0, 0, area]])

    return CorpusMetric("auroc", statistics, from_totals, lowest=0.0, highest=1.0, pseudo_examples=pseudo_examples)


def bleu(**options: Any) -> CorpusMetric:
    """Corpus BLEU of sacreBLEU, with its ``options``, on the scale of 0 to 100.

    ``statistics(hypotheses, references)``: n strings, and one list of n strings a reference set, as in sacreBLEU.
    Smoothing ``exp`` (its default) and ``none`` are supported.
    """
    from sacrebleu.metrics.bleu import BLEU

    scorer = BLEU(**options)
    order = scorer.max_ngram_order
    if scorer.smooth_method not in ("exp", "none") or scorer.effective_order:
        raise ValueError(f"smooth_method must be exp or none without effective_order, got {scorer.smooth_method!r}")

    def from_totals(totals: Array) -> Array:
        totals = np.maximum(totals, 0.0)
        hypothesis_length, reference_length = totals[..., 0], totals[..., 1]
        hits, tries = totals[..., 2 : 2 + order], totals[..., 2 + order :]
        missed = hits <= 0
        halvings = np.cumsum(missed, axis=-1) if scorer.smooth_method == "exp" else np.where(missed, np.inf, 0.0)
        precision = _ratio(np.where(missed, np.exp2(-halvings.astype(np.float64)), hits), tries)
        with np.errstate(divide="ignore"):
            geometric = np.exp(np.log(precision).mean(axis=-1))
        brevity = np.exp(np.minimum(0.0, 1.0 - _ratio(reference_length, hypothesis_length)))
        scored = (hypothesis_length > 0) & ~missed.all(axis=-1)
        return np.where(scored, 100.0 * brevity * geometric, 0.0)

    return CorpusMetric("bleu", _text_statistics(scorer), from_totals, lowest=0.0, highest=100.0)


def chrf(**options: Any) -> CorpusMetric:
    """Corpus chrF (chrF++ with ``word_order=2``) of sacreBLEU, on the scale of 0 to 100."""
    from sacrebleu.metrics.chrf import CHRF

    scorer = CHRF(**options)
    if scorer.eps_smoothing:
        raise ValueError("chrF with eps_smoothing is not supported")
    weight = float(scorer.beta) ** 2

    def from_totals(totals: Array) -> Array:
        counts = np.maximum(totals, 0.0).reshape(*totals.shape[:-1], -1, 3)
        hypothesis, reference, match = counts[..., 0], counts[..., 1], counts[..., 2]
        used = (hypothesis > 0) & (reference > 0)
        n_used = np.count_nonzero(used, axis=-1)
        precision = _ratio(np.where(used, _ratio(match, hypothesis), 0.0).sum(axis=-1), n_used)
        recall = _ratio(np.where(used, _ratio(match, reference), 0.0).sum(axis=-1), n_used)
        return 100.0 * _ratio((1 + weight) * precision * recall, weight * precision + recall)

    return CorpusMetric("chrf", _text_statistics(scorer), from_totals, lowest=0.0, highest=100.0)


def _text_statistics(scorer: Any) -> Callable[[Sequence[str], Sequence[Sequence[str]]], Array]:
    def statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Array:
        if not hypotheses or any(len(reference) != len(hypotheses) for reference in references):
            raise ValueError("every reference set needs one string for each of at least one hypothesis")
        # sacreBLEU 2.x has no public way to the per-sentence statistics; its own significance tests use this one.
        return np.array(scorer._extract_corpus_statistics(hypotheses, references), dtype=np.float64)

    return statistics


def _confusion_statistics(n_classes: int) -> Callable[[npt.ArrayLike, npt.ArrayLike], Array]:
    """Per example: hit, target and prediction of each class, (n, 3 · n_classes)."""

    def statistics(targets: npt.ArrayLike, predictions: npt.ArrayLike) -> Array:
        target = _labels(np.asarray(targets), n_classes, None, "targets")
        prediction = _labels(np.asarray(predictions), n_classes, len(target), "predictions", none=True)
        rows = np.zeros((len(target), 3, n_classes))
        example = np.arange(len(target))
        rows[example, 1, target] = 1.0
        given = prediction >= 0
        rows[example[given], 2, prediction[given]] = 1.0
        rows[:, 0] = rows[:, 1] * rows[:, 2]
        return rows.reshape(len(target), 3 * n_classes)

    return statistics


def _right_and_wrong(n_classes: int) -> Callable[[Array], Array]:
    """For each class that occurs, an example of it that is right and one that gets no class."""

    def pseudo_examples(statistics: Array) -> Array:
        _, targets, predictions = _confusion_totals(statistics.sum(axis=0), n_classes)
        present = np.eye(n_classes)[targets + predictions > 0]
        nothing = np.zeros_like(present)
        right, wrong = np.hstack([present, present, present]), np.hstack([nothing, present, nothing])
        return np.concatenate([right, wrong])

    return pseudo_examples


def _confusion_totals(totals: Array, n_classes: int) -> tuple[Array, Array, Array]:
    parts = totals.reshape(*totals.shape[:-1], 3, n_classes)
    return parts[..., 0, :], parts[..., 1, :], parts[..., 2, :]


def _labels(
    labels: npt.NDArray[Any], n_classes: int, n: int | None, name: str, none: bool = False
) -> npt.NDArray[np.intp]:
    if labels.ndim != 1 or len(labels) == 0 or (n is not None and len(labels) != n):
        raise ValueError(f"{name} must be one label an example, got shape {labels.shape}")
    codes = labels.astype(np.intp)
    lowest = -1 if none else 0
    if labels.dtype.kind not in "biu" or codes.min() < lowest or codes.max() >= n_classes:
        raise ValueError(f"{name} must be integers {lowest} … {n_classes - 1}, got {np.unique(labels)[:10].tolist()}")
    return codes


def _probabilities(values: npt.ArrayLike, name: str) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or not ((array >= 0) & (array <= 1)).all():
        raise ValueError(f"{name} must lie in [0, 1], at least one of them")
    return array


def _first_over_second(totals: Array) -> Array:
    return _ratio(totals[..., 0], totals[..., 1])


def _ratio(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any]) -> Array:
    """0 where the denominator is 0."""
    quotient: Array = np.zeros(np.broadcast(numerator, denominator).shape)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient
