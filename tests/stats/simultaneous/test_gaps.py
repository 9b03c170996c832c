"""Gaps between slices: their intervals hold where slices are equal, and where one lies apart."""

from __future__ import annotations

import numpy as np
import pytest

from mlbaseline.stats import difference_of_gaps, group_gap

RATES = [
    ((0.7, 0.7, 0.7), (0.6, 0.6, 0.6)),
    ((0.8, 0.6), (0.7, 0.7)),
    ((0.9, 0.6, 0.7), (0.8, 0.7, 0.65)),
    ((0.6, 0.6, 0.6, 0.6), (0.9, 0.5, 0.7, 0.7)),
]


def paired(
    ours: tuple[float, ...], theirs: tuple[float, ...], n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """0/1 scores of two systems that find the same examples hard, and the groups."""
    groups, shared = rng.integers(0, len(ours), n), rng.random(n)
    own = np.where(rng.random(n) < 0.7, shared, rng.random(n))
    return (shared < np.array(ours)[groups]) * 1.0, (own < np.array(theirs)[groups]) * 1.0, groups


@pytest.mark.parametrize(("ours", "theirs"), RATES)
@pytest.mark.parametrize("n", [90, 500])
def test_coverage(ours: tuple[float, ...], theirs: tuple[float, ...], n: int) -> None:
    """At a nominal 0.95; 300 tables, so that 0.915 is three standard errors below."""
    rng = np.random.default_rng([n, len(ours)])
    gap, other = max(ours) - min(ours), max(theirs) - min(theirs)
    holds, differs = [], []
    for _ in range(300):
        a, b, groups = paired(ours, theirs, n, rng)
        found, difference = group_gap(a, groups), difference_of_gaps(a, b, groups)
        assert found.low <= found.value <= found.high and difference.low <= difference.value <= difference.high
        holds.append(found.low <= gap <= found.high)
        differs.append(difference.low <= gap - other <= difference.high)
    assert np.mean(holds) >= 0.915
    assert np.mean(differs) >= 0.915


def test_a_clear_gap_is_shown_and_shrinks_with_n() -> None:
    rng = np.random.default_rng(0)
    a, b, groups = paired((0.9, 0.5), (0.7, 0.7), 4000, rng)
    found, difference = group_gap(a, groups), difference_of_gaps(a, b, groups)
    assert (found.highest, found.lowest) == (0, 1)
    assert 0.35 < found.low < found.high < 0.45
    assert 0.2 < difference.low < difference.high < 0.5
    mirrored = difference_of_gaps(b, a, groups)
    assert (mirrored.low, mirrored.high) == pytest.approx((-difference.high, -difference.low))


def test_equal_slices_show_no_gap_and_identical_systems_no_difference() -> None:
    rng = np.random.default_rng(1)
    a, _, groups = paired((0.7, 0.7), (0.7, 0.7), 400, rng)
    assert group_gap(a, groups).low == 0.0
    same = difference_of_gaps(a, a, groups)
    assert (same.value, same.low < 0 < same.high) == (0.0, True)


def test_clusters_widen() -> None:
    rng = np.random.default_rng(2)
    clusters = np.repeat(np.arange(60), 5)
    groups = (clusters % 2).astype(int)
    scores = rng.normal(size=60)[clusters] + 0.3 * rng.normal(size=300)
    apart, together = group_gap(scores, groups), group_gap(scores, groups, clusters=clusters)
    assert together.high - together.value > 1.5 * (apart.high - apart.value)


@pytest.mark.parametrize(
    ("groups", "message"),
    [([0, 0, 0, 0], "at least two"), ([0, 2, 0, 2], "each present"), ([0, 1], "whole numbers"), ([0.0] * 4, "whole")],
)
def test_bad_groups(groups: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        group_gap([0.0, 1.0, 0.5, 0.25], groups)
