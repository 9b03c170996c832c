"""Which rows are computed together: little padding, a bounded size, and the same batches whoever computes them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence, Sized

import numpy as np
import numpy.typing as npt

_MAX_PADDING = 0.04
_FREE_PADDING_TOKENS = 96
"""Padding that a batch may have whatever its share: less than what starting a further batch costs."""
MAX_KEYS = 8
"""Keys that a batch attends to, copies of the head included, over the budget: bounds their memory."""


def make_batches(lengths: Sequence[int], budget_tokens: int, max_rows: int | None = None) -> list[list[int]]:
    """Positions of `lengths`, grouped: longest first, at most `budget_tokens` a batch (its padding included).

    lengths: tokens per row (> 0); equal ones keep their order. A batch also ends where another row would bring its
    padding above 4 %. A row longer than the budget is a batch of its own.
    """
    batches: list[list[int]] = []
    width = padding = 0
    for position in sorted(range(len(lengths)), key=lambda position: -lengths[position]):
        length = lengths[position]
        if batches:
            size = width * (len(batches[-1]) + 1)
            padded = padding + width - length
            fits = size <= budget_tokens and (max_rows is None or len(batches[-1]) < max_rows)
            if fits and padded <= max(_FREE_PADDING_TOKENS, _MAX_PADDING * size):
                batches[-1].append(position)
                padding = padded
                continue
        batches.append([position])
        width, padding = length, 0
    return batches


def most_rows(head: Sized | None, budget_tokens: int) -> int | None:
    """Rows that a batch may have at most, so that its copies of a head stay in bounds."""
    return None if head is None else max(1, MAX_KEYS * budget_tokens // len(head))


def pack_batches(lengths: Sequence[int], budget_tokens: int, head_places: int = 0) -> list[list[int]]:
    """Positions of `lengths`, grouped for a pass without padding; see `pack_order`."""
    order, ends = pack_order(np.asarray(lengths, dtype=np.int64), budget_tokens, head_places)
    return [batch.tolist() for batch in np.split(order, ends[:-1])] if len(order) else []


def pack_order(
    lengths: npt.NDArray[np.int64], budget_tokens: int, head_places: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions of `lengths` (n,) in the order in which a pass without padding reads them, longest first, and where in
    that order each batch ends: at most `budget_tokens` a batch.

    lengths: tokens per row (> 0) behind a head of `head_places`, which attention repeats for each: a batch also ends
    where that would cost too much memory. A row longer than the budget is a batch of its own. Equal ones keep their
    order.
    """
    order = np.argsort(-lengths, kind="stable")
    ends = array("q")
    tokens = keys = 0
    for place, length in enumerate(lengths[order].tolist()):
        tokens, keys = tokens + length, keys + length + head_places
        if place and not (tokens <= budget_tokens and keys <= MAX_KEYS * budget_tokens):
            ends.append(place)
            tokens, keys = length, length + head_places
    ends.append(len(order))
    return order, np.frombuffer(ends, dtype=np.int64)
