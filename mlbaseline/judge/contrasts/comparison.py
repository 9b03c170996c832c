"""From a ladder to rows of comparison.

A contrast is taken between *checkpoints* (the weights chosen on dev: examples are the only uncertainty; these rows
decide) and, where a side has several seeds, between *recipes* (seeds × examples: what may be published).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from mlbaseline.errors import IncomparableError, SuiteError
from mlbaseline.judge.comparability import require_same_unit, same_unit
from mlbaseline.judge.contrasts.at_look import UNPLANNED, LookInference
from mlbaseline.judge.contrasts.comparison_row import comparison_row
from mlbaseline.judge.contrasts.inference import ContrastEstimate, Mask, contrast
from mlbaseline.judge.contrasts.joint import JointInference, judge_jointly
from mlbaseline.judge.contrasts.judged import contrast_judged
from mlbaseline.judge.contrasts.matrix import PlannedContrast, plan, sign_of, signed_margin
from mlbaseline.judge.contrasts.pair import pair_of
from mlbaseline.judge.ladder import Ladder
from mlbaseline.records import Comparison, Estimand, Outcome, Role
from mlbaseline.results import ResultTable
from mlbaseline.stats import adjust

TOO_SMALL = "too_small"
"""Method of a registered slice that has too few examples to be tested."""


def compare(ladder: Ladder, rng: np.random.Generator) -> tuple[Comparison, ...]:
    """Compute all rows of the comparison, registered ones first.

    Raises SuiteError where a registered contrast cannot be computed, because a side lacks the metric or the examples,
    and IncomparableError where a registered candidate lacks the score of some example.
    """
    roles, estimands = (Role.PRIMARY, Role.GUARDRAIL, Role.EXPLORATORY), (Estimand.CHECKPOINT, Estimand.RECIPE)
    return _families(ladder, [(role, estimand) for role in roles for estimand in estimands], rng)


def compare_deciding(ladder: Ladder, rng: np.random.Generator) -> tuple[Comparison, ...]:
    """Compute the rows of `compare` that decide, and no others: registered contrasts between checkpoints."""
    return _families(ladder, [(role, Estimand.CHECKPOINT) for role in (Role.PRIMARY, Role.GUARDRAIL)], rng)


def _families(
    ladder: Ladder, families: Sequence[tuple[Role, Estimand]], rng: np.random.Generator
) -> tuple[Comparison, ...]:
    planned = plan(ladder.suite, tuple(ladder.rungs), ladder.slice_values)
    rows: list[Comparison] = []
    for role, estimand in families:
        family = [row for row in planned if row.role == role and _applies(ladder, row, estimand)]
        rows += Family(ladder, role, estimand, rng).judge(family)
    return tuple(rows)


def _applies(ladder: Ladder, row: PlannedContrast, estimand: Estimand) -> bool:
    """Tell whether a row has this estimand: a recipe needs a side with several seeds."""
    return estimand == Estimand.CHECKPOINT or max(len(ladder.rungs[name]) for name in (row.candidate, row.baseline)) > 1


@dataclass(frozen=True)
class Family:
    """Rows of one role and estimand: what is corrected together.

    Primary rows are corrected as the suite says. The guardrails of one candidate must all pass, which costs no
    correction; but where there are several candidates, one of them passes at its margin more often than a single one
    would (in 8 % of suites with four, 14 % with ten, at a nominal 2.5 %), and each is given its share of the error
    rate. Exploratory rows are for finding, so theirs is the false discovery rate (Benjamini–Hochberg). Simultaneous
    intervals are those at level 1 − α/m, for m rows. `romano_wolf` uses the joint distribution of checkpoints'
    per-example scores instead; where there is none (recipes, corpus metrics) it falls back to Holm, which is valid
    there too.

    With registered looks, every p-value is that of the look (`contrasts.at_look`), and the corrections take these: each
    is a p-value whenever one stops, which is all that Holm's and Bonferroni's arguments ask for (Ye, Li, Liu and Yao
    2013, "A group sequential Holm procedure with multiple primary endpoints", Statistics in Medicine 32:1112). The
    joint distribution of a stopped test is not known, so `romano_wolf` is Holm there. A registered slice that is too
    small so far stays in the family: it will be tested at a later look.
    """

    ladder: Ladder
    role: Role
    estimand: Estimand
    rng: np.random.Generator

    def judge(self, family: Sequence[PlannedContrast]) -> list[Comparison]:
        """Compute the rows of the family; an exploratory one that cannot be computed is left out.

        A registered slice with too few examples is not tested: it takes no part in the family, and stays undecided.
        """
        return [row for row, _ in self.judge_with_statistics(family)]

    def judge_with_statistics(self, family: Sequence[PlannedContrast]) -> list[tuple[Comparison, float]]:
        """Compute the rows of the family, each with the normal statistic of its look (else NaN)."""
        small = [row for row in family if self._is_small(row)]
        family = [row for row in family if row not in small]
        found = [(row, contrasted) for row in family if (contrasted := self._contrast(row, self.level)) is not None]
        small += [row for row in family if row not in [tested for tested, _ in found]]
        later = len([row for row in small if row.role == Role.PRIMARY and self._at_look(row) is not None])
        corrected = self._corrected(found, later) if found else []
        judged = [
            (self._comparison(row, alone, joint), alone.z) for (row, alone), joint in zip(found, corrected, strict=True)
        ]
        return [*judged, *((self._untested(row), math.nan) for row in small if row.role != Role.EXPLORATORY)]

    @property
    def level(self) -> float:
        """Of the intervals; what decides is tested more strictly where the test has grown."""
        return self.ladder.suite.matrix.level if self.role == Role.EXPLORATORY else self.ladder.level

    def n_sharing(self, family: Sequence[PlannedContrast]) -> int:
        """Count the rows, or in the case of guardrails the candidates, that share the error rate."""
        return self._n_sharing(family, self._correction)

    def _at_look(self, row: PlannedContrast) -> LookInference | None:
        """How a row is inferred where the test is looked at; None where it is tested once, on all examples."""
        schedule, matrix = self.ladder.schedule, self.ladder.suite.matrix
        if schedule is None or not schedule.sizes:
            return None
        n = len(self._mask(row))
        if row.role == Role.GUARDRAIL and matrix.stop == "primary" and n == schedule.n:
            return None
        look = schedule.look_of(n) if self.ladder.in_order else None
        return LookInference(schedule.fractions, look, n, schedule.n)

    def _mask(self, row: PlannedContrast) -> Mask:
        return pair_of(self.ladder, row, self.estimand).mask

    def _is_small(self, row: PlannedContrast) -> bool:
        at_least = self.ladder.suite.matrix.min_slice_examples
        return row.slice is not None and int(self._mask(row).sum()) < at_least

    def _untested(self, row: PlannedContrast) -> Comparison:
        """Nothing is known of it, save how many examples there are."""
        n = int(self._mask(row).sum())
        nan, inf = math.nan, math.inf
        nothing = ContrastEstimate(nan, nan, nan, -inf, inf, 1.0, inf, n, n, TOO_SMALL)
        return self._comparison(row, nothing, JointInference(1.0, -inf, inf))

    def _corrected(self, found: Sequence[tuple[PlannedContrast, ContrastEstimate]], later: int) -> list[JointInference]:
        """later: rows of the family that a later look will test."""
        correction, level = self._correction, self.level
        if correction == "romano_wolf":
            is_joint = self.estimand == Estimand.CHECKPOINT and self._at_look(found[0][0]) is None
            together = judge_jointly(self.ladder, [row for row, _ in found], rng=self.rng) if is_joint else None
            if together is not None:
                return together
            correction = "holm"
        p_values = [contrasted.p_value for _, contrasted in found]
        p_adjusted = adjust([*p_values, *[1.0] * later], correction)[: len(found)]
        sharing = self._n_sharing([row for row, _ in found], correction, later)
        if self.role == Role.GUARDRAIL:
            p_adjusted = np.minimum(1.0, sharing * p_adjusted)
        shared = 1.0 - (1.0 - level) / sharing
        inferences = []
        for (row, alone), p in zip(found, p_adjusted, strict=True):
            inferences.append(JointInference(float(p), *self._limits(row, alone, shared)))
        return inferences

    def _limits(self, row: PlannedContrast, alone: ContrastEstimate, level: float) -> tuple[float, float]:
        """Compute the interval of a row at another level than its own."""
        if level == self.level:
            return alone.low, alone.high
        if alone.limits is not None:
            return alone.limits(level)
        wide = self._contrast(row, level)
        assert wide is not None  # the level decides nothing about what can be computed
        return wide.low, wide.high

    def _n_sharing(self, family: Sequence[PlannedContrast], correction: str, later: int = 0) -> int:
        if self.role == Role.GUARDRAIL:
            return len({row.candidate for row in family})
        return 1 if correction == "none" else len(family) + later

    @property
    def _correction(self) -> Literal["holm", "romano_wolf", "bh", "none"]:
        if self.role == Role.PRIMARY:
            return self.ladder.suite.matrix.correction
        return "none" if self.role == Role.GUARDRAIL else "bh"

    def _tables(self, name: str) -> list[ResultTable]:
        return self.ladder.tables(name, self.estimand)

    def _contrast(self, row: PlannedContrast, level: float) -> ContrastEstimate | None:
        pair, margin, at = pair_of(self.ladder, row, self.estimand), signed_margin(row), self._at_look(row)
        if row.role != Role.EXPLORATORY:
            _require_scores(pair.candidate, row)
            require_same_unit(row.metric, (*pair.candidate, *pair.baseline))
        elif not same_unit(row.metric, (*pair.candidate, *pair.baseline)):
            return None
        if row.metric in self.ladder.suite.judged:
            return contrast_judged(self.ladder, pair, level=level, margin=margin)
        contrasted = partial(contrast, pair, margin=margin, rng=self.rng)
        if at is None:
            found = contrasted(level=level)
        elif at.look is not None:
            found = at.spend(contrasted, level=level, margin=margin)
        else:
            found = at.always_valid(contrasted(level=level), pair, level=level, margin=margin)
        is_early = at is not None and at.n < at.total  # two clusters, say, are yet to come
        if found is None and row.role != Role.EXPLORATORY and not is_early:
            where = "" if row.slice is None else f" on {row.slice} = {row.slice_value}"
            raise SuiteError(
                self.ladder.suite.name,
                [
                    f"matrix: {row.candidate} over {row.baseline}{where} by {row.metric} cannot be computed: one of "
                    "them lacks the metric, or fewer than two examples are left, of a value of `matrix.weights` too. "
                    "Choose another metric or slice"
                ],
            )
        return found

    def _comparison(self, row: PlannedContrast, alone: ContrastEstimate, joint: JointInference) -> Comparison:
        return comparison_row(
            row,
            alone,
            joint,
            level=self.level,
            estimand=self.estimand,
            n_seeds=(len(self._tables(row.candidate)), len(self._tables(row.baseline))),
            outcome=None if row.margin is None else self._outcome(row, alone, joint.p_adjusted),
        )

    def _outcome(self, row: PlannedContrast, alone: ContrastEstimate, p_adjusted: float) -> Outcome:
        """Nothing is decided where no look is registered, nor of a guardrail that is yet to see the whole test."""
        at = self._at_look(row)
        is_early = row.role == Role.GUARDRAIL and at is not None and self.ladder.suite.matrix.stop == "primary"
        if alone.method == UNPLANNED or is_early:
            return Outcome.INCONCLUSIVE
        return _outcome(row, alone, p_adjusted, self.level)


def _require_scores(candidate: Sequence[ResultTable], row: PlannedContrast) -> None:
    """Require a score of the candidate for every example: those without one, often the hard ones, would be left out."""
    for table in candidate:
        scores = table.scores(row.metric)
        missing = 0 if scores is None else int(np.isnan(scores).sum())
        if missing:
            raise IncomparableError(
                f"matrix: {table.name} has no {row.metric} for {missing:,} of {len(table.frame):,} examples (empty or "
                "NaN). A candidate needs a score for each: an example that failed counts as wrong, and says so in "
                "`error`."
            )


def _outcome(row: PlannedContrast, alone: ContrastEstimate, p_adjusted: float, level: float) -> Outcome:
    """Decide pass or fail where the improvement differs from the margin by the adjusted test, else inconclusive.

    A p-value of exactly 1 − level counts as a difference: then the interval just excludes the margin.
    """
    if alone.undecided is not None or not p_adjusted <= 1.0 - level:  # nor is a p-value that is no number
        return Outcome.INCONCLUSIVE
    return Outcome.PASS if alone.delta * sign_of(row.metric) > (row.margin or 0.0) else Outcome.FAIL
