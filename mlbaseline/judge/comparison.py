"""From aligned result tables to rows of comparison: every registered contrast, and beside it what is worth exploring.

A contrast is taken twice where seeds exist: between *checkpoints* (the weights chosen on dev; examples are the only
uncertainty; these rows decide) and between *recipes* (all seeds × examples; what may be published).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import numpy.typing as npt

from mlbaseline.judge.checkpoint import Checkpoint
from mlbaseline.metrics import METRICS, compare_metric
from mlbaseline.records import Comparison
from mlbaseline.results import SLICE, Evaluation, ResultTable
from mlbaseline.stats import adjust, minimum_detectable_effect
from mlbaseline.suite import Contrast, Suite

PRIMARY, GUARDRAIL, EXPLORATORY = "primary", "guardrail", "exploratory"
CHECKPOINT, RECIPE = "checkpoint", "recipe"

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Planned:
    """One row to be computed. margin is None where nothing is decided."""

    role: str
    candidate: str
    baseline: str
    metric: str
    margin: float | None
    slice: str | None = None
    slice_value: str | None = None


def plan(suite: Suite, baselines: Sequence[str], slice_values: Mapping[str, Sequence[str]]) -> tuple[Planned, ...]:
    """Every row of a comparison, registered ones first; an exploratory row never repeats a registered one."""
    rows: dict[tuple[str | None, ...], Planned] = {}

    def add(row: Planned) -> None:
        rows.setdefault((row.candidate, row.baseline, row.metric, row.slice, row.slice_value), row)

    for role, contrasts in ((PRIMARY, suite.matrix.primary), (GUARDRAIL, suite.matrix.guardrails)):
        for contrast in contrasts:
            for row in _registered(role, contrast, slice_values):
                # A guardrail on a contrast that is primary too is a rule of its own: both are kept.
                rows[role, row.candidate, row.baseline, row.metric, row.slice, row.slice_value] = row
    registered = {(r.candidate, r.baseline, r.metric, r.slice, r.slice_value) for r in rows.values()}
    for contrast in suite.matrix.primary:
        others = [name for name in baselines if name != contrast.candidate]
        for baseline in others:
            for metric in suite.metrics if baseline in contrast.over else (contrast.metric,):
                add(Planned(EXPLORATORY, contrast.candidate, baseline, metric, None))
        for baseline in contrast.over:
            for name, values in slice_values.items():
                for value in values:
                    add(Planned(EXPLORATORY, contrast.candidate, baseline, contrast.metric, None, name, value))
    return tuple(
        row
        for row in rows.values()
        if row.role != EXPLORATORY
        or (row.candidate, row.baseline, row.metric, row.slice, row.slice_value) not in registered
    )


def _registered(role: str, contrast: Contrast, slice_values: Mapping[str, Sequence[str]]) -> Iterator[Planned]:
    for baseline in contrast.over:
        yield Planned(role, contrast.candidate, baseline, contrast.metric, contrast.margin)
        for name in contrast.slices:
            for value in slice_values[name]:
                yield Planned(role, contrast.candidate, baseline, contrast.metric, contrast.margin, name, value)


def compare(
    suite: Suite,
    ladder: Mapping[str, Sequence[Evaluation]],
    checkpoints: Mapping[str, Checkpoint],
    rng: np.random.Generator,
) -> tuple[Comparison, ...]:
    """All rows of the comparison. The tables of `ladder` must be aligned and comparable (`require_comparable`)."""
    frame = next(iter(ladder.values()))[0].table.frame
    slice_values = {name: sorted(frame[SLICE + name].unique()) for name in suite.task.slices}
    planned = plan(suite, tuple(ladder), slice_values)
    rows: list[Comparison] = []
    for estimand in (CHECKPOINT, RECIPE):
        for _, family in groupby(planned, key=lambda row: row.role):
            rows += _family(suite, list(family), estimand, ladder, checkpoints, rng)
    return tuple(rows)
