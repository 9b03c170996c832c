"""What a rung costs, and what it has to show for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Bounds:
    """The interval of a figure at the suite's level. None on a side that so few measurements do not bound."""

    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class NormalisedFigure:
    """A figure in units of the reference workload, with its interval at the suite's level."""

    value: float
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class Cost:
    """What a rung costs on the hardware it ran on. None: not measured, or no price for it in the suite.

    usd_per_query: answering, by the suite's present prices, and the query's share of the training. latency_*: of
    queries that were timed one at a time, the timings of all seeds together. peak_memory_bytes: of the worst seed.
    bounds: field ─▶ its interval, for usd_per_query and the latencies. priced_by: whose price it is: `source` (the
    answers say what they cost), `tokens` or `hardware`. n_timed: timed queries. trainable_params: 0 where nothing was
    trained. first_token_p50_s: until the first piece of an answer that was streamed.

    reference_s: seconds of the reference workload beside the answers. relative: `compute` per query, `latency_p50` and
    `latency_p95` in units of it, by what was measured at the same time, with their intervals: what two runs on one kind
    of machine can be compared by, however busy it was. reference_speeds: how fast each part of it was, `matmul` (FLOP
    a second), `copy` (bytes a second) and `pass` (passes a second): how alike two machines are.
    """

    train_s: float | None
    train_usd: float | None
    compute_s_per_query: float
    usd_per_query: float | None
    latency_p50_s: float | None
    latency_p95_s: float | None
    peak_memory_bytes: int | None
    latency_p99_s: float | None = None
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    priced_by: str | None = None
    n_timed: int = 0
    trainable_params: int | None = None
    first_token_p50_s: float | None = None
    reference_s: float | None = None
    relative: Mapping[str, NormalisedFigure] = field(default_factory=dict)
    reference_speeds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """One rung before a front.

    x: its cost on the front's axis. probability: share of the resamples in which no other rung beats it in both quality
    and cost. Both None where the rung is not compared there; reason: why not. bounds: the interval of x, where x is not
    the figure as it was measured. normalised: it was measured on another machine and brought to the front's by the
    reference workload; the bounds then have what that is uncertain by.
    """

    baseline: str
    x: float | None
    on_front: bool
    probability: float | None
    reason: str = ""
    bounds: Bounds | None = None
    normalised: bool = False


@dataclass(frozen=True, slots=True)
class Front:
    """Quality against one kind of cost: the rungs that no other beats in both.

    axis: a field of `Cost`. metric: the quality. hardware: the profile that rungs are compared on, where the axis
    depends on it; n_elsewhere: rungs that ran on another or an unknown one, and are therefore left out. beside: whether
    seconds were compared at one speed of the reference workload.
    """

    axis: str
    metric: str
    hardware: str
    n_elsewhere: int
    points: tuple[FrontPoint, ...]
    beside: bool = False


@dataclass(frozen=True, slots=True)
class FineTune:
    """What is particular to a fine-tune. None: not known, or does not apply.

    method: `lora`, `full`, …. weights_bytes: of what has to be kept for it, an adapter or a whole model.
    latency_unmerged_p50_s: of a query while the adapter stands beside its base; `Cost` has that of the merged model.
    """

    method: str
    weights_bytes: int | None
    latency_unmerged_p50_s: float | None


@dataclass(frozen=True, slots=True)
class BreakEven:
    """After how many queries a fine-tune has paid for its training by what each query saves against a few-shot prompt.

    usd_per_query: of computing alone, training left out. queries: None where it never does, or a price is unknown.
    queries_low, queries_high: the interval at the suite's level, from those of both costs; queries_high is None where
    the saving may be nothing, so that it may never pay, and both are None where a cost has no interval. beside: the
    costs were compared by the reference workload beside each run, so that it does not count how busy the machine was.
    normalised: by it, the prompt's cost was brought from another machine to that of the fine-tune.
    """

    fine_tune: str
    prompt: str
    train_usd: float | None
    fine_tune_usd_per_query: float | None
    prompt_usd_per_query: float | None
    queries: int | None
    queries_low: int | None = None
    queries_high: int | None = None
    beside: bool = False
    normalised: bool = False
