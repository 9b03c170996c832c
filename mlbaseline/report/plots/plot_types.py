"""What the plots show, as labelled numbers. `render.py` draws them; a renderer without pictures prints `alt`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One interval of a forest plot: delta with its bounds in the metric's unit, NaN where unknown.

    group: heading over consecutive rows. threshold: the value that the interval must clear. tone: as `view.Tone`.
    """

    group: str
    label: str
    text: str
    delta: float
    low: float
    high: float
    simultaneous_low: float
    simultaneous_high: float
    threshold: float | None
    recipe: bool
    tone: str


@dataclass(frozen=True, slots=True)
class ForestPanel:
    """Rows on one axis. inverted: lower is better, so the axis runs backwards and right still means better.

    reference: the delta over all examples, where the rows are slices of it.
    """

    title: str
    axis: str
    inverted: bool
    rows: tuple[ForestRow, ...]
    reference: float | None = None


@dataclass(frozen=True, slots=True)
class TradeoffPoint:
    """One rung by cost (x, None where it is unknown) and quality (y), each with its interval where it has one.

    probability: of being on the front, when the examples are resampled.
    """

    name: str
    kind: str
    x: float | None
    y: float
    low: float
    high: float
    front: bool
    x_low: float | None = None
    x_high: float | None = None
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class _Captioned:
    """name: of its file. alt: what it shows, in words."""

    name: str
    title: str
    caption: str
    alt: str


@dataclass(frozen=True, slots=True)
class ForestPlot(_Captioned):
    """Differences with their intervals. compact: labels beside the rows and not above them."""

    panels: tuple[ForestPanel, ...]
    compact: bool


@dataclass(frozen=True, slots=True)
class TradeoffPlot(_Captioned):
    """Quality against cost. inverted: lower quality values are better, so the axis runs downwards.

    free, unknown: what the points at zero, and those without an x, have in common.
    """

    x_axis: str
    y_axis: str
    inverted: bool
    points: tuple[TradeoffPoint, ...]
    free: str = "no cost"
    unknown: str = "no price"


Plot = ForestPlot | TradeoffPlot
