"""Corpus metrics against scikit-learn and sacreBLEU."""

from __future__ import annotations

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sklearn import metrics as sklearn_metrics

from mlbaseline.stats.corpus.classification import auroc, macro_f1, mcc, micro_f1
from mlbaseline.stats.corpus.interval import corpus_interval
from mlbaseline.stats.corpus.probabilities import brier, ece, perplexity
from mlbaseline.stats.corpus.text import bleu, chrf
from tests.stats.corpus.sentences import sentences


def labels(n: int, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, k, n)
    return target, np.where(rng.random(n) < 0.6, target, rng.integers(0, k, n))


@given(st.integers(1, 80), st.integers(2, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning", "ignore::UserWarning")
def test_classification_metrics_are_scikit_learns(n: int, k: int, seed: int) -> None:
    target, prediction = labels(n, k, seed)
    for metric, expected in (
        (macro_f1(k), sklearn_metrics.f1_score(target, prediction, average="macro", zero_division=0)),
        (micro_f1(k), sklearn_metrics.f1_score(target, prediction, average="micro", zero_division=0)),
        (mcc(k), sklearn_metrics.matthews_corrcoef(target, prediction)),
    ):
        assert metric.of(metric.statistics(target, prediction)) == pytest.approx(expected, abs=1e-12)


def test_answers_that_are_no_class_count_against_recall_only() -> None:
    target, prediction = np.array([0, 0, 1, 1]), np.array([0, -1, 1, 1])
    one = macro_f1(2)
    assert one.of(one.statistics(target, prediction)) == pytest.approx((2 / 3 + 1) / 2)
    assert micro_f1(2).of(one.statistics(target, prediction)) == pytest.approx(2 * 3 / 7)
    assert mcc(2).of(one.statistics(target, prediction)) == pytest.approx(
        sklearn_metrics.matthews_corrcoef(target, np.where(prediction < 0, 2, prediction))
    )


def test_auroc_is_scikit_learns_with_ties() -> None:
    rng = np.random.default_rng(0)
    target = (rng.random(300) < 0.4).astype(int)
    score = np.round(rng.normal(size=300) + target, 1)
    metric = auroc()
    assert metric.of(metric.statistics(score, target)) == pytest.approx(sklearn_metrics.roc_auc_score(target, score))


def test_the_projection_of_auroc_follows_its_recomputation() -> None:
    """On real resamples the projected area differs from the recomputed one far less than the areas vary."""
    rng = np.random.default_rng(0)
    target = (rng.random(400) < 0.3).astype(int)
    score = rng.normal(size=400) + target
    rows = auroc().statistics(score, target)
    picks = rng.integers(0, 400, size=(300, 400))
    exact = np.array([sklearn_metrics.roc_auc_score(target[p], score[p]) for p in picks])
    projected = auroc().from_totals(rows[picks].sum(axis=1))
    assert (projected - exact).std() < 0.08 * exact.std()
    assert projected.std() == pytest.approx(exact.std(), rel=0.02)


def test_brier_and_ece_and_perplexity() -> None:
    rng = np.random.default_rng(0)
    p, target = rng.random(200), rng.integers(0, 2, 200)
    metric = brier()
    assert metric.of(metric.statistics(p, target)) == pytest.approx(sklearn_metrics.brier_score_loss(target, p))
    table = np.column_stack([1 - p, p])
    assert metric.of(metric.statistics(table, target)) == pytest.approx(2 * sklearn_metrics.brier_score_loss(target, p))

    confidence, correct = np.array([0.0, 0.1, 0.15, 0.95, 1.0, 0.9]), np.array([0, 1, 0, 1, 1, 0])
    # Ten bins, closed above: {0, .1}, {.15}, {.95, 1}, {.9}.
    expected = (abs(1 - 0.1) + abs(0 - 0.15) + abs(2 - 1.95) + abs(0 - 0.9)) / 6
    assert ece(10).of(ece(10).statistics(confidence, correct)) == pytest.approx(expected)

    nats, tokens = np.array([3.0, 8.0]), np.array([2, 6])
    assert perplexity().of(perplexity().statistics(nats, tokens)) == pytest.approx(np.exp(11 / 8))


@pytest.mark.parametrize("n", [1, 3, 60])
@pytest.mark.parametrize("length", [3, 12])
def test_text_metrics_are_sacrebleus(n: int, length: int) -> None:
    first, second, reference = sentences(n, seed=n, length=length)
    for hypothesis in (first, second, ["zzz"] * n, [""] * n):
        for metric, expected in (
            (bleu(), sacrebleu.corpus_bleu(hypothesis, [reference])),
            (bleu(smooth_method="none"), sacrebleu.corpus_bleu(hypothesis, [reference], smooth_method="none")),
            (chrf(), sacrebleu.corpus_chrf(hypothesis, [reference])),
            (chrf(word_order=2), sacrebleu.corpus_chrf(hypothesis, [reference], word_order=2)),
        ):
            assert metric.of(metric.statistics(hypothesis, [reference])) == pytest.approx(expected.score, abs=1e-9)


def test_resampled_bleu_is_sacrebleus_on_the_same_totals() -> None:
    """Also where a resample misses an n-gram order, and smoothing steps in."""
    hypothesis, _, reference = sentences(8, seed=1, length=5)
    metric, scorer = bleu(), BLEU()
    rows = metric.statistics(hypothesis, [reference])
    totals = rows[np.random.default_rng(0).integers(0, 8, size=(200, 8))].sum(axis=1)
    assert (totals[:, 2:6] == 0).any()
    expected = [scorer._compute_score_from_stats(total.astype(int).tolist()).score for total in totals]
    np.testing.assert_allclose(metric.from_totals(totals), expected, atol=1e-9)


def test_bleu_spread_is_that_of_sacrebleus_own_resampling() -> None:
    first, _, reference = sentences(200, seed=3)
    theirs = BLEU().corpus_score(first, [reference], n_bootstrap=2_000)
    metric = bleu()
    ours = corpus_interval(metric.statistics(first, [reference]), metric)
    assert ours.value == pytest.approx(theirs.score)
    assert (ours.high - ours.low) / 2 == pytest.approx(theirs._ci, rel=0.08)
