from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbaseline.judge.pareto import pareto_front

POINTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12)


@given(POINTS)
def test_front_is_what_no_point_beats(points: list[tuple[int, int]]) -> None:
    front = pareto_front([q for q, _ in points], [c for _, c in points])
    for (quality, cost), on_front in zip(points, front, strict=True):
        beaten = any((q >= quality and c <= cost) and (q > quality or c < cost) for q, c in points)
        assert on_front == (not beaten)


def test_what_is_unknown_is_not_on_the_front() -> None:
    assert pareto_front([0.5, np.nan, 0.9], [1.0, 0.1, np.nan]).tolist() == [True, False, False]


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="one shape"):
        pareto_front([1.0, 2.0], [1.0])
