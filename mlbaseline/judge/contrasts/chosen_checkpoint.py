"""Which of a rung's seeds stands for it when a checkpoint, not a recipe, is compared: the best on `dev`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mlbaseline.results import CompletedEvaluation

DEV = "dev/"
"""Prefix of the run metrics that were measured on the dev split."""


NLL = "nll_nats"


@dataclass(frozen=True)
class ChosenCheckpoint:
    """The evaluation that stands for a rung.

    dev_quality: the metric on `dev`, oriented so that more is better, or without it how likely the right answers are;
    -inf where the rung was never put to dev.
    """

    evaluation: CompletedEvaluation
    dev_quality: float


def choose_checkpoint(
    evaluations: Sequence[CompletedEvaluation], metric: str, *, higher_is_better: bool
) -> ChosenCheckpoint:
    """Choose the seed with the best `metric` on dev; the first seed on ties and for rungs without a dev score."""
    by_seed = sorted(evaluations, key=lambda evaluation: evaluation.table.seed or 0)

    def quality(evaluation: CompletedEvaluation) -> float:
        found = on_dev(evaluation, metric, higher_is_better=higher_is_better)
        if found is None:  # texts were not generated on dev: how likely the right ones are says which seed is best
            return -evaluation.measured.get(DEV + NLL, math.inf)
        return found

    best = max(by_seed, key=quality)
    return ChosenCheckpoint(best, quality(best))


def on_dev(evaluation: CompletedEvaluation, metric: str, *, higher_is_better: bool) -> float | None:
    """Read a metric of an evaluation on `dev`, more being better; None where it was not measured there."""
    value = evaluation.measured.get(DEV + metric, math.nan)
    return None if math.isnan(value) else (value if higher_is_better else -value)
