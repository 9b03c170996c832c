"""Figures in units of the reference workload that was timed beside the answers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlbaseline.judge.cost.metered import MeteredEvaluation, batched, timings
from mlbaseline.records import Bounds, NormalisedFigure
from mlbaseline.results import BATCH, REFERENCE
from mlbaseline.stats import BatchedMean, QuantileEstimate, estimate_mean

Array = npt.NDArray[np.float64]

_RELATIVE = {"latency_p50": 0.5, "latency_p95": 0.95}


def reference_of(metered: Sequence[MeteredEvaluation]) -> float | None:
    """Mean seconds of the reference workload beside a rung's answers; None where it was not timed."""
    columns = [run.table.frame[REFERENCE].dropna() for run in metered if REFERENCE in run.table.frame]
    if len(columns) < len(metered) or not all(map(len, columns)):
        return None
    return float(np.concatenate(columns).mean())


def reference_speeds(metered: Sequence[MeteredEvaluation]) -> dict[str, float]:
    """Geometric mean over the seeds of how fast each part of the reference was, where all of them have it."""
    parts = set.intersection(*(set(run.reference_speeds) for run in metered))
    return {part: statistics.geometric_mean(run.reference_speeds[part] for run in metered) for part in sorted(parts)}


def relative_figures(metered: Sequence[MeteredEvaluation], level: float) -> dict[str, NormalisedFigure]:
    """Figures in units of the reference workload."""
    if any(REFERENCE not in run.table.frame for run in metered):
        return {}
    found = {}
    computed = [_computed_beside(run.table.frame) for run in metered]
    if all(np.isfinite(each).all() for each in computed):
        mean = batched([run.table for run in metered], np.stack(computed), level)
        if mean is not None:
            found["compute"] = _with_drift(mean, metered, level)
    queries, beside = timings(metered), timings(metered, column=REFERENCE)
    if np.isfinite(beside.seconds).all():
        references = beside.quantiles(_RELATIVE, level)
        for name, of in queries.quantiles(_RELATIVE, level).items():
            found[name] = _over(of, references[name])
    return found


def _with_drift(mean: BatchedMean, metered: Sequence[MeteredEvaluation], level: float) -> NormalisedFigure:
    """Widen a mean in units of the reference by how well a few measurements tell how fast the machine was.

    What those vary by adds to the variance of the logarithm, though the answers beside them share a part of it.
    """
    beside = [run.table.frame.loc[run.table.frame["latency_s"].isna(), REFERENCE].dropna() for run in metered]
    speeds = np.log(np.concatenate([each.unique() for each in beside]))
    if len(speeds) < 2 or mean.low is None or mean.high is None or mean.low <= 0.0:
        return NormalisedFigure(mean.value, Bounds(mean.low, mean.high))
    known = estimate_mean(speeds, level=level)
    drift = (known.high - known.low) / 2.0

    def limit(ours: float) -> float:
        distance = math.log(ours / mean.value)
        return mean.value * math.exp(math.copysign(math.hypot(distance, drift), distance))

    return NormalisedFigure(mean.value, Bounds(limit(mean.low), limit(mean.high)))


def _over(query: QuantileEstimate, reference: QuantileEstimate) -> NormalisedFigure:
    """Divide a quantile by that of the reference; the interval is that of a difference of logarithms (MOVER).

    A busy machine interrupts now and then, which moves high quantiles more than the median: those of the reference,
    timed between the same queries, move with them.
    """
    value = query.value / reference.value

    def limit(ours: float | None, theirs: float | None, side: float) -> float | None:
        if ours is None or theirs is None or ours <= 0.0 or theirs <= 0.0:
            return None
        return value * math.exp(side * math.hypot(math.log(ours / query.value), math.log(theirs / reference.value)))

    return NormalisedFigure(
        value, Bounds(limit(query.low, reference.high, -1.0), limit(query.high, reference.low, 1.0))
    )


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
