"""The two sides of one row of a comparison: whose tables are compared, by which metric, on which examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlbaseline.judge.contrasts.matrix import PlannedContrast, mask_of
from mlbaseline.judge.contrasts.weighting import weights_of
from mlbaseline.judge.ladder import Ladder
from mlbaseline.records import Comparison, Estimand, Role
from mlbaseline.results import ResultTable
from mlbaseline.stats import ExampleWeights
from mlbaseline.suite import Weighting


@dataclass(frozen=True)
class ModelPair:
    """A candidate and a baseline, each by one table (checkpoint) or several (recipe).

    Attributes:
        candidate: Tables of the candidate, one for each seed.
        baseline: Tables of the baseline, over the same examples in the same order.
        metric: Name of the metric that they are compared by.
        labels: Labels of the task; empty where it has none.
        mask: (n,) which rows of the tables count.
        weighting: How their examples are weighted; None where all count the same.
    """

    candidate: Sequence[ResultTable]
    baseline: Sequence[ResultTable]
    metric: str
    labels: Sequence[str]
    mask: npt.NDArray[np.bool_]
    weighting: Weighting | None = None

    def weights(self, rows: npt.NDArray[np.bool_]) -> ExampleWeights | None:
        """Weigh those rows of the tables that have a score; see `weights_of`."""
        return weights_of(self.weighting, self.candidate[0], rows, is_slice=not self.mask.all())


def pair_of(ladder: Ladder, row: PlannedContrast | Comparison, estimand: Estimand) -> ModelPair:
    """Collect what a row of the comparison compares, between checkpoints or between recipes.

    Guardrails see all examples that both sides have answered, unless the suite looks at them as at primary contrasts.
    """
    names = row.candidate, row.baseline
    if row.role == Role.GUARDRAIL and ladder.whole and ladder.suite.matrix.stop == "primary":
        candidate, baseline = ladder.whole_sides(names, estimand)
    else:
        candidate, baseline = (ladder.tables(name, estimand) for name in names)
    suite, mask = ladder.suite, mask_of(candidate[0], row)
    return ModelPair(candidate, baseline, row.metric, suite.task.labels, mask, suite.matrix.weights)
