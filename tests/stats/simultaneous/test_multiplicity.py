"""Adjusted p-values against statsmodels, brute force, and their own claim."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mlbaseline.stats import adjust

P = [0.001, 0.04, 0.03, 0.5, 0.02]


def test_holm_and_benjamini_hochberg_are_statsmodels() -> None:
    for ours, theirs in (("holm", "holm"), ("bh", "fdr_bh")):
        assert adjust(P, ours) == pytest.approx(multipletests(P, method=theirs)[1])
    assert adjust(P, "none") == pytest.approx(P)
    assert len(adjust([], "holm")) == 0


def test_romano_wolf_by_hand() -> None:
    draws = np.array([[0.5, -2.0], [1.5, 0.1], [-3.0, 0.2], [0.2, 1.0]])
    adjusted = adjust([0.1, 0.1], "romano_wolf", statistics=[2.5, -1.0], draws=draws)
    # |t| 2.5 against the larger of both columns (2.0, 1.5, 3.0, 1.0); then 1.0 against the second (2.0, .1, .2, 1.0).
    assert adjusted == pytest.approx([2 / 5, 3 / 5])


def test_romano_wolf_beats_holm_under_correlation_and_keeps_its_level() -> None:
    rng = np.random.default_rng(0)
    shared = 0.95
    root = np.linalg.cholesky(shared * np.ones((20, 20)) + (1 - shared) * np.eye(20))
    draws = rng.normal(size=(4_000, 20)) @ root.T
    errors, less_than_holm = 0, []
    for trial in range(1_000):
        t = root @ rng.normal(size=20)
        p = 2 * stats.norm.sf(np.abs(t))
        adjusted = adjust(p, "romano_wolf", statistics=t, draws=draws)
        errors += bool((adjusted <= 0.05).any())
        if trial < 20:  # statsmodels 0.15 collects garbage at every call
            less_than_holm.append((adjusted <= adjust(p, "holm") + 1e-3).mean())
    assert errors / 1_000 <= 0.065
    assert np.mean(less_than_holm) > 0.95


def test_identical_systems_stay_at_one() -> None:
    draws = np.random.default_rng(1).normal(size=(500, 3))
    draws[:, 1] = 0.0
    adjusted = adjust([0.0, 1.0, 0.0], "romano_wolf", statistics=[5.0, 0.0, 4.0], draws=draws)
    assert adjusted[1] == 1.0
    assert adjusted[0] == pytest.approx(1 / 501)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"p_values": [0.1, math.nan], "method": "holm"}, "within"),
        ({"p_values": [0.1, 1.2], "method": "bh"}, "within"),
        ({"p_values": [[0.1]], "method": "bh"}, "shape"),
        ({"p_values": [0.1], "method": "hochberg"}, "method"),
        ({"p_values": [0.1], "method": "romano_wolf"}, "expected both"),
        ({"p_values": [0.1], "method": "holm", "statistics": [1.0], "draws": [[1.0]]}, "neither"),
        ({"p_values": [0.1], "method": "romano_wolf", "statistics": [1.0], "draws": [[1.0, 2.0]]}, "shapes"),
        ({"p_values": [0.1], "method": "romano_wolf", "statistics": [math.nan], "draws": [[1.0]]}, "finite"),
    ],
)
def test_refusals(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        adjust(**arguments)


def test_one_sided_romano_wolf_looks_at_one_side_only() -> None:
    rng = np.random.default_rng(4)
    draws = rng.normal(size=(4_000, 3))
    statistics = np.array([2.6, -2.6, 0.3])
    above, below, both = (
        adjust(np.ones(3), "romano_wolf", statistics=statistics, draws=draws, alternative=alternative)  # type: ignore[arg-type]
        for alternative in ("greater", "less", "two-sided")
    )
    assert above[0] < both[0] < 0.05
    assert above[1] > 0.9
    assert below[1] < both[1] < 0.05
    single = adjust([1.0], "romano_wolf", statistics=[1.645], draws=draws[:, :1], alternative="greater")
    assert single[0] == pytest.approx(0.05, abs=0.015)
    with pytest.raises(ValueError, match="alternative"):
        adjust([0.1], "holm", alternative="both")  # type: ignore[arg-type]
