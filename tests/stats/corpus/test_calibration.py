"""Coverage and size of the intervals of corpus metrics, by simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlbaseline.stats.corpus.classification import auroc, macro_f1
from mlbaseline.stats.corpus.comparison import compare_corpus
from mlbaseline.stats.corpus.interval import corpus_interval
from mlbaseline.stats.corpus.metric import CorpusMetric
from mlbaseline.stats.corpus.probabilities import brier, ece, perplexity, squared_calibration_error
from tests.stats.simultaneous.calibration_joint import simulate_corpus, simulate_recipe


@pytest.mark.parametrize(
    ("name", "n", "cluster_size"),
    [
        ("macro_f1", 80, 1),
        ("macro_f1 sparse", 100, 1),
        ("mcc", 100, 1),
        ("auroc", 100, 1),
        ("ece", 100, 1),
        ("mcc", 80, 4),
    ],
)
def test_coverage_and_size(name: str, n: int, cluster_size: int) -> None:
    found = simulate_corpus(name, n, n_tables=300, cluster_size=cluster_size, seed=5)
    assert found.coverage >= 0.95 - 2.5 * np.sqrt(0.05 * 0.95 / 300)
    assert found.size <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 300)


def test_recipe_coverage_counts_the_seeds() -> None:
    found = simulate_recipe(n_seeds=3, seed_spread=0.04, n_tables=200, seed=5)
    assert found.coverage >= 0.90
    assert found.examples_only < 0.85


@pytest.mark.parametrize("n", [100, 300])
def test_debiased_calibration_error_covers_where_the_plug_in_does_not(n: int) -> None:
    """One model overconfident by 0.1, one calibrated: the plug-in covers 0.60 to 0.70."""
    rng, metric = np.random.default_rng(0), ece()
    debiased = metric.compared_by(np.empty(0))  # type: ignore[misc]

    def draw(size: int) -> list[np.ndarray]:
        rates = rng.beta(5, 2, (2, size))
        correct = (rng.random((2, size)) < rates).astype(float)
        return [metric.statistics(np.clip(rates[i] + 0.1 * (1 - i), 0, 1), correct[i]) for i in range(2)]

    large = draw(400_000)
    truth = debiased.of(large[0]) - debiased.of(large[1])
    results = [compare_corpus(*draw(n), metric, n_resamples=500, rng=rng) for _ in range(120)]
    assert np.mean([result.low <= truth <= result.high for result in results]) >= 0.93
    assert results[0].metric == "squared_calibration_error"


def test_debiased_calibration_error_is_unbiased() -> None:
    rng, metric = np.random.default_rng(1), squared_calibration_error(5)
    values = []
    for _ in range(2_000):
        confidence = rng.random(40)
        values.append(metric.of(metric.statistics(confidence, (rng.random(40) < confidence).astype(float))))
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(2_000)
    # By hand: one bin with gaps 0.5 and −0.5, another with 0.2 and 0.2.
    rows = squared_calibration_error(2).statistics([0.5, 0.5, 0.8, 0.8], [1, 0, 1, 1])
    assert squared_calibration_error(2).of(rows) == pytest.approx(((0.0 - 0.5) / 1 + (0.16 - 0.08) / 1) / 4)


@pytest.mark.parametrize(
    ("name", "n"), [("macro_f1 rare", 150), ("auroc few", 100), ("auroc few", 500), ("perplexity", 100)]
)
def test_intervals_of_one_system_cover(name: str, n: int) -> None:
    """By a symmetric bootstrap: 0.83 for rare classes, 0.71 to 0.76 for ten positives, 0.92 for skewed lengths."""
    rng = np.random.default_rng(2)

    def draw(size: int) -> tuple[CorpusMetric, np.ndarray]:
        if name == "macro_f1 rare":
            shares = np.array([0.03, 0.05, 0.12, 0.3, 0.5])
            target, guess = (rng.choice(5, size=size, p=shares) for _ in range(2))
            return macro_f1(5), macro_f1(5).statistics(target, np.where(rng.random(size) < 0.95, target, guess))
        if name == "auroc few":
            target = (np.arange(size) < (10 if size < 10_000 else size / 10)).astype(int)
            return auroc(), auroc().statistics(rng.normal(size=size) + 2.5 * target, target)
        tokens = np.ceil(rng.lognormal(3, 1, size))
        loss = np.maximum(0.2, 2 + 0.8 * rng.normal(size=size) + 0.3 * np.log(tokens / 20))
        return perplexity(), perplexity().statistics(loss * tokens, tokens)

    metric, large = draw(400_000)
    truth, covered = metric.of(large), []
    for _ in range(200):
        metric, rows = draw(n)
        result = corpus_interval(rows, metric)
        covered.append(result.low <= truth <= result.high)
    assert np.mean(covered) >= 0.93 - 1.5 * np.sqrt(0.07 * 0.93 / 200)


def draw_confidences(n: int, excess: float, rng: np.random.Generator, seeds: int = 1) -> np.ndarray:
    """Statistics (seeds, n, s) of confidences that are too high by `excess`."""
    rates = rng.beta(5, 2, n)
    correct = (rng.random(n) < rates).astype(float)
    excesses = excess + 0.03 * rng.normal(size=seeds) if seeds > 1 else np.array([excess])
    return np.stack([ece().statistics(np.clip(rates + each, 0, 1), correct) for each in excesses])


@pytest.mark.parametrize(("excess", "plain"), [(0.02, 0.1), (0.05, 0.7), (0.1, 0.95)])
def test_the_interval_of_ece_reaches_down_by_its_bias(excess: float, plain: float) -> None:
    """Chance gaps within bins make the value too high; an interval around it covers at most `plain`."""
    rng, metric = np.random.default_rng(3), ece()
    unaware = replace(metric, upward_bias=None)
    truth = metric.of(draw_confidences(400_000, excess, rng)[0])
    tables = [draw_confidences(100, excess, rng)[0] for _ in range(200)]

    def coverage(of: CorpusMetric) -> float:
        intervals = [corpus_interval(table, of) for table in tables]
        return float(np.mean([each.low <= truth <= each.high for each in intervals]))

    assert coverage(metric) >= 0.95
    assert coverage(unaware) <= plain


def test_the_bias_of_ece_is_what_it_is_too_high_by() -> None:
    rng, metric = np.random.default_rng(4), ece()
    tables = [draw_confidences(200, 0.0, rng)[0] for _ in range(200)]
    assert np.mean([metric.bias_of(table) for table in tables]) == pytest.approx(
        np.mean([metric.of(table) for table in tables]), rel=0.1
    )
    apart = draw_confidences(2_000, 0.3, rng, seeds=3)
    assert metric.bias_of(apart) < 0.01
    assert metric.bias_of(apart) == pytest.approx(np.mean([metric.bias_of(table) for table in apart]))
    assert brier().bias_of(np.ones((4, 2))) == 0.0
