"""The best of several: its bias, and intervals that survive the choice."""

from __future__ import annotations

import numpy as np
import pytest

from mlbaseline.stats import best_of, compare_paired, expected_selection_bias, select_then_confirm


def equal_candidates(rng: np.random.Generator, k: int, n: int) -> tuple[list[np.ndarray], np.ndarray]:
    difficulty = rng.normal(size=n)
    return [difficulty + rng.normal(size=n) for _ in range(k)], difficulty + rng.normal(size=n)


def test_expected_bias_of_ten() -> None:
    assert expected_selection_bias(1.0, 10) == pytest.approx(1.5388, abs=1e-3)
    assert expected_selection_bias(0.02, 10, correlation=0.75) == pytest.approx(0.01 * 1.5388, rel=1e-3)
    assert expected_selection_bias(1.0, 1) == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(ValueError, match="correlation"):
        expected_selection_bias(1.0, 3, correlation=1.2)


def test_corrected_interval_covers_where_the_naive_one_does_not() -> None:
    rng = np.random.default_rng(0)
    naive, corrected, adjusted, bias, expected = [], [], [], [], []
    for _ in range(150):
        candidates, baseline = equal_candidates(rng, 8, 300)
        best = best_of(candidates, baseline)
        naive.append(best.naive.low <= 0.0)
        corrected.append(best.comparison.low <= 0.0 <= best.comparison.high)
        adjusted.append(best.p_value <= 0.05)
        bias.append(best.naive.delta)
        expected.append(best.expected_bias)
    assert np.mean(naive) < 0.93
    assert np.mean(corrected) >= 0.93
    assert np.mean(adjusted) <= 0.08
    assert np.mean(bias) == pytest.approx(np.mean(expected), rel=0.2)


def test_one_candidate_needs_no_correction() -> None:
    candidates, baseline = equal_candidates(np.random.default_rng(1), 1, 400)
    best = best_of(candidates, baseline)
    assert best.comparison.low == pytest.approx(compare_paired(candidates[0], baseline).low, rel=0.02)


def test_copies_of_one_candidate_cost_next_to_nothing() -> None:
    candidates, baseline = equal_candidates(np.random.default_rng(2), 1, 400)
    alone, copies = best_of(candidates, baseline), best_of(candidates * 10, baseline)
    different, _ = equal_candidates(np.random.default_rng(3), 10, 400)
    assert copies.comparison.level == pytest.approx(alone.comparison.level, abs=2e-3)
    assert best_of(different, baseline).comparison.level > 0.985


def test_best_of_identical_systems() -> None:
    bits = (np.random.default_rng(4).random(100) < 0.7).astype(float)
    best = best_of([bits, bits, bits], bits)
    assert best.index == 0
    assert best.p_value == 1.0
    assert best.comparison.low < 0.0 < best.comparison.high


def test_clusters_and_seeds_are_accepted() -> None:
    rng = np.random.default_rng(5)
    runs = [(rng.random((3, 120)) < 0.6).astype(float) for _ in range(4)]
    base = (rng.random(120) < 0.6).astype(float)
    best = best_of(runs, base, clusters=np.arange(120) // 4)
    assert best.comparison.method.startswith("crossed")
    assert best.comparison.low < best.naive.low


def test_confirmation_judges_only_the_choice_of_dev() -> None:
    rng = np.random.default_rng(6)
    dev = [rng.random(50) + shift for shift in (0.0, 0.3, 0.1)]
    test = [rng.random(80) for _ in range(3)]
    baseline = rng.random(80)
    answer = select_then_confirm(dev, test, baseline)
    assert answer.index == 1
    assert answer.dev_lead > 0.0
    assert answer.comparison == compare_paired(test[1], baseline)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="at least one"):
        best_of([], np.zeros(5))
    with pytest.raises(ValueError, match="same examples"):
        best_of([np.zeros(4)], np.zeros(5))
    with pytest.raises(ValueError, match="same candidates"):
        select_then_confirm([np.zeros(4)], [], np.zeros(4))
