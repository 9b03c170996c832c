"""From aligned result tables to rows of comparison: every registered contrast, and beside it what is worth exploring.

A contrast is taken between *checkpoints* (the weights chosen on dev: examples are the only uncertainty; these rows
decide) and, where a side has several seeds, between *recipes* (seeds × examples: what may be published).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mlbaseline.errors import SuiteError
from mlbaseline.judge.checkpoint import Checkpoint
from mlbaseline.judge.inference import Contrasted, Mask, contrast
from mlbaseline.metrics import METRICS
from mlbaseline.records import Comparison
from mlbaseline.results import SLICE, Evaluation, ResultTable
from mlbaseline.stats import adjust
from mlbaseline.suite import Contrast, Suite

PRIMARY, GUARDRAIL, EXPLORATORY = "primary", "guardrail", "exploratory"
CHECKPOINT, RECIPE = "checkpoint", "recipe"


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

    @property
    def question(self) -> tuple[str | None, ...]:
        """What is asked, whatever for."""
        return self.candidate, self.baseline, self.metric, self.slice, self.slice_value


def plan(suite: Suite, baselines: Sequence[str], slice_values: Mapping[str, Sequence[str]]) -> tuple[Planned, ...]:
    """Every row of a comparison: the registered ones, then those to explore, which never repeat a registered question.

    Explored are each candidate against every other rung, and against the rungs of its contrasts also by the other
    metrics and on every slice.
    """
    matrix = suite.matrix
    registered = [
        *(row for contrast in matrix.primary for row in _registered(PRIMARY, contrast, slice_values)),
        *(row for contrast in matrix.guardrails for row in _registered(GUARDRAIL, contrast, slice_values)),
    ]
    explored: dict[tuple[str | None, ...], Planned] = {}
    for registration in matrix.primary:
        for row in _explored(suite, registration, baselines, slice_values):
            explored.setdefault(row.question, row)
    asked = {row.question for row in registered}
    return *dict.fromkeys(registered), *(row for question, row in explored.items() if question not in asked)


def _registered(role: str, contrast: Contrast, slice_values: Mapping[str, Sequence[str]]) -> Iterator[Planned]:
    for baseline in contrast.over:
        row = Planned(role, contrast.candidate, baseline, contrast.metric, contrast.margin)
        yield row
        for name in contrast.slices:
            yield from (replace(row, slice=name, slice_value=value) for value in slice_values[name])


def _explored(
    suite: Suite, registration: Contrast, baselines: Sequence[str], slice_values: Mapping[str, Sequence[str]]
) -> Iterator[Planned]:
    candidate, metric = registration.candidate, registration.metric
    for baseline in baselines:
        if baseline != candidate:
            yield Planned(EXPLORATORY, candidate, baseline, metric, None)
    for baseline in registration.over:
        yield from (Planned(EXPLORATORY, candidate, baseline, other, None) for other in suite.metrics)
        for name, values in slice_values.items():
            yield from (Planned(EXPLORATORY, candidate, baseline, metric, None, name, value) for value in values)


def compare(
    suite: Suite,
    ladder: Mapping[str, Sequence[Evaluation]],
    checkpoints: Mapping[str, Checkpoint],
    rng: np.random.Generator,
) -> tuple[Comparison, ...]:
    """All rows of the comparison, registered ones first. The tables must be comparable (`require_comparable`).

    Raises SuiteError where a registered contrast cannot be computed, because a side lacks the metric or the examples.
    """
    frame = next(iter(ladder.values()))[0].table.frame
    slice_values = {name: tuple(sorted(frame[SLICE + name].unique())) for name in suite.task.slices}
    planned = plan(suite, tuple(ladder), slice_values)
    tables = {
        CHECKPOINT: {name: [checkpoints[name].evaluation.table] for name in ladder},
        RECIPE: {name: [evaluation.table for evaluation in evaluations] for name, evaluations in ladder.items()},
    }
    rows: list[Comparison] = []
    for role in (PRIMARY, GUARDRAIL, EXPLORATORY):
        for estimand, sides in tables.items():
            family = [row for row in planned if row.role == role]
            if estimand == RECIPE:  # needs a side with several seeds
                family = [row for row in family if max(len(sides[row.candidate]), len(sides[row.baseline])) > 1]
            rows += Family(suite, role, estimand, sides, rng).judge(family)
    return tuple(rows)


@dataclass(frozen=True)
class Family:
    """Rows of one role and estimand: what is corrected together.

    Primary rows are corrected as the suite says. Guardrails must all pass, which costs no correction. Exploratory rows
    are for finding, so theirs is the false discovery rate (Benjamini–Hochberg). Simultaneous intervals are those at
    level 1 − α/m, for m rows; with `romano_wolf` those of the joint distribution.
    """

    suite: Suite
    role: str
    estimand: str
    sides: Mapping[str, Sequence[ResultTable]]
    rng: np.random.Generator

    def judge(self, family: Sequence[Planned]) -> list[Comparison]:
        level = self.suite.matrix.level
        found = [(row, contrasted) for row in family if (contrasted := self._contrast(row, level)) is not None]
        if not found:
            return []
        p_adjusted = adjust([contrasted.p_value for _, contrasted in found], self._correction)
        alone = self._correction == "none"
        together_level = level if alone else 1.0 - (1.0 - level) / len(found)
        rows = []
        for (row, contrasted), p in zip(found, p_adjusted, strict=True):
            together = contrasted if alone else self._contrast(row, together_level)
            assert together is not None  # the level decides nothing about what can be computed
            rows.append(self._comparison(row, contrasted, together, float(p)))
        return rows

    @property
    def _correction(self) -> Literal["holm", "bh", "none"]:
        if self.role == PRIMARY:
            return self.suite.matrix.correction
        return "none" if self.role == GUARDRAIL else "bh"

    def _contrast(self, row: Planned, level: float) -> Contrasted | None:
        candidate, baseline = self.sides[row.candidate], self.sides[row.baseline]
        frame = candidate[0].frame
        mask = (
            np.ones(len(frame), dtype=bool)
            if row.slice is None
            else (frame[SLICE + row.slice] == row.slice_value).to_numpy()
        )
        margin = (row.margin or 0.0) * _sign(row.metric)
        found = contrast(
            candidate, baseline, self.suite.task.labels, row.metric, mask=mask, level=level, margin=margin, rng=self.rng
        )
        if found is None and row.role != EXPLORATORY:
            where = "" if row.slice is None else f" on {row.slice} = {row.slice_value}"
            raise SuiteError(
                self.suite.name,
                [
                    f"matrix: {row.candidate} over {row.baseline}{where} by {row.metric} cannot be computed: one of "
                    "them lacks the metric, or fewer than two examples are left. Choose another metric, baseline or slice"
                ],
            )
        return found

    def _comparison(self, row: Planned, alone: Contrasted, together: Contrasted, p_adjusted: float) -> Comparison:
        level = self.suite.matrix.level
        return Comparison(
            candidate=row.candidate,
            baseline=row.baseline,
            metric=row.metric,
            slice=row.slice,
            slice_value=row.slice_value,
            role=row.role,
            estimand=self.estimand,
            n=alone.n,
            n_clusters=alone.n_clusters,
            n_seeds_candidate=len(self.sides[row.candidate]),
            n_seeds_baseline=len(self.sides[row.baseline]),
            candidate_mean=alone.candidate_mean,
            baseline_mean=alone.baseline_mean,
            delta=alone.delta,
            low=alone.low,
            high=alone.high,
            level=level,
            simultaneous_low=together.low,
            simultaneous_high=together.high,
            effect_size=alone.effect_size,
            p_value=alone.p_value,
            p_adjusted=p_adjusted,
            gained=alone.gained,
            lost=alone.lost,
            mde=minimum_detectable_effect(alone.standard_error, level=level),
            margin=row.margin,
            method=alone.method,
            outcome=None if row.margin is None else _outcome(row, alone.delta, p_adjusted, level),
        )


def _outcome(row: Planned, delta: float, p_adjusted: float, level: float) -> str:
    """pass or fail where the improvement differs from the margin by the adjusted test, inconclusive where it does not.

    A p-value of exactly 1 − level counts as a difference, as it does in the interval's duality.
    """
    if p_adjusted > 1.0 - level:
        return "inconclusive"
    return "pass" if delta * _sign(row.metric) > (row.margin or 0.0) else "fail"


def _mask(table: ResultTable, row: Planned) -> Mask:
    if row.slice is None:
        return np.ones(len(table.frame), dtype=bool)
    mask: Mask = (table.frame[SLICE + row.slice] == row.slice_value).to_numpy(dtype=bool)
    return mask


def _sign(metric: str) -> int:
    return 1 if METRICS[metric].higher_is_better else -1
