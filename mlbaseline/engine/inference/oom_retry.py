"""Retries a batch in smaller parts, where memory ran out or where one of its items fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import torch

BatchItem = TypeVar("BatchItem")
ItemResult = TypeVar("ItemResult")


class OutOfMemoryRetry(Generic[BatchItem]):
    """Repeats a failed batch in halves, until the items that fail are alone.

    After an out-of-memory error, later batches are split beforehand into parts that fit (`fitting_tokens`).
    """

    def __init__(self, budget_tokens: int, size: Callable[[BatchItem], int]) -> None:
        """Begin with the whole budget.

        Args:
            budget_tokens: what is computed together at most.
            size: tokens of an item.
        """
        self._budget_tokens = self.fitting_tokens = budget_tokens
        self._size = size

    def run(
        self, compute: Callable[[Sequence[BatchItem]], Sequence[ItemResult]], items: Sequence[BatchItem]
    ) -> list[ItemResult | Exception]:
        """Compute all items.

        Args:
            compute: returns one result per item.
            items: what is computed together if memory allows.

        Returns:
            For each item its result, or the exception that it raised when it was computed alone.
        """
        results: list[ItemResult | Exception] = []
        for part in self._split(items):
            try:
                results += compute(part)
                continue
            except Exception as error:  # out of memory, or an item that the model cannot compute
                if _is_out_of_memory(error):
                    self.fitting_tokens = max(1, sum(map(self._size, part)) // 2)
                    if torch.cuda.is_available():
                        torch.cuda.empty_cache()
                if len(part) == 1:
                    results.append(error)
                    continue
            half = len(part) // 2
            results += self.run(compute, part[:half]) + self.run(compute, part[half:])
        return results

    def _split(self, items: Sequence[BatchItem]) -> Iterator[Sequence[BatchItem]]:
        """Yield all items at once or, after an out-of-memory error, parts that fit."""
        if self.fitting_tokens == self._budget_tokens:
            if items:
                yield items
            return
        part: list[BatchItem] = []
        tokens = 0
        for item in items:
            tokens += (size := self._size(item))
            if part and tokens > self.fitting_tokens:
                yield part
                part, tokens = [], size
            part.append(item)
        if part:
            yield part


def _is_out_of_memory(error: Exception) -> bool:
    """Recognise out-of-memory errors; torch's CPU allocator raises a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "not enough memory" in str(error)
