"""Which rows a comparison has: every contrast that the suite registers, and beside them what is worth exploring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mlbaseline.metrics import metric_of
from mlbaseline.records import Comparison, Role
from mlbaseline.results import SLICE, ResultTable
from mlbaseline.suite import Contrast, Suite


@dataclass(frozen=True)
class PlannedContrast:
    """One row to be computed. margin is None where nothing is decided."""

    role: Role
    candidate: str
    baseline: str
    metric: str
    margin: float | None
    slice: str | None = None
    slice_value: str | None = None

    @property
    def cut(self) -> tuple[str | None, str | None]:
        """The slice and its value, both None for all rows."""
        return self.slice, self.slice_value

    @property
    def question(self) -> tuple[str | None, ...]:
        """What the row compares, whatever its role."""
        return self.candidate, self.baseline, self.metric, self.slice, self.slice_value


def plan(
    suite: Suite, baselines: Sequence[str], slice_values: Mapping[str, Sequence[str]]
) -> tuple[PlannedContrast, ...]:
    """Plan every row of a comparison: the registered ones, then those to explore, which never repeat one of them.

    baselines: those that have results. Contrasts of or over others are left out; the decision misses them.

    Explored are each candidate against every other rung, and against the rungs of its contrasts also by the other
    metrics and on every slice.
    """
    matrix = suite.matrix
    registered = [
        *(row for contrast in matrix.primary for row in _registered(Role.PRIMARY, contrast, baselines, slice_values)),
        *(
            row
            for contrast in matrix.guardrails
            for row in _registered(Role.GUARDRAIL, contrast, baselines, slice_values)
        ),
    ]
    explored: dict[tuple[str | None, ...], PlannedContrast] = {}
    for registration in matrix.primary:
        for row in _explored(suite, registration, baselines, slice_values):
            explored.setdefault(row.question, row)
    questions = {row.question for row in registered}
    return *dict.fromkeys(registered), *(row for question, row in explored.items() if question not in questions)


def _registered(
    role: Role, contrast: Contrast, baselines: Sequence[str], slice_values: Mapping[str, Sequence[str]]
) -> Iterator[PlannedContrast]:
    for baseline in (name for name in contrast.over if name in baselines and contrast.candidate in baselines):
        row = PlannedContrast(role, contrast.candidate, baseline, contrast.metric, contrast.margin)
        yield row
        for name in contrast.slices:
            yield from (replace(row, slice=name, slice_value=value) for value in slice_values[name])


def _explored(
    suite: Suite, registration: Contrast, baselines: Sequence[str], slice_values: Mapping[str, Sequence[str]]
) -> Iterator[PlannedContrast]:
    candidate, metric = registration.candidate, registration.metric
    if candidate not in baselines:
        return
    for baseline in baselines:
        if baseline != candidate:
            yield PlannedContrast(Role.EXPLORATORY, candidate, baseline, metric, None)
    for baseline in (name for name in registration.over if name in baselines):
        yield from (PlannedContrast(Role.EXPLORATORY, candidate, baseline, other, None) for other in suite.metrics)
        for name, values in slice_values.items():
            yield from (
                PlannedContrast(Role.EXPLORATORY, candidate, baseline, metric, None, name, value) for value in values
            )


def mask_of(table: ResultTable, row: PlannedContrast | Comparison) -> npt.NDArray[np.bool_]:
    """Mark the rows of the table (n,) that a row of the comparison is about."""
    if row.slice is None:
        return np.ones(len(table.frame), dtype=bool)
    mask: npt.NDArray[np.bool_] = (table.frame[SLICE + row.slice] == row.slice_value).to_numpy(dtype=bool)
    return mask


def sign_of(metric: str) -> int:
    """Return 1 where more of the metric is better, −1 where less is."""
    return 1 if metric_of(metric).higher_is_better else -1


def signed_margin(row: PlannedContrast | Comparison) -> float:
    """Give the margin of a row as a difference of the metric: below 0 where less of the metric is better."""
    return (row.margin or 0.0) * sign_of(row.metric)
