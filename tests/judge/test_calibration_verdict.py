"""The quick form of the verdict's calibration, on suites of its own: it fails where a rule lets too much or too little
through."""

from __future__ import annotations

import pytest

from tests.judge.calibration_verdict import Truth, decisions, detectable, truths

N_SUITES = 10


@pytest.mark.parametrize(
    ("truth", "least", "most"),
    [(truth, *limits) for truth, limits in zip(truths(), ((7, 10), (0, 1), (0, 2), (0, 1)), strict=True)],
    ids=lambda value: value.name if isinstance(value, Truth) else str(value),
)
def test_the_verdict_is_right(truth: Truth, least: int, most: int) -> None:
    """Were the shares just 0.80 and 0.05, these counts would be seen with probability 0.88, 0.91 and 0.99."""
    assert least <= decisions(truth, N_SUITES, first_seed=7_000)["promote"] <= most


def test_what_is_detectable_shrinks_with_the_root_of_n() -> None:
    assert detectable(300) / detectable(1_200) == pytest.approx(2.0, rel=0.05)
