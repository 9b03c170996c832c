"""Draw evidence over time: each log e-value as a share of the one that decides."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from mlbaseline.report.plots import svg
from mlbaseline.report.plots.canvas import WIDTH, new_figure, shorten
from mlbaseline.report.plots.plot import Plot

_HEIGHT, _LEGEND_ROW = 300.0, 17.0
_LEGEND_COLUMNS = 2
_LOWEST = -1.5
_STYLES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (7, 2, 1.5, 2)), (0, (3, 3)), (0, (9, 3)))


@dataclass(frozen=True, slots=True)
class EvidenceLine:
    """One course of evidence. days: since the start, rising. shares: log e over its threshold. harm: its colour."""

    label: str
    days: tuple[float, ...]
    shares: tuple[float, ...]
    harm: bool


@dataclass(frozen=True, slots=True)
class EvidencePlot(Plot):
    """Lines that decide where they reach 1. decided: days from the start to the decision, None without one."""

    lines: tuple[EvidenceLine, ...]
    decided: float | None = None

    def draw(self) -> Any:
        """Draw the lines, the line at which they decide, and the moment of the decision."""
        legend_height = math.ceil(len(self.lines) / _LEGEND_COLUMNS) * _LEGEND_ROW
        height = _HEIGHT + legend_height
        figure = new_figure(height)
        axes = figure.add_axes((0.09, (0.16 * _HEIGHT + legend_height) / height, 0.9, 0.72 * _HEIGHT / height))
        axes.patch.set_visible(False)
        for side in ("right", "top"):
            axes.spines[side].set_visible(False)
        highest = max((share for line in self.lines for share in line.shares), default=1.0)
        axes.set_ylim(_LOWEST, max(1.25, min(highest * 1.05, 4.0)))
        axes.axhline(1.0, color=svg.INK, linewidth=1.0)
        axes.axhline(0.0, color=svg.LINE, linewidth=0.6)
        if self.decided is not None:
            axes.axvline(self.decided, color=svg.MUTED, linewidth=0.9, linestyle=(0, (2, 3)))
        for position, line in enumerate(self.lines):
            axes.plot(
                line.days,
                [max(share, _LOWEST) for share in line.shares],
                color=svg.WORSE if line.harm else svg.BETTER,
                linestyle=_STYLES[position % len(_STYLES)],
                linewidth=1.5,
                label=shorten(line.label, size=10, room=WIDTH / 3),
            )
        axes.tick_params(labelsize=10, length=3)
        axes.set_xlabel("days", fontsize=10)
        axes.set_title("log e ÷ its threshold: at 1 it decides", fontsize=11, loc="left", color=svg.MUTED)
        if self.lines:
            legend = figure.legend(
                fontsize=9, frameon=False, loc="lower left", bbox_to_anchor=(0.08, 0.0), ncols=_LEGEND_COLUMNS
            )
            for text in legend.get_texts():
                text.set_parse_math(False)
        return figure
