"""Which inputs are computed together: with little padding, in a bounded size, and independent of who computes them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence, Sized

import numpy as np
import numpy.typing as npt

_MAX_PADDING = 0.04
FREE_PADDING_TOKENS = 96
"""Padding that any batch may have: it costs less than one more pass over the weights."""
MAX_KEYS = 8
"""Keys that a batch attends to, copies of the shared prefix included, divided by its budget: bounds their memory."""


def make_padded_batches(
    lengths: Sequence[int], budget_tokens: int, max_rows: int | None = None, n_passes: int = 1
) -> list[list[int]]:
    """Group inputs into batches with padding, longest first.

    A batch ends where another row would exceed the budget, or raise its padding above both 4 % and what is cheaper
    than one more batch. A row that is longer than the budget is a batch of its own. Inputs of equal length keep their
    order.

    Args:
        lengths: tokens of each input (> 0).
        budget_tokens: tokens of a batch at most, padding included.
        max_rows: rows of a batch at most.
        n_passes: how often the model runs for each batch, such as once for each token that it generates.

    Returns:
        For each batch the positions of its inputs in `lengths`.

    >>> make_padded_batches([3, 8, 4, 8], budget_tokens=16)
    [[1, 3], [2, 0]]
    """
    batches: list[list[int]] = []
    width = padding = 0
    for position in sorted(range(len(lengths)), key=lambda position: -lengths[position]):
        length = lengths[position]
        if batches:
            size = width * (len(batches[-1]) + 1)
            padded = padding + width - length
            fits = size <= budget_tokens and (max_rows is None or len(batches[-1]) < max_rows)
            if fits and padded <= max(FREE_PADDING_TOKENS * n_passes, _MAX_PADDING * size):
                batches[-1].append(position)
                padding = padded
                continue
        batches.append([position])
        width, padding = length, 0
    return batches


def max_rows_behind(prefix: Sized | None, budget_tokens: int) -> int | None:
    """Return how many rows a batch may have, so that its copies of a shared prefix fit into memory; None: any number.

    Args:
        prefix: its length is its positions.
        budget_tokens: of a batch.
    """
    return None if prefix is None else max(1, MAX_KEYS * budget_tokens // len(prefix))


def make_packed_batches(lengths: Sequence[int], budget_tokens: int, prefix_length: int = 0) -> list[list[int]]:
    """Group inputs into batches without padding, as `order_packed_batches` does.

    Returns:
        For each batch the positions of its inputs in `lengths`.

    >>> make_packed_batches([3, 8, 4, 8], budget_tokens=16)
    [[1, 3], [2, 0]]
    """
    order, ends = order_packed_batches(np.asarray(lengths, dtype=np.int64), budget_tokens, prefix_length)
    return [batch.tolist() for batch in np.split(order, ends[:-1])] if len(order) else []


def order_packed_batches(
    lengths: npt.NDArray[np.int64], budget_tokens: int, prefix_length: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Order inputs for batches without padding, longest first.

    An input that is longer than the budget is a batch of its own. Inputs of equal length keep their order.

    Args:
        lengths: (n,), tokens of each input (> 0), the shared prefix not included.
        budget_tokens: tokens of a batch at most.
        prefix_length: positions of the shared prefix. Attention copies it for each input: a batch also ends where the
            copies would take too much memory.

    Returns:
        The positions in `lengths` in that order, (n,), and where in it each batch ends.
    """
    order = np.argsort(-lengths, kind="stable")
    ends = array("q")
    tokens = keys = 0
    for place, length in enumerate(lengths[order].tolist()):
        tokens, keys = tokens + length, keys + length + prefix_length
        if place and not (tokens <= budget_tokens and keys <= MAX_KEYS * budget_tokens):
            ends.append(place)
            tokens, keys = length, length + prefix_length
    ends.append(len(order))
    return order, np.frombuffer(ends, dtype=np.int64)
