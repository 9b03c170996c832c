"""Weights of the rows of a table, as the suite's matrix registers them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mlbaseline.errors import DataError
from mlbaseline.results import SLICE, WEIGHT, ResultTable
from mlbaseline.stats import ExampleWeights, post_stratification
from mlbaseline.suite import Weighting

Mask = npt.NDArray[np.bool_]


def weights_of(
    weighting: Weighting | None, table: ResultTable, rows: Mask, *, is_slice: bool = False
) -> ExampleWeights | None:
    """Weigh rows of a table; None where all count the same.

    The mix of a slice holds for the whole test. On another slice each row keeps the weight that it has there, and the
    shares within that slice are what they happen to be.

    Args:
        weighting: How examples are weighted, as the suite's matrix says.
        table: The table.
        rows: Which of its rows count, (n,).
        is_slice: Whether they are a slice of the test.

    Raises:
        DataError: The table has no weights, for its run is from before the suite had any.
        ValueError: The rows lack a value of the slice that has a share in the mix.
    """
    if weighting is None:
        return None
    if weighting.mix is None:
        if WEIGHT not in table.frame:
            raise DataError(
                f"{table.name}: its run has no weights of the examples, which matrix.weights.column asks for. Evaluate "
                "it again with `mlbaseline evaluate --fresh`."
            )
        return ExampleWeights(table.frame[WEIGHT].to_numpy(dtype=float)[rows])
    groups = table.frame[SLICE + str(weighting.slice)].to_numpy(dtype=str)
    if is_slice:
        return ExampleWeights(post_stratification(groups, weighting.mix).values[rows])
    return post_stratification(groups[rows], weighting.mix)
