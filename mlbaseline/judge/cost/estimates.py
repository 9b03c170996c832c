"""What a rung costs: money and time per query with their intervals, by the suite's present prices.

What an answer costs is what its source says (`cost_usd`), else its tokens at the price of the baseline's tokens, else
its seconds at the price of the hardware they were spent on. The training's share is added as it is.

What the intervals cover: the mean of money varies with the examples and, where a rung has several seeds, with their
runs, crossed as for any score. Seconds are shares of the time of whole batches, so that a batch is one measurement
(`stats.batched_mean`); tables of before the column `batch` count each row as one. A machine that was slow throughout
one single run slows all batches together, and no interval in seconds can show that: beside the answers a reference
workload is timed, and figures in units of it are what runs are compared by. Quantiles of latency are of queries timed
one at a time; a query that was timed in several runs is one observation, as are those of a cluster. Their limits are
order statistics, and absent where the queries are too few.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlbaseline.judge.contrasts.inference import clusters_of
from mlbaseline.records import REMOTE, UNKNOWN, Bounds, Cost, Relative
from mlbaseline.results import BATCH, FIRST_TOKEN, REFERENCE, CompletedEvaluation, ResultTable
from mlbaseline.stats import BatchedMean, QuantileEstimate, batched_mean, estimate_mean, quantile_interval
from mlbaseline.suite import Suite

Array = npt.NDArray[np.float64]

SOURCE, TOKENS, HARDWARE = "source", "tokens", "hardware"
DEVICE, DEVICE_NAME = "hardware.device", "hardware.device_name"
_QUANTILES = {"latency_p50_s": 0.5, "latency_p95_s": 0.95, "latency_p99_s": 0.99}
_RELATIVE = {"latency_p50": 0.5, "latency_p95": 0.95}
_UNTRAINED = ("trivial", "pretrained")


@dataclass(frozen=True)
class Metered:
    """One evaluation with what was measured around its rows. hardware: its parameters `hardware.*`."""

    table: ResultTable
    hardware: Mapping[str, object]
    train_s: float | None = None
    trainable_params: float | None = None
    peak_memory_bytes: float | None = None

    @classmethod
    def of(cls, evaluation: CompletedEvaluation) -> Metered:
        measured = evaluation.measured
        names = ("train_s", "trainable_params", "peak_memory_bytes")
        return cls(evaluation.table, evaluation.facts, *(measured.get(name) for name in names))

    @property
    def is_ours(self) -> bool:
        """Whether it was computed on hardware that is known, so that its seconds are worth something."""
        return self.table.kind != "human" and self.hardware.get(DEVICE, UNKNOWN) not in (UNKNOWN, REMOTE)

    def hourly_price(self, suite: Suite) -> float | None:
        if not self.is_ours:
            return None
        return suite.cost.hourly_price(str(self.hardware.get(DEVICE_NAME, "")), str(self.hardware[DEVICE]))


def cost_of(suite: Suite, metered: Sequence[Metered]) -> Cost:
    """Estimate the cost of a rung from its evaluations, one per seed."""
    trained_s = [run.train_s for run in metered]
    train_usd = [_train_usd(suite, run) for run in metered]
    mean, bounds = _query_usd(suite, metered, train_usd)
    timed = timings(metered)
    quantiles = timed.quantiles(_QUANTILES, suite.matrix.level)
    bounds |= {name: Bounds(found.low, found.high) for name, found in quantiles.items()}
    latency = {name: quantiles[name].value if name in quantiles else None for name in _QUANTILES}
    memory = combined((run.peak_memory_bytes for run in metered), max)
    params = combined((_trainable(run) for run in metered), max)
    return Cost(
        train_s=combined(trained_s, mean_of),
        train_usd=combined(train_usd, mean_of),
        compute_s_per_query=float(np.mean([run.table.frame["compute_s"].mean() for run in metered])),
        usd_per_query=mean,
        peak_memory_bytes=None if memory is None else int(memory),
        bounds=bounds,
        priced_by=None if mean is None else _priced_by(suite, metered[0]),
        n_timed=timed.n_queries,
        trainable_params=None if params is None else int(params),
        first_token_p50_s=_first_token_p50_s(metered),
        reference_s=reference_of(metered),
        relative=_relative(metered, suite.matrix.level),
        **latency,
    )


def answer_usd(suite: Suite, run: Metered) -> Array | None:
    """Price each answer (n,), training left out. NaN: the source left it out; None: there is no price for it."""
    frame, by = run.table.frame, _priced_by(suite, run)
    if by == SOURCE:
        return np.asarray(frame["cost_usd"], dtype=float)
    if by == TOKENS:
        price = suite.cost.usd_per_million_tokens[run.table.baseline]
        read, written = (frame[name].to_numpy(dtype=float) for name in ("tokens_in", "tokens_out"))
        usd = (read * price.input + written * price.output) / 1e6
        # An answer without a token was not counted. An error may truly have cost none.
        return np.where((read + written == 0) & frame["error"].isna().to_numpy(), np.nan, usd)
    hourly = run.hourly_price(suite)
    return None if hourly is None else frame["compute_s"].to_numpy(dtype=float) / 3600 * hourly


def _first_token_p50_s(metered: Sequence[Metered]) -> float | None:
    frames = [run.table.frame for run in metered if FIRST_TOKEN in run.table.frame]
    waits = [frame[FIRST_TOKEN].dropna().to_numpy(dtype=float) for frame in frames]
    return float(np.median(np.concatenate(waits))) if any(map(len, waits)) else None


@dataclass(frozen=True)
class Timings:
    """Seconds (n,) of every query that was timed alone, those of all seeds together.

    of: what each is an observation of, its cluster or the query itself.
    """

    seconds: Array
    of: npt.NDArray[np.object_]

    @property
    def n_queries(self) -> int:
        return len(set(self.of))

    def quantiles(self, wanted: Mapping[str, float], level: float) -> dict[str, QuantileEstimate]:
        """Each quantile with its interval; none without a timing."""
        if not len(self.seconds):
            return {}
        return {name: quantile_interval(self.seconds, q, clusters=self.of, level=level) for name, q in wanted.items()}


def timings(metered: Sequence[Metered], *, column: str = "latency_s") -> Timings:
    """Collect the timings of a rung's queries, or what another column has for the queries that were timed alone."""
    seconds, of = [], []
    for run in metered:
        rows = run.table.frame[run.table.frame["latency_s"].notna()]
        seconds.append(rows[column].to_numpy(dtype=float))
        of.append(rows["cluster"].fillna(rows["example_id"]).to_numpy(dtype=object))
    return Timings(np.concatenate(seconds), np.concatenate(of))


def reference_of(metered: Sequence[Metered]) -> float | None:
    """Mean seconds of the reference workload beside a rung's answers; None where it was not timed."""
    columns = [run.table.frame[REFERENCE].dropna() for run in metered if REFERENCE in run.table.frame]
    if len(columns) < len(metered) or not all(map(len, columns)):
        return None
    return float(np.concatenate(columns).mean())


def _relative(metered: Sequence[Metered], level: float) -> dict[str, Relative]:
    """Figures in units of the reference workload."""
    if any(REFERENCE not in run.table.frame for run in metered):
        return {}
    found = {}
    computed = [_computed_beside(run.table.frame) for run in metered]
    if all(np.isfinite(each).all() for each in computed):
        mean = _batched([run.table for run in metered], np.stack(computed), level)
        if mean is not None:
            found["compute"] = _with_drift(mean, metered, level)
    queries, beside = timings(metered), timings(metered, column=REFERENCE)
    if np.isfinite(beside.seconds).all():
        references = beside.quantiles(_RELATIVE, level)
        for name, of in queries.quantiles(_RELATIVE, level).items():
            found[name] = _over(of, references[name])
    return found


def _with_drift(mean: BatchedMean, metered: Sequence[Metered], level: float) -> Relative:
    """Widen a mean in units of the reference by how well a few measurements tell how fast the machine was.

    What those vary by adds to the variance of the logarithm, though the answers beside them share a part of it.
    """
    beside = [run.table.frame.loc[run.table.frame["latency_s"].isna(), REFERENCE].dropna() for run in metered]
    speeds = np.log(np.concatenate([each.unique() for each in beside]))
    if len(speeds) < 2 or mean.low is None or mean.high is None or mean.low <= 0.0:
        return Relative(mean.value, Bounds(mean.low, mean.high))
    known = estimate_mean(speeds, level=level)
    drift = (known.high - known.low) / 2.0

    def limit(ours: float) -> float:
        distance = math.log(ours / mean.value)
        return mean.value * math.exp(math.copysign(math.hypot(distance, drift), distance))

    return Relative(mean.value, Bounds(limit(mean.low), limit(mean.high)))


def _over(query: QuantileEstimate, reference: QuantileEstimate) -> Relative:
    """Divide a quantile by that of the reference; the interval is that of a difference of logarithms (MOVER).

    A busy machine interrupts now and then, which moves high quantiles more than the median: those of the reference,
    timed between the same queries, move with them.
    """
    value = query.value / reference.value

    def limit(ours: float | None, theirs: float | None, side: float) -> float | None:
        if ours is None or theirs is None or ours <= 0.0 or theirs <= 0.0:
            return None
        return value * math.exp(side * math.hypot(math.log(ours / query.value), math.log(theirs / reference.value)))

    return Relative(value, Bounds(limit(query.low, reference.high, -1.0), limit(query.high, reference.low, 1.0)))


def _computed_beside(frame: pd.DataFrame) -> Array:
    """Each row's share of its batch's time over the reference at that time (n,).

    A query that was timed alone has the reference of then, after all batches: its batch's stands on other rows of it.
    """
    beside = frame[REFERENCE].where(frame["latency_s"].isna())
    usual = beside.mean() if beside.notna().any() else frame[REFERENCE].mean()
    if BATCH in frame:
        # A batch of which every row was timed alone has the mean of all. Of an earlier session's nothing is known.
        beside = beside.groupby(frame[BATCH]).transform("mean").fillna(usual).where(frame[BATCH] >= 0)
    return np.asarray(frame["compute_s"] / beside, dtype=float)


def _batched(tables: Sequence[ResultTable], values: Array, level: float) -> BatchedMean | None:
    """Average values (runs, n) that are shares of batches; None where the tables do not know their batches."""
    frames = [table.frame for table in tables]
    if any(BATCH not in frame for frame in frames) or len({len(frame) for frame in frames}) > 1:
        return None
    sizes = np.stack([(f["tokens_in"] + f["tokens_out"]).to_numpy(dtype=float) for f in frames])
    batches = np.stack([frame[BATCH].to_numpy(dtype=np.int64) for frame in frames])
    clusters = clusters_of(tables[0], np.ones(values.shape[1], dtype=bool))
    return batched_mean(values, np.maximum(sizes, 1.0), batches, clusters=clusters, level=level)


def _priced_by(suite: Suite, run: Metered) -> str:
    if "cost_usd" in run.table.frame:
        return SOURCE
    return TOKENS if run.table.baseline in suite.cost.usd_per_million_tokens else HARDWARE


def _query_usd(
    suite: Suite, metered: Sequence[Metered], train_usd: Sequence[float | None]
) -> tuple[float | None, dict[str, Bounds]]:
    """Average over seeds and examples, with the training's share, and give the interval."""
    each, by = [answer_usd(suite, run) for run in metered], _priced_by(suite, metered[0])
    known = [usd for usd in each if usd is not None]
    shares = [
        usd / suite.cost.queries if usd is not None else None if run.train_s is not None else 0.0
        for run, usd in zip(metered, train_usd, strict=True)
    ]
    share = combined(shares, mean_of)
    if len(known) < len(each) or share is None or len({len(usd) for usd in known}) > 1:
        return None, {}
    usd = np.stack(known)
    mean = float(usd.mean()) + share
    if not math.isfinite(mean) or usd.shape[1] < 2:
        return mean, {}
    largest = float(usd.max())
    if largest == 0:
        return mean, {"usd_per_query": Bounds(share, share)}
    batched = _batched([run.table for run in metered], usd, suite.matrix.level) if by == HARDWARE else None
    if batched is not None:
        limits = (batched.low, batched.high)
        return mean, {"usd_per_query": Bounds(*(None if limit is None else limit + share for limit in limits))}
    clusters = clusters_of(metered[0].table, np.ones(usd.shape[1], dtype=bool))
    if clusters is not None and len(set(clusters)) < 2:
        return mean, {}
    # On a scale from 0 to 1: what is smoothed for want of variation is then a share of the largest cost, not a dollar.
    found = estimate_mean(usd / largest, clusters=clusters, level=suite.matrix.level)
    low, high = max(found.low, 0.0) * largest + share, found.high * largest + share
    return mean, {"usd_per_query": Bounds(low, high)}


def _train_usd(suite: Suite, run: Metered) -> float | None:
    hourly = run.hourly_price(suite)
    return None if hourly is None or run.train_s is None else run.train_s / 3600 * hourly


def _trainable(run: Metered) -> float | None:
    """0 for what nobody trained here; unknown for what was trained elsewhere."""
    if run.trainable_params is not None:
        return run.trainable_params
    return 0 if run.table.kind in _UNTRAINED and run.is_ours else None


def combined(values: Iterable[float | None], how: Callable[[list[float]], float]) -> float | None:
    """None where one of them is missing: a rung is not described by a part of its seeds."""
    each = list(values)
    known = [value for value in each if value is not None and not math.isnan(value)]
    return how(known) if len(known) == len(each) else None


def mean_of(values: list[float]) -> float:
    return float(np.mean(values))
