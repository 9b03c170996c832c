"""What the plots show, as labelled numbers. `plots.py` draws them; a renderer without pictures prints `alt`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """One interval of a forest: delta with its bounds in the metric's unit, NaN where unknown.

    group: heading over consecutive bars. threshold: the value that the interval must clear. tone: as `view.Tone`.
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
class Panel:
    """Bars on one axis. inverted: lower is better, so the axis runs backwards and right still means better.

    reference: the delta over all examples, where the bars are slices of it.
    """

    title: str
    axis: str
    inverted: bool
    bars: tuple[Bar, ...]
    reference: float | None = None


@dataclass(frozen=True, slots=True)
class Point:
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
class _Titled:
    """name: of its file. alt: what it shows, in words."""

    name: str
    title: str
    caption: str
    alt: str


@dataclass(frozen=True, slots=True)
class Forest(_Titled):
    """Deltas with intervals. compact: labels beside the bars and not above them."""

    panels: tuple[Panel, ...]
    compact: bool


@dataclass(frozen=True, slots=True)
class Tradeoff(_Titled):
    """Quality against cost. inverted: lower quality values are better, so the axis runs downwards.

    free, unknown: what the points at zero, and those without an x, have in common.
    """

    x_axis: str
    y_axis: str
    inverted: bool
    points: tuple[Point, ...]
    free: str = "no cost"
    unknown: str = "no price"


Figure = Forest | Tradeoff
