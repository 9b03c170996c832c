"""What a metric is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from mlbaseline.results import ResultTable
from mlbaseline.stats import CorpusMetric

Array = npt.NDArray[np.float64]
_BLOCK_ROWS = 8192
"""Rows whose statistics are in memory at a time."""


@dataclass(frozen=True)
class CorpusRows:
    """The rows of a table as a corpus metric reads them.

    The statistics of a row can take forty times the memory of what they are computed from, so that those of a whole
    table are made for a comparison alone.

    metric: the metric. columns: arrays of one entry per row. to_statistics: columns of some rows ─▶ their statistics
    (rows, s).
    """

    metric: CorpusMetric
    columns: tuple[npt.NDArray[Any], ...]
    to_statistics: Callable[..., Array]

    @classmethod
    def of_statistics(cls, metric: CorpusMetric, statistics: Array) -> CorpusRows:
        """Take statistics (n, s) that took long to compute, or take little memory."""
        return cls(metric, (statistics,), np.asarray)

    def statistics(self) -> Array:
        """Return the statistics (n, s) of all rows."""
        return self.to_statistics(*self.columns)

    def value(self, mask: npt.NDArray[np.bool_] | None = None) -> float:
        """Return the metric of all rows, or of those in a mask (n,), of which there must be one.

        It has the bits of `metric.of`: numpy adds row after row, here as there.
        """
        columns = self.columns if mask is None else tuple(column[mask] for column in self.columns)
        blocks = (
            self.to_statistics(*(column[start : start + _BLOCK_ROWS] for column in columns))
            for start in range(0, len(columns[0]), _BLOCK_ROWS)
        )
        totals = reduce(lambda before, block: np.vstack([before, block]).sum(axis=0), blocks, next(blocks).sum(axis=0))
        return float(self.metric.from_totals(totals))


@dataclass(frozen=True)
class Metric:
    """One way to score a table, by one of two functions of the table and the task's labels.

    Each gives None where the rows lack what it needs.

    per_example: (n,) scores, whose mean is the metric. corpus: the rows as the metric reads them. lowest, highest:
    bounds of a per-example score; a corpus metric has bounds of its own. compared_as: what a comparison has in place of
    the metric, where two values of it must not be subtracted. is_judged: its scores are a judge's, so that
    it decides by people's labels alone; it has none of the two functions. Which answers it can score,
    `suite.METRIC_NAMES` says.
    """

    name: str
    higher_is_better: bool
    per_example: Callable[[ResultTable, Sequence[str]], Array | None] | None = None
    corpus: Callable[[ResultTable, Sequence[str]], CorpusRows | None] | None = None
    lowest: float = -math.inf
    highest: float = math.inf
    compared_as: str | None = None
    is_judged: bool = False

    @property
    def is_mean_within_0_1(self) -> bool:
        """Whether it is the mean of scores from 0 to 1, whose variance is bounded by that mean."""
        return self.per_example is not None and (self.lowest, self.highest) == (0, 1)
