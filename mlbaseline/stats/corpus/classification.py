"""Corpus metrics of decisions and of rankings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import scipy

from mlbaseline.stats.corpus.metric import CorpusMetric, checked_labels, ratio
from mlbaseline.stats.types import Array


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

    Example:
        >>> metric = macro_f1(2)
        >>> round(metric.of(metric.statistics([0, 1, 1, 0], [0, 1, 0, 0])), 4)
        0.7333
    """

    def averaged_over(classes: Callable[[Array], Array]) -> Callable[[Array], Array]:
        def from_totals(totals: Array) -> Array:
            hits, targets, predictions = _confusion_totals(totals, n_classes)
            support = targets + predictions
            return ratio(ratio(2 * hits, support).sum(axis=-1), classes(support))

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
        caution=_absent_classes(n_classes),
    )
    return metric


def micro_f1(n_classes: int) -> CorpusMetric:
    """F1 of all decisions together: accuracy, unless some predictions are −1 (none), which cost recall only.

    Args:
        n_classes: Number of classes.

    Returns:
        The metric. ``statistics(targets, predictions)`` as `macro_f1`.

    Example:
        >>> metric = micro_f1(2)
        >>> metric.of(metric.statistics([0, 1, 1, 0], [0, 1, 0, 0]))
        0.75
    """

    def from_totals(totals: Array) -> Array:
        hits, targets, predictions = _confusion_totals(totals, n_classes)
        return ratio(2 * hits.sum(axis=-1), targets.sum(axis=-1) + predictions.sum(axis=-1))

    return CorpusMetric(
        "micro_f1",
        _confusion_statistics(n_classes),
        from_totals,
        lowest=0.0,
        highest=1.0,
        pseudo_examples=_right_and_wrong(n_classes),
    )


def mcc(n_classes: int) -> CorpusMetric:
    """Matthews correlation for any number of classes (Gorodkin 2004); 0 where either side has one class only.

    Args:
        n_classes: Number of classes.

    Returns:
        The metric, within [−1, 1]. ``statistics(targets, predictions)`` as `macro_f1`.

    Example:
        >>> metric = mcc(2)
        >>> round(metric.of(metric.statistics([0, 1, 1, 0], [0, 1, 0, 0])), 3)
        0.577
    """

    def from_totals(totals: Array) -> Array:
        hits, targets, predictions = _confusion_totals(totals, n_classes)
        n = targets.sum(axis=-1)
        # Predictions of none form a class of their own, that no target has.
        squared_predictions = np.square(predictions).sum(axis=-1) + np.square(n - predictions.sum(axis=-1))
        covariance = hits.sum(axis=-1) * n - (targets * predictions).sum(axis=-1)
        spread = (n**2 - squared_predictions) * (n**2 - np.square(targets).sum(axis=-1))
        return ratio(covariance, np.sqrt(np.maximum(spread, 0.0)))

    return CorpusMetric(
        "mcc",
        _confusion_statistics(n_classes),
        from_totals,
        lowest=-1.0,
        highest=1.0,
        pseudo_examples=_right_and_wrong(n_classes),
    )


def auroc() -> CorpusMetric:
    """Area under the ROC curve.

    The area is a mean over pairs of a positive and a negative example and has no exact statistics of fixed size. The
    rows hold each example's *placement*: for a positive the share of negatives that it beats (ties half), for a
    negative the share of positives that beat it, both against the whole sample. Sums of placements give the area
    exactly on the sample itself, and on a resample its Hájek projection, A* ≈ Ā₁* + Ā₀* − A: the resampling form of
    DeLong, DeLong and Clarke-Pearson (1988), off by terms of order 1/n.

    Returns:
        The metric. ``statistics(scores, targets)`` takes (n,) scores and 0/1 targets.

    Example:
        >>> metric = auroc()
        >>> metric.of(metric.statistics([0.9, 0.8, 0.3, 0.1], [1, 0, 1, 0]))
        0.75
    """

    def statistics(scores: npt.ArrayLike, targets: npt.ArrayLike) -> Array:
        score = np.asarray(scores, dtype=np.float64)
        positive = checked_labels(np.asarray(targets), 2, len(score), "targets") == 1
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
        of_positives = np.where(totals[..., 0] > 0, ratio(totals[..., 2], totals[..., 0]), area)
        of_negatives = np.where(totals[..., 1] > 0, ratio(totals[..., 3], totals[..., 1]), area)
        return of_positives + of_negatives - area

    def pseudo_examples(statistics: Array) -> Array:
        area = statistics[0, 4]
        return np.array([[1, 0, 1, 0, area], [1, 0, 0, 0, area], [0, 1, 0, 1, area], [0, 1, 0, 0, area]])

    return CorpusMetric("auroc", statistics, from_totals, lowest=0.0, highest=1.0, pseudo_examples=pseudo_examples)


def _absent_classes(n_classes: int) -> Callable[[Array], str]:
    """Warn of classes that were not drawn: the mean leaves them out, and the interval misses their part."""

    def caution(totals: Array) -> str:
        _, targets, _ = _confusion_totals(totals, n_classes)
        absent = int(np.count_nonzero(targets == 0))
        if not absent:
            return ""
        what = "1 class has" if absent == 1 else f"{absent} classes have"
        return f"{what} no example here: the mean is over the others, and its interval says nothing of what is missing"

    return caution


def _confusion_statistics(n_classes: int) -> Callable[[npt.ArrayLike, npt.ArrayLike], Array]:
    """Per example: hit, target and prediction of each class, (n, 3 · n_classes)."""

    def statistics(targets: npt.ArrayLike, predictions: npt.ArrayLike) -> Array:
        target = checked_labels(np.asarray(targets), n_classes, None, "targets")
        prediction = checked_labels(np.asarray(predictions), n_classes, len(target), "predictions", none=True)
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
