"""Aggregates over tasks against scipy, and their coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mlbaseline.stats.several_tasks import (
    compare_ranks,
    interquartile_mean,
    performance_profile,
    probability_of_improvement_over_tasks,
)


def runs(seeds: int, tasks: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(seeds, tasks)) + 0.3 * np.arange(tasks)


def generator() -> np.random.Generator:
    return np.random.default_rng(1)


def test_interquartile_mean_is_scipys() -> None:
    scores = runs(5, 16)
    found = interquartile_mean(scores, rng=generator())
    assert found.value == pytest.approx(stats.trim_mean(scores.ravel(), 0.25))
    assert found.low < found.value < found.high
    assert (found.n_seeds, found.n_tasks) == (5, 16)
    outlying = scores.copy()
    outlying[:, -1] = 1e6
    assert interquartile_mean(outlying, rng=generator()).value < 6


def test_probability_of_improvement_over_tasks_is_the_mean_of_mann_whitney() -> None:
    first, second = np.round(runs(6, 8), 1), np.round(runs(4, 8, seed=2), 1)
    found = probability_of_improvement_over_tasks(first, second, rng=generator())
    expected = [stats.mannwhitneyu(first[:, t], second[:, t]).statistic / 24 for t in range(8)]
    assert found.value == pytest.approx(np.mean(expected))
    back = probability_of_improvement_over_tasks(second, first, rng=generator())
    assert back.value == pytest.approx(1 - found.value)
    assert found.n_seeds == 4


def test_a_system_against_itself_is_even_and_uncertain() -> None:
    scores = runs(4, 8)
    found = probability_of_improvement_over_tasks(scores, scores, rng=generator())
    assert found.value == 0.5
    assert found.low < 0.5 < found.high


def test_profile_counts_runs_above() -> None:
    scores, thresholds = runs(5, 10), np.array([-10.0, 0.5, 1.5, 99.0])
    found = performance_profile(scores, thresholds, rng=generator())
    np.testing.assert_allclose(found.share, [(scores > t).mean() for t in thresholds])
    assert (found.share[0], found.low[0], found.high[-1]) == (1.0, 1.0, 0.0)
    assert (found.low <= found.share).all()
    assert (found.high >= found.share).all()
    assert (np.diff(found.share) <= 0).all()


@pytest.mark.parametrize("decimals", [6, 0])
def test_ranks_are_friedmans(decimals: int) -> None:
    scores = np.round(np.random.default_rng(0).normal(size=(30, 5)) + 0.4 * np.arange(5), decimals)
    found = compare_ranks(scores)
    assert found.p_value == pytest.approx(stats.friedmanchisquare(*scores.T).pvalue)
    assert found.average_ranks.sum() == pytest.approx(15)
    assert found.average_ranks.argmin() == 4


def test_critical_difference_is_demsars() -> None:
    """Demšar (2006): q₀.₀₅ of four systems is 2.569, so that 14 tasks give a critical difference of 1.25."""
    assert compare_ranks(np.random.default_rng(0).normal(size=(14, 4))).critical_difference == pytest.approx(
        1.25, abs=0.005
    )


def test_groups_are_the_diagrams_bars() -> None:
    scores = np.tile(np.array([4.0, 3.0, 2.0, 1.0]), (200, 1))
    assert compare_ranks(scores).groups == ()
    assert compare_ranks(np.ones((20, 3))).groups == ((0, 1, 2),)
    assert compare_ranks(np.ones((20, 3))).p_value == 1.0
    noisy = np.random.default_rng(0).normal(size=(20, 4)) * 0.7 + np.array([0.0, 0.4, 0.8, 1.2])
    found = compare_ranks(noisy)
    for group in found.groups:
        assert np.ptp(found.average_ranks[list(group)]) <= found.critical_difference


@pytest.mark.parametrize(("seeds", "tasks"), [(3, 20), (10, 10)])
def test_coverage_over_seeds(seeds: int, tasks: int) -> None:
    rng = np.random.default_rng(0)
    shift = 0.3 * np.arange(tasks)
    truth = stats.trim_mean((rng.normal(size=(100_000, tasks)) + shift).ravel(), 0.25)
    middle, better = [], []
    for _ in range(300):
        scores = rng.normal(size=(seeds, tasks)) + shift
        found = interquartile_mean(scores, n_resamples=400, rng=rng)
        middle.append(found.low <= truth <= found.high)
        found = probability_of_improvement_over_tasks(
            scores + 0.5, rng.normal(size=(seeds, tasks)) + shift, n_resamples=400, rng=rng
        )
        better.append(found.low <= stats.norm.cdf(0.5 / np.sqrt(2)) <= found.high)
    assert np.mean(middle) >= 0.90
    assert np.mean(better) >= 0.92


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interquartile_mean(np.ones((1, 5))), "at least two seeds"),
        (lambda: interquartile_mean(np.array([[1.0, np.nan], [1.0, 2.0]])), "finite"),
        (lambda: interquartile_mean(np.ones((2, 5)), level=1.0), "level"),
        (lambda: probability_of_improvement_over_tasks(np.ones((2, 5)), np.ones((2, 4))), "same tasks"),
        (lambda: performance_profile(np.ones((2, 5)), []), "thresholds"),
        (lambda: compare_ranks(np.ones((1, 5))), "two of each"),
        (lambda: compare_ranks(np.array([[1.0, np.nan], [1.0, 2.0]])), "finite"),
    ],
)
def test_bad_input_is_named(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
