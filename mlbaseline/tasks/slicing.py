"""Slices: to which value of each slice an example belongs."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlbaseline.errors import DataError
from mlbaseline.progress import preparing
from mlbaseline.records import SLICE_COLUMN, Example, ExampleTable, pack
from mlbaseline.suite import Slicing, Split
from mlbaseline.tasks.data_errors import raise_all
from mlbaseline.untrusted import TimedPattern
from mlbaseline.values import as_number, as_text, is_missing

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = "missing"
"""The value of an example whose column is empty."""
OUTSIDE = "outside"
"""The value of an example whose number lies in no bin."""

Cut = Callable[[Example], str]


def slice_examples(
    slicings: Mapping[str, Slicing], splits: Mapping[Split, Sequence[Example]]
) -> dict[Split, Sequence[Example]]:
    """Return the examples with `slices` filled in: slice ─▶ value.

    Quantiles are those of the test split, where slices are reported, and cut every split at the same edges; equal
    values fall into the same group.

    Raises:
        DataError: Bins cut a column that does not hold numbers, or a pattern, bin or quantile has no example in the
            test split. The message has every such problem.
    """
    sliced = {split: ExampleTable.of(examples) for split, examples in splits.items()}
    problems: list[str] = []
    for name, slicing in slicings.items():
        try:
            cut, expected = _cut(slicing, splits)
            columns = {split: _values(cut, examples, split) for split, examples in splits.items()}
        except DataError as error:
            problems.append(f"task.slices.{name}: {error}")
            continue
        found = {split: set(column.unique().to_pylist()) for split, column in columns.items()}
        there = ", ".join(sorted(set().union(*found.values())))
        problems += [
            f"task.slices.{name}: no test example has the value {value!r}, there is: {there}; "
            "correct or remove it, or draw a larger test split"
            for value in expected
            if value not in found["test"]
        ]
        sliced = {split: sliced[split].with_column(SLICE_COLUMN + name, column) for split, column in columns.items()}
    raise_all("slices", problems)
    return {**sliced}


def _values(cut: Cut, examples: Sequence[Example], split: Split) -> pa.ChunkedArray:
    """Return the value of each example of a split."""
    import pyarrow as pa

    values = ((cut(example),) for example in preparing(examples, f"Slicing {split}"))
    return pack(values, pa.schema([("value", pa.large_string())]))["value"]


def _cut(slicing: Slicing, splits: Mapping[Split, Sequence[Example]]) -> tuple[Cut, Sequence[str]]:
    """How to cut, and the values that the test split must have."""
    column = slicing.column
    if column is None:
        return lambda example: example.target, ()
    if slicing.patterns is not None:
        return _by_pattern(column, slicing.patterns, slicing.default), tuple(slicing.patterns)
    if slicing.bins is not None:
        labels = slicing.labels or tuple(
            f"{low:g} to {high:g}" for low, high in zip(slicing.bins, slicing.bins[1:], strict=False)
        )
        return _by_bin(column, slicing.bins, labels), labels
    if slicing.quantiles is not None:
        return _by_quantile(column, slicing.quantiles, splits)
    return lambda example: _value(example, column), ()


def _value(example: Example, column: str) -> str:
    value = example.fields[column]
    return MISSING if is_missing(value) else as_text(value)


def _by_pattern(column: str, patterns: Mapping[str, str], default: str) -> Cut:
    compiled = [(value, TimedPattern(pattern, f"patterns.{value}")) for value, pattern in patterns.items()]

    def cut(example: Example) -> str:
        text = example.fields[column]
        if is_missing(text):
            return MISSING
        return next((value for value, pattern in compiled if pattern.search(as_text(text))), default)

    return cut


def _by_bin(column: str, edges: Sequence[float], labels: Sequence[str]) -> Cut:
    def cut(example: Example) -> str:
        number = _number(example, column)
        if number is None:
            return MISSING
        if number == edges[-1]:
            return labels[-1]
        position = bisect_right(edges, number) - 1
        return labels[position] if 0 <= position < len(labels) else OUTSIDE

    return cut


def _by_quantile(column: str, groups: int, splits: Mapping[Split, Sequence[Example]]) -> tuple[Cut, Sequence[str]]:
    measure = _measure(column, splits)
    numbers = (number for example in splits["test"] if (number := measure(example)) is not None)
    values = np.fromiter(numbers, dtype=np.float64)
    if not len(values):
        raise DataError(f"column {column!r} is empty in the whole test split, so that it has no quantiles")
    # inverted_cdf: an edge is a value that occurs, so that it is the same on every machine.
    edges = np.quantile(values, np.arange(1, groups) / groups, method="inverted_cdf").tolist()
    names = tuple(f"q{position}" for position in range(1, groups + 1))

    def cut(example: Example) -> str:
        number = measure(example)
        return MISSING if number is None else names[bisect_left(edges, number)]

    return cut, names


def _measure(column: str, splits: Mapping[Split, Sequence[Example]]) -> Callable[[Example], float | None]:
    """Measure by the number itself where every value is one, else by the length of the text in characters."""
    try:
        for examples in splits.values():
            for example in examples:
                _number(example, column)
        return lambda example: _number(example, column)
    except DataError:
        return lambda example: None if is_missing(example.fields[column]) else len(as_text(example.fields[column]))


def _number(example: Example, column: str) -> float | None:
    try:
        return as_number(example.fields[column])
    except ValueError:
        raise DataError(
            f"expected numbers in column {column!r}, example {example.id!r} has {example.fields[column]!r}"
        ) from None
