from __future__ import annotations

import math
from dataclasses import replace

from mlbaseline.report.plots.forest_plot import ForestPanel, ForestRow
from mlbaseline.report.plots.text_plot import interval_lines

BAR = ForestRow("g", "a over b", "+0.2 [+0.1, +0.3]", 0.2, 0.1, 0.3, math.nan, math.nan, 0.0, True, "better")


def drawn(*bars: ForestRow, inverted: bool = False) -> list[str]:
    return [line for line in interval_lines(ForestPanel("", "Δ accuracy", inverted, bars)) if line.startswith("  ")]


def test_the_interval_stands_right_of_no_difference() -> None:
    (line,) = drawn(BAR)
    assert line == "  a over b  │          ├─────────◆──────────┤  +0.2 [+0.1, +0.3]"


def test_lower_is_better_is_turned_so_that_right_is_better() -> None:
    (line,) = drawn(replace(BAR, delta=-0.2, low=-0.3, high=-0.1), inverted=True)
    assert line.index("│") < line.index("├") < line.index("◆") < line.index("┤")


def test_bars_of_one_panel_share_their_scale() -> None:
    lines = drawn(BAR, replace(BAR, label="c", delta=-0.1, low=-0.4, high=0.2, recipe=False))
    zero = {max(line.find("│"), line.find("┼")) for line in lines}
    assert len(zero) == 1
    assert "●" in lines[1]


def test_open_and_unknown_bounds_are_drawn_as_far_as_they_are_known() -> None:
    lines = drawn(replace(BAR, low=-math.inf, high=math.inf), replace(BAR, low=math.nan, high=math.nan), BAR)
    assert "←─" in lines[0]
    assert "─→" in lines[0]
    assert "├" not in lines[1]
    assert "◆" in lines[1]
    assert len({len(line) for line in lines}) == 1
