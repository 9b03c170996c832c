"""Corpus metrics of texts, by sacreBLEU's statistics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlbaseline.stats.corpus.metric import CorpusMetric, ratio
from mlbaseline.stats.types import Array


def bleu(**options: Any) -> CorpusMetric:
    """Corpus BLEU of sacreBLEU, on the scale of 0 to 100.

    Args:
        **options: Of sacreBLEU's ``BLEU``; smoothing ``exp`` (its default) and ``none`` are supported.

    Returns:
        The metric. ``statistics(hypotheses, references)`` takes n strings, and one list of n strings a reference set.

    Raises:
        ValueError: If another smoothing or the effective order is chosen.

    Example:
        >>> metric = bleu()
        >>> round(metric.of(metric.statistics(["the cat sat on the mat"], [["the cat sat on the mat"]])))
        100
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
        precision = ratio(np.where(missed, np.exp2(-halvings.astype(np.float64)), hits), tries)
        with np.errstate(divide="ignore"):
            geometric = np.exp(np.log(precision).mean(axis=-1))
        brevity = np.exp(np.minimum(0.0, 1.0 - ratio(reference_length, hypothesis_length)))
        scored = (hypothesis_length > 0) & ~missed.all(axis=-1)
        return np.where(scored, 100.0 * brevity * geometric, 0.0)

    return CorpusMetric("bleu", _text_statistics(scorer), from_totals, lowest=0.0, highest=100.0)


def chrf(**options: Any) -> CorpusMetric:
    """Corpus chrF (chrF++ with ``word_order=2``) of sacreBLEU, on the scale of 0 to 100.

    Args:
        **options: Of sacreBLEU's ``CHRF``.

    Returns:
        The metric. ``statistics(hypotheses, references)`` as in `bleu`.

    Raises:
        ValueError: If smoothing by epsilon is chosen.

    Example:
        >>> metric = chrf()
        >>> round(metric.of(metric.statistics(["the cat"], [["the cat"]])))
        100
    """
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
        precision = ratio(np.where(used, ratio(match, hypothesis), 0.0).sum(axis=-1), n_used)
        recall = ratio(np.where(used, ratio(match, reference), 0.0).sum(axis=-1), n_used)
        return 100.0 * ratio((1 + weight) * precision * recall, weight * precision + recall)

    return CorpusMetric("chrf", _text_statistics(scorer), from_totals, lowest=0.0, highest=100.0)


def _text_statistics(scorer: Any) -> Callable[[Sequence[str], Sequence[Sequence[str]]], Array]:
    def statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Array:
        if not hypotheses or any(len(reference) != len(hypotheses) for reference in references):
            raise ValueError("every reference set needs one string for each of at least one hypothesis")
        # sacreBLEU 2.x has no public way to the per-sentence statistics; its own significance tests use this one.
        return np.array(scorer._extract_corpus_statistics(hypotheses, references), dtype=np.float64)

    return statistics
