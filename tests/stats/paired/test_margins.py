"""Decisions from intervals and margins."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mlbaseline.stats import (
    compare_paired,
    equivalence_level,
    equivalence_p_value,
    is_equivalent,
    is_non_inferior,
    is_superior,
)


def test_bounds_must_lie_strictly_beyond_the_margin() -> None:
    assert is_superior(0.011, 0.01)
    assert not is_superior(0.01, 0.01)
    assert is_non_inferior(-0.009, 0.01)
    assert not is_non_inferior(-0.01, 0.01)
    assert is_equivalent(-0.009, 0.009, 0.01)
    assert not is_equivalent(-0.009, 0.01, 0.01)


@pytest.mark.parametrize("margin", [-0.01, math.nan, math.inf])
def test_a_margin_is_a_size(margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        is_non_inferior(0.0, margin)


def test_a_missing_bound_decides_nothing() -> None:
    with pytest.raises(ValueError, match="NaN"):
        is_superior(math.nan)
    with pytest.raises(ValueError, match="alpha"):
        equivalence_level(0.5)


def test_decisions_agree_with_one_sided_tests() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        a, b = rng.normal(size=(2, 60)) * 0.2
        at_90 = compare_paired(a, b, level=equivalence_level(0.05))
        above = compare_paired(a, b, alternative="greater", margin=-0.08).p_value
        below = compare_paired(a, b, alternative="less", margin=0.08).p_value
        assert is_equivalent(at_90.low, at_90.high, 0.08) == (equivalence_p_value(above, below) <= 0.05)
        assert is_non_inferior(at_90.low, 0.08) == (above <= 0.05)
