"""Step-down adjusted p-values from the joint distribution of the statistics."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt


def step_down(
    statistics: npt.NDArray[np.floating[Any]],
    draws: npt.NDArray[np.floating[Any]],
    alternative: Literal["two-sided", "greater", "less"] = "two-sided",
) -> npt.NDArray[np.float64]:
    """Family-wise adjusted p-values (m,) of ``statistics`` (m,) from ``draws`` (R, m) under the null hypotheses.

    The largest statistic is compared with the maximum over all m, the next with the maximum over the rest, and so on;
    counts are "at least", with one added to both (Romano and Wolf 2016, algorithm 4.1).
    """
    direction = {"two-sided": np.abs, "greater": np.positive, "less": np.negative}[alternative]
    observed = direction(statistics).astype(np.float32)
    ascending = np.argsort(observed, kind="stable")
    maximum = np.full(len(draws), -np.inf, dtype=np.float32)
    adjusted = np.empty(len(observed))
    for j in ascending:
        np.maximum(maximum, direction(draws[:, j]), out=maximum)
        adjusted[j] = (1.0 + np.count_nonzero(maximum >= observed[j])) / (1.0 + len(draws))
    descending = ascending[::-1]
    adjusted[descending] = np.maximum.accumulate(adjusted[descending])
    return adjusted
