"""What a comparison finds out about slices: nouns that pass from the judge to the report. All of it is exploratory.

Every row is about checkpoints, and about the examples for which both sides have a score.
"""

from __future__ import annotations

from dataclasses import dataclass

Where = tuple[tuple[str, str], ...]
"""Slice and value: one pair, or two for the examples that have both values."""


def is_measure(name: str) -> bool:
    """Tell whether examples are cut by a measure, such as `latency (s)`, and not by a slice of the suite.

    The name of a measure has a space in it, which no slice of a suite has.
    """
    return " " in name


def loss_measure(baseline: str) -> str:
    """Name the measure that cuts examples by how large the loss of a third rung is."""
    return f"loss of {baseline} (nats)"


def is_loss_measure(name: str) -> bool:
    """Tell whether examples are cut by the loss of a third rung.

    Where that loss is small, the example is easy, and a candidate has little to gain: differences between such thirds
    follow nearly by themselves.
    """
    return is_measure(name) and name.startswith("loss of ")


@dataclass(frozen=True, slots=True)
class SliceDelta:
    """Candidate minus baseline on one slice or intersection, in the metric's own unit.

    low, high: hold for all slices (or all intersections) of this contrast at once, so also for the one that was picked
    because it looks worst. p_adjusted: of no difference, over the same family (max-t, Romano–Wolf).
    """

    candidate: str
    baseline: str
    metric: str
    where: Where
    n: int
    candidate_mean: float
    baseline_mean: float
    delta: float
    low: float
    high: float
    p_adjusted: float


@dataclass(frozen=True, slots=True)
class SliceSpread:
    """Highest less lowest slice mean of one rung; low and high cover the true distance, whichever slices those are."""

    highest: str
    lowest: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SliceGap:
    """How unevenly a metric falls over the values of a slice, for both sides of a contrast.

    difference, low, high: the candidate's gap less the baseline's, paired by example: above 0 the candidate is the more
    uneven of the two.
    """

    candidate: str
    baseline: str
    metric: str
    slice: str
    ours: SliceSpread
    theirs: SliceSpread
    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PooledSlice:
    """A value of a slice, its difference drawn towards that of the others; own: how much is its own, from 0 to 1."""

    value: str
    n: int
    delta: float
    pooled: float
    low: float
    high: float
    own: float


@dataclass(frozen=True, slots=True)
class SlicePooling:
    """The values of a slice as a sample of what could differ (`stats.partial_pooling`): a description, never a test.

    mean: their common mean. spread: standard deviation of their true differences.
    """

    candidate: str
    baseline: str
    metric: str
    slice: str
    mean: float
    spread: float
    values: tuple[PooledSlice, ...]


@dataclass(frozen=True, slots=True)
class FoundSlice:
    """A slice that the search picked because the candidate looked worse there, and what other examples say of it.

    searched_*: where it was found. n, delta, low, high: on the examples that it is tested on; the interval holds for
    all found slices of the search at once. p_adjusted: of the candidate being no worse, one-sided, Holm over those.
    confirmed: the test rejects that.
    """

    where: Where
    searched_n: int
    searched_delta: float
    n: int
    delta: float
    low: float
    high: float
    p_adjusted: float
    confirmed: bool


@dataclass(frozen=True, slots=True)
class SliceSearch:
    """source: `dev`, with the tests on all of test; or `half of test`, with the tests on the other half.

    tried: slices and intersections that were looked at. found: at most `judge.slices.search.LIMIT`, worst first.
    """

    candidate: str
    baseline: str
    metric: str
    source: str
    tried: int
    found: tuple[FoundSlice, ...]


@dataclass(frozen=True, slots=True)
class SmallSlice:
    """A slice with too few examples to be compared."""

    slice: str
    value: str
    n: int


@dataclass(frozen=True, slots=True)
class SliceReport:
    """min_examples: what a slice must have to be tested. level: of every interval."""

    min_examples: int
    level: float
    small: tuple[SmallSlice, ...] = ()
    deltas: tuple[SliceDelta, ...] = ()
    intersections: tuple[SliceDelta, ...] = ()
    gaps: tuple[SliceGap, ...] = ()
    searches: tuple[SliceSearch, ...] = ()
    poolings: tuple[SlicePooling, ...] = ()
