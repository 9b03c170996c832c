"""What a metric is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlbaseline.results import ResultTable
from mlbaseline.stats import CorpusMetric

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """One way to score a table, by one of two functions of the table and the task's labels.

    Each gives None where the rows lack what it needs.

    per_example: (n,) scores, whose mean is the metric. corpus: the metric, and its statistics (n, s). lowest, highest:
    bounds of a per-example score; a corpus metric has bounds of its own. compared_as: what a comparison has in place of
    the metric, where two values of it must not be subtracted. is_judged: its scores are a judge's, so that
    it decides by people's labels alone; it has none of the two functions. Which answers it can score,
    `suite.METRIC_NAMES` says.
    """

    name: str
    higher_is_better: bool
    per_example: Callable[[ResultTable, Sequence[str]], Array | None] | None = None
    corpus: Callable[[ResultTable, Sequence[str]], tuple[CorpusMetric, Array] | None] | None = None
    lowest: float = -math.inf
    highest: float = math.inf
    compared_as: str | None = None
    is_judged: bool = False

    @property
    def is_mean_within_0_1(self) -> bool:
        """Whether it is the mean of scores from 0 to 1, whose variance is bounded by that mean."""
        return self.per_example is not None and (self.lowest, self.highest) == (0, 1)
