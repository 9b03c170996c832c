"""A contrast at a look: the ordinary method's p-value and interval, with the error rate spent over registered looks.

The p-value of the ordinary method becomes the normal statistic that would have it, and that is held against the
boundaries ("significance level approach": Jennison and Turnbull 2000, "Group sequential methods with applications to
clinical trials", section 3.3). Any method that holds its level may therefore be looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np
import scipy

from mlbaseline.judge.contrasts.inference import ContrastEstimate, paired_scores
from mlbaseline.judge.contrasts.pair import ModelPair
from mlbaseline.stats.sequential import GroupSequentialPlan, group_sequential, mean_difference
from mlbaseline.stats.types import Array

BETA = 0.2
"""Type II error that futility spends: a stop is for an effect that the whole test would find with 80 % power."""
UNPLANNED = "confidence_sequence"
"""Method of a contrast where no look is registered."""
_MAX_Z = 37.0
"""A p-value that is 0 in double precision."""


class InferAtLevel(Protocol):
    """Infers a contrast with an interval at a level."""

    def __call__(self, *, level: float) -> ContrastEstimate | None:
        """Give the contrast; None where it cannot be computed."""
        ...


@lru_cache(maxsize=256)
def boundaries(fractions: tuple[float, ...], level: float) -> GroupSequentialPlan:
    """Plan the looks of a two-sided test at 1 − level, with futility for the side of an improvement."""
    return group_sequential(fractions, alpha=(1.0 - level) / 2.0, beta=BETA)


@dataclass(frozen=True)
class LookInference:
    """How contrasts are inferred at a look.

    Attributes:
        fractions: Share of the test at each registered look.
        look: Which look it is, 0 the first; None where none is registered.
        n: Examples so far.
        total: Examples of the whole test.
    """

    fractions: tuple[float, ...]
    look: int | None
    n: int
    total: int

    def spend(self, contrasted: InferAtLevel, *, level: float, margin: float) -> ContrastEstimate | None:
        """Infer a contrast at a registered look.

        Args:
            contrasted: Infers the contrast by the ordinary method; None where it cannot be computed.
            level: Of the repeated confidence interval, over all looks together.
            margin: In the metric's own unit.

        Returns:
            The contrast with the limits, p-value and statistic of this look. The detectable difference is that of the
            whole test.
        """
        assert self.look is not None
        plan, found = boundaries(self.fractions, level), contrasted(level=level)
        if found is None:
            return None

        def limits(level: float) -> tuple[float, float]:
            at_look = boundaries(self.fractions, level).level(self.look or 0)
            if found.limits is not None:
                return found.limits(at_look)
            wide = contrasted(level=at_look)
            assert wide is not None  # the level decides nothing about what can be computed
            return wide.low, wide.high

        low, high = limits(level)
        z = min(-float(scipy.special.ndtri(found.p_value / 2.0)), _MAX_Z) if found.p_value < 1.0 else 0.0
        z = math.copysign(z, found.delta - margin)
        return replace(
            found,
            low=low,
            high=high,
            limits=limits,
            p_value=min(1.0, 2.0 * plan.p_value_at(self.look, abs(z))),
            mde=found.mde * math.sqrt(plan.inflation * self.n / self.total),
            z=z,
        )

    def always_valid(
        self, found: ContrastEstimate | None, pair: ModelPair, *, level: float, margin: float
    ) -> ContrastEstimate | None:
        """Infer a contrast where no look is registered, by a confidence sequence: it holds whenever one looks.

        Corpus metrics, recipes and weighted means have no values per example that are independent and alike; nothing
        is said of them.
        """
        if found is None:
            return None
        nothing = replace(found, low=-math.inf, high=math.inf, limits=None, p_value=1.0, method=UNPLANNED)
        scores = paired_scores(pair)
        if scores is None or scores.weights is not None or max(len(pair.candidate), len(pair.baseline)) > 1:
            return nothing
        values = _per_unit(scores.candidate[0] - scores.baseline[0], scores.clusters)
        planned = max(2, round(len(values) * self.total / self.n))
        sequence = mean_difference(
            values, np.zeros_like(values), optimal_n=planned, alpha=1.0 - level, margin=margin, paired=True
        )
        p_value = min(1.0, math.exp(-sequence.log_e))
        return replace(nothing, low=sequence.low, high=sequence.high, p_value=p_value)


def _per_unit(differences: Array, clusters: np.ndarray | None) -> Array:
    """One value for each independent unit (u,), whose mean is that of the differences (n,)."""
    if clusters is None:
        return differences
    _, codes = np.unique(clusters.astype(str), return_inverse=True)
    sums = np.bincount(codes, weights=differences)
    return np.asarray(sums * (len(sums) / len(differences)), dtype=float)
