"""Where a rung of the ladder stands: metrics over its seeds, slices, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mlbaseline.judge.comparability import measured_on
from mlbaseline.judge.contrasts.inference import estimate
from mlbaseline.judge.cost.estimates import combined, cost_of, mean_of
from mlbaseline.judge.cost.metered import MeteredEvaluation
from mlbaseline.metrics import measure
from mlbaseline.records import Estimate, FineTune, Standing, seed_text
from mlbaseline.results import SLICE, CompletedEvaluation, ResultTable
from mlbaseline.suite import ProgramSpec, ReadySpec, Suite, TrainedSpec

SliceMetrics = dict[str, dict[str, dict[str, float]]]
"""slice ─▶ value ─▶ metric ─▶ number."""


def stand(suite: Suite, name: str, evaluations: Sequence[CompletedEvaluation], rng: np.random.Generator) -> Standing:
    """Summarise one rung from its evaluations, one per seed."""
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
        cost=cost_of(suite, [MeteredEvaluation.of(evaluation) for evaluation in evaluations]),
        fine_tune=_fine_tune(suite, name, [evaluation.measured for evaluation in evaluations]),
        error_rate=float(np.mean([table.frame["error"].notna().mean() for table in tables])),
        run_ids={seed_text(e.table.seed): e.run_id for e in evaluations},
        measured_on=measured_on(evaluations),
    )


def measure_overall(table: ResultTable, suite: Suite) -> dict[str, float]:
    """Measure each metric of the suite that the table carries."""
    found: dict[str, float | None] = {name: measure(table, suite.task.labels, name) for name in suite.metrics}
    return {name: value for name, value in found.items() if value is not None}


def measure_slices(table: ResultTable, suite: Suite) -> SliceMetrics:
    """Measure each metric on each value of each slice."""
    slices: SliceMetrics = {}
    for name in suite.task.slices:
        codes, values = pd.factorize(table.frame[SLICE + name], sort=True)
        for code, value in enumerate(map(str, values)):
            mask = codes == code
            found = {metric: measure(table, suite.task.labels, metric, mask) for metric in suite.metrics}
            slices.setdefault(name, {})[value] = {m: number for m, number in found.items() if number is not None}
    return slices


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
    if not isinstance(spec, TrainedSpec | ProgramSpec | ReadySpec):
        return None
    size, unmerged_s = (
        combined([run.get(key) for run in runs], mean_of) for key in ("weights_bytes", "latency_unmerged_p50_s")
    )
    return FineTune(
        method=spec.method_name,
        weights_bytes=None if size is None else round(size),
        latency_unmerged_p50_s=unmerged_s,
    )
