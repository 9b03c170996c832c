"""The history of a champion's snapshots beside the band of its reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlbaseline.report.plots import svg
from mlbaseline.report.plots.canvas import WIDTH
from mlbaseline.report.plots.plot import Plot

_HEIGHT = 240.0
_PX_PER_INCH = 72.0


@dataclass(frozen=True, slots=True)
class HistoryPlot(Plot):
    """Mean scores by period.

    Attributes:
        periods: What each point is called, in order.
        champion: Mean score of the champion.
        reference: Mean score of the reference.
        lowest: Score below which the loss has risen more than tolerated.
    """

    periods: tuple[str, ...]
    champion: tuple[float, ...]
    reference: tuple[float, ...]
    lowest: tuple[float, ...]

    def draw(self) -> Any:
        """Draw it as a matplotlib Figure, in the colours of `svg`."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH / _PX_PER_INCH, _HEIGHT / _PX_PER_INCH), layout="constrained")
        axes = figure.add_subplot()
        places = range(len(self.periods))
        axes.fill_between(places, self.lowest, self.reference, color=svg.LINE, alpha=0.5, linewidth=0)
        axes.plot(places, self.reference, color=svg.OPEN, linewidth=1.5, label="reference")
        axes.plot(places, self.champion, color=svg.BETTER, marker="o", linewidth=1.5, label="champion")
        axes.set_xticks(list(places), list(self.periods))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="best", labelcolor=svg.INK)
        return figure


def history_plot(
    metric: str,
    *,
    periods: Sequence[str],
    champion: Sequence[float],
    reference: Sequence[float],
    tolerated: float,
) -> HistoryPlot:
    """Make the plot of a champion's snapshots.

    Args:
        metric: Name of the score.
        periods: What each point is called, in order.
        champion: Mean score of the champion.
        reference: Mean score of the reference.
        tolerated: Largest rise of the mean loss that is tolerated: the height of the band.
    """
    points = ", ".join(f"{name} {score:.3f}" for name, score in zip(periods, champion, strict=True))
    return HistoryPlot(
        name="history",
        title=f"{metric} on live traffic, by period",
        caption="The band below the reference is the loss that is tolerated.",
        alt=f"{metric} of the champion: {points}; the reference at the end: {reference[-1]:.3f}",
        periods=tuple(periods),
        champion=tuple(champion),
        reference=tuple(reference),
        lowest=tuple(score - tolerated for score in reference),
    )
