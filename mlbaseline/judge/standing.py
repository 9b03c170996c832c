"""Where a rung of the ladder stands: metrics over its seeds, slices, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mlbaseline.judge.inference import estimate
from mlbaseline.metrics import measure
from mlbaseline.records import Cost, Estimate, FineTune, Standing
from mlbaseline.results import SLICE, Evaluation, ResultTable
from mlbaseline.suite import ReadySpec, Suite, TrainedSpec

SliceMetrics = dict[str, dict[str, dict[str, float]]]
"""slice ─▶ value ─▶ metric ─▶ number."""


def stand(suite: Suite, name: str, evaluations: Sequence[Evaluation], rng: np.random.Generator) -> Standing:
    """The standing of one rung from its evaluations, one per seed."""
    tables = [evaluation.table for evaluation in evaluations]
    labels = suite.task.labels
    estimates: dict[str, Estimate] = {
        metric: found
        for metric in suite.metrics
        if (found := estimate(tables, labels, metric, level=suite.matrix.level, rng=rng)) is not None
    }
    per_seed = [measure_overall(table, suite) for table in tables]
    return Standing(
        baseline=name,
        kind=tables[0].kind,
        metrics=estimates,
        seed_std={
            metric: float(np.std([found[metric] for found in per_seed], ddof=1))
            for metric in estimates
            if len(per_seed) > 1
        },
        slices=_mean_slices([measure_slices(table, suite) for table in tables]),
        cost=_cost([evaluation.measured for evaluation in evaluations]),
        fine_tune=_fine_tune(suite, name, [evaluation.measured for evaluation in evaluations]),
        error_rate=float(np.mean([table.frame["error"].notna().mean() for table in tables])),
        run_ids={"none" if e.table.seed is None else str(e.table.seed): e.run_id for e in evaluations},
    )


def measure_overall(table: ResultTable, suite: Suite) -> dict[str, float]:
    """Each metric of the suite that the table carries."""
    found: dict[str, float | None] = {name: measure(table, suite.task.labels, name) for name in suite.metrics}
    return {name: value for name, value in found.items() if value is not None}


def measure_slices(table: ResultTable, suite: Suite) -> SliceMetrics:
    """Each metric on each value of each slice."""
    slices: SliceMetrics = {}
    for name in suite.task.slices:
        values = table.frame[SLICE + name].to_numpy()
        for value in sorted(set(values)):
            mask = values == value
            found = {metric: measure(table, suite.task.labels, metric, mask) for metric in suite.metrics}
            slices.setdefault(name, {})[value] = {m: number for m, number in found.items() if number is not None}
    return slices


def measure_cost(
    table: ResultTable,
    suite: Suite,
    *,
    usd_per_hour: float | None,
    peak_memory_bytes: int | None,
    train_s: float | None,
) -> Cost:
    """What answering and training cost. usd_per_hour: price of the hardware, None where the suite names none.

    Cost per query is what the answers say that they cost. Without that it is the computing time of a query in batches,
    and its share of the training over `cost.queries`.
    """
    frame = table.frame
    compute_s = float(frame["compute_s"].mean())
    alone = frame["latency_s"].dropna()
    train_usd = None if usd_per_hour is None or train_s is None else train_s / 3600 * usd_per_hour
    query_usd = None
    if "cost_usd" in frame:
        query_usd = float(frame["cost_usd"].mean(skipna=False))
    elif usd_per_hour is not None:
        query_usd = compute_s / 3600 * usd_per_hour + (train_usd or 0.0) / suite.cost.queries
    return Cost(
        train_s=train_s,
        train_usd=train_usd,
        compute_s_per_query=compute_s,
        usd_per_query=query_usd,
        latency_p50_s=float(alone.quantile(0.5)) if len(alone) else None,
        latency_p95_s=float(alone.quantile(0.95)) if len(alone) else None,
        peak_memory_bytes=peak_memory_bytes,
    )


def _mean_slices(per_seed: Sequence[SliceMetrics]) -> SliceMetrics:
    return {
        name: {
            value: {metric: float(np.mean([seed[name][value][metric] for seed in per_seed])) for metric in metrics}
            for value, metrics in values.items()
        }
        for name, values in per_seed[0].items()
    }


def _fine_tune(suite: Suite, name: str, runs: Sequence[Mapping[str, float]]) -> FineTune | None:
    """Means over seeds, which differ by rounding and by the clock alone."""
    spec = suite.baselines[name]
    if not isinstance(spec, TrainedSpec | ReadySpec):
        return None
    params, size = (_combined(runs, key, np.mean) for key in ("trainable_params", "weights_bytes"))
    return FineTune(
        method=spec.method_name,
        trainable_params=None if params is None else round(params),
        weights_bytes=None if size is None else round(size),
        latency_unmerged_p50_s=_combined(runs, "latency_unmerged_p50_s", np.mean),
    )


def _cost(runs: Sequence[Mapping[str, float]]) -> Cost:
    """The mean over seeds of what their runs measured; the worst seed for latency's tail and for memory."""
    memory = _combined(runs, "peak_memory_bytes", max)
    return Cost(
        train_s=_combined(runs, "train_s", np.mean),
        train_usd=_combined(runs, "train_cost_usd", np.mean),
        compute_s_per_query=_combined(runs, "compute_s_per_query", np.mean) or 0.0,
        usd_per_query=_combined(runs, "cost_per_query_usd", np.mean),
        latency_p50_s=_combined(runs, "latency_p50_s", np.mean),
        latency_p95_s=_combined(runs, "latency_p95_s", max),
        peak_memory_bytes=None if memory is None else int(memory),
    )


def _combined(runs: Sequence[Mapping[str, float]], name: str, how: Callable[[list[float]], Any]) -> float | None:
    values = [run.get(name, math.nan) for run in runs]
    return None if any(map(math.isnan, values)) else float(how(values))
