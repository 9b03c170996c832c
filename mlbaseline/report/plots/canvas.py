"""What all plots share: an empty figure, bare axes, and text measured before it is placed. Sizes are in px."""

from __future__ import annotations

from typing import Any

from mlbaseline.report.plots import svg

WIDTH = 500.0
"""Width of every plot: a phone's screen, or half of a page."""
MARGIN = 4.0
_TICK_LABEL = 36.0
"""Width of the label of a tick, with some space."""
COLOURS = {"better": svg.BETTER, "worse": svg.WORSE, "open": svg.OPEN, "": svg.MUTED}


def new_figure(height: float) -> Any:
    """Make an empty matplotlib figure in which 1/72 inch is one px."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH / 72, height / 72), dpi=72)


def style_axes(axes: Any) -> None:
    """Remove everything around the data but the x axis and its ticks."""
    axes.patch.set_visible(False)
    axes.set_yticks([])
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="x", length=3, labelsize=10)
    axes.locator_params(axis="x", nbins=5)


def keep_labels_inside(axes: Any, width: float) -> None:
    """Align the labels of ticks that are next to an end of the x axis, so that the figure does not cut them.

    Args:
        axes: Their limits do not change any more.
        width: Of the axes.
    """
    first, last = axes.get_xlim()
    places = {value: (value - first) / (last - first) * width for value in axes.get_xticks()}
    places = {value: place for value, place in places.items() if 0 <= place <= width}
    axes.set_xticks(list(places))
    for place, label in zip(places.values(), axes.get_xticklabels(), strict=True):
        label.set_horizontalalignment(
            "left" if place < _TICK_LABEL / 2 else "right" if place > width - _TICK_LABEL / 2 else "center"
        )


def draw_text(
    axes: Any, text: str, x: float, y: float, *, size: float, room: float, weight: str = "normal", align: str = "left"
) -> None:
    """Draw text at `x` px from the left of the axes and at data height `y`, cut with an ellipsis to `room` px."""
    from matplotlib.transforms import ScaledTranslation, blended_transform_factory

    figure = axes.figure
    shift = ScaledTranslation(x / 72, 0, figure.dpi_scale_trans)
    place = blended_transform_factory(axes.transAxes, axes.transData) + shift
    shortened = shorten(text, size=size, weight=weight, room=room)
    axes.text(
        0, y, shortened, transform=place, fontsize=size, fontweight=weight, ha=align, parse_math=False, clip_on=False
    )


def shorten(text: str, *, size: float, room: float, weight: str = "normal") -> str:
    """Cut `text` in its middle so that it takes at most `room` px in the widest of the fallback fonts."""
    while len(text) > 3 and text_width(text, size=size, weight=weight) > room:
        keep = min(len(text) - 2, int(len(text) * 0.9))
        text = text[: (keep + 1) // 2] + "…" + text[len(text) - keep // 2 :]
    return text


def text_width(text: str, *, size: float, weight: str = "normal") -> float:
    """Give the width in px in DejaVu Sans, the widest of the fonts that a reader is likely to have."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    return float(TextToPath().get_text_width_height_descent(text, font, False)[0])
