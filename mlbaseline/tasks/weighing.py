"""Weights of the test's examples, by a column of their data or by the mix of a slice."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mlbaseline.errors import DataError
from mlbaseline.records import Example, ExampleTable
from mlbaseline.suite import Weighting
from mlbaseline.tasks.data_errors import no_column
from mlbaseline.values import as_number

_SHOWN = 3


def weigh_examples(examples: Sequence[Example], weighting: Weighting) -> Sequence[Example]:
    """Return the examples with `weight` filled in, where a column has it.

    Args:
        examples: Of the test, with their slices.
        weighting: How they are weighted.

    Raises:
        DataError: The data have no such column, an example has no finite weight above 0, or the mix does not name
            exactly the values that the slice has.
    """
    if weighting.column is not None:
        return _by_column(examples, weighting.column)
    there, named = {example.slices[str(weighting.slice)] for example in examples}, set(weighting.mix or ())
    if there != named:
        raise DataError(
            f"matrix.weights.mix: expected a share for each value that {weighting.slice} has in the test, and no "
            f"other; without a share: {', '.join(sorted(there - named)) or 'none'}; without an example: "
            f"{', '.join(sorted(named - there)) or 'none'}"
        )
    return examples


def _by_column(examples: Sequence[Example], column: str) -> ExampleTable:
    import pyarrow as pa

    if column not in examples[0].fields:
        raise DataError(f"matrix.weights.column: {no_column(column, examples[0].fields, ' in the data of the test')}")
    weights = np.fromiter((_weight(example, column) for example in examples), float, len(examples))
    wrong = [examples[position].id for position in np.flatnonzero(~(weights > 0)).tolist()]
    if wrong:
        raise DataError(
            f"matrix.weights.column: {column!r} has no number above 0 for {len(wrong):,} of {len(examples):,} examples "
            f"of the test (first: {', '.join(wrong[:_SHOWN])}). Leave out of the data what is not to count."
        )
    return ExampleTable.of(examples).with_column("weight", pa.chunked_array([weights]))


def _weight(example: Example, column: str) -> float:
    """NaN where there is none."""
    try:
        number = as_number(example.fields[column])
    except ValueError:
        return math.nan
    return math.nan if number is None or math.isinf(number) else number
