"""The quick form of the calibration grid: every automatic method holds its level (the full form: docs/statistics)."""

from __future__ import annotations

import math

import pytest

from tests.stats.paired.calibration import enumerate_binary, quick_grid, simulate, table, verdict
from tests.stats.paired.calibration_data import Cell

REPLICATES = 500


@pytest.mark.parametrize("cell", list(quick_grid()), ids=lambda cell: f"{cell.family}: {cell.setting}, n={cell.n}")
def test_simulated_coverage(cell: Cell) -> None:
    result = simulate(cell, REPLICATES, seed=2)
    slack = 2.5 * math.sqrt(0.06 * 0.94 / REPLICATES)
    assert result.coverage >= 0.93 - slack
    assert result.coverage <= 0.9999 or "sparse" in result.methods or "crossed" in result.methods
    assert result.gate <= 0.06 + slack
    assert result.below <= 0.045 + slack


@pytest.mark.parametrize("n", [50, 200, 1_000])
@pytest.mark.parametrize("share_gained", [0.0, 0.3, 0.5, 1.0])
def test_binary_levels_are_exact(n: int, share_gained: float) -> None:
    for discordance in (0.01, 0.02, 0.05, 0.1, 0.4):
        result = enumerate_binary(n, discordance, share_gained)
        assert result.coverage >= 0.93
        assert result.below <= 0.03
        assert result.gate <= 0.06


@pytest.mark.parametrize("discordance", [0.02, 0.1, 0.4])
def test_exact_mcnemar_has_its_size(discordance: float) -> None:
    result = enumerate_binary(300, discordance, 0.5)
    assert result.below + result.above <= 0.05


def test_agresti_min_fails_where_the_documentation_says() -> None:
    result = enumerate_binary(200, 0.01, 0.0, method="agresti_min")
    assert result.coverage == pytest.approx(0.866, abs=0.005)
    assert result.below > 0.12


def test_tango_alone_fails_at_margins_above_zero_and_the_wider_does_not() -> None:
    for rate, n in ((0.01, 500), (0.01, 1_000), (0.02, 200), (0.05, 100)):
        assert enumerate_binary(n, rate, 1.0).below <= 0.03
    worst = max(enumerate_binary(n, 0.01, 1.0, method="tango").below for n in (200, 400, 1_000))
    assert worst > 0.04


def test_the_table_marks_what_falls_short() -> None:
    low = enumerate_binary(200, 0.01, 0.0, method="agresti_min")
    assert verdict(low) == "**low** **gate**"
    assert verdict(enumerate_binary(200, 0.1, 0.5)) == ""
    assert "| 1% discordant, 0% gained | 200 | agresti_min |" in table([low])
