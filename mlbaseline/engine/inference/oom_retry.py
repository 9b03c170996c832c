"""Computing many things together, as many at a time as memory allows, and whatever one of them breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


class Attempts(Generic[Item]):
    """What fails is repeated in halves, until a single item is left to blame.

    Where memory was too short, later ones are cut down to what was found to fit (`fitting_tokens`).
    """

    def __init__(self, budget_tokens: int, size: Callable[[Item], int]) -> None:
        """budget_tokens: what is computed together at most. size: tokens of an item."""
        self._budget_tokens = self.fitting_tokens = budget_tokens
        self._size = size

    def compute(
        self, together: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item]
    ) -> list[Result | Exception]:
        """together: one result per item. The result of each, or what it raised when computed alone."""
        found: list[Result | Exception] = []
        for part in self._cut(items):
            try:
                found += together(part)
                continue
            except Exception as error:  # out of memory, or an item that the model cannot read
                if _is_want_of_memory(error):
                    self.fitting_tokens = max(1, sum(map(self._size, part)) // 2)
                    if torch.cuda.is_available():
                        torch.cuda.empty_cache()
                if len(part) == 1:
                    found.append(error)
                    continue
            half = len(part) // 2
            found += self.compute(together, part[:half]) + self.compute(together, part[half:])
        return found

    def _cut(self, items: Sequence[Item]) -> Iterator[Sequence[Item]]:
        """All at once, or where memory was too short for such, in parts that fit."""
        if self.fitting_tokens == self._budget_tokens:
            if items:
                yield items
            return
        part: list[Item] = []
        tokens = 0
        for item in items:
            tokens += (size := self._size(item))
            if part and tokens > self.fitting_tokens:
                yield part
                part, tokens = [], size
            part.append(item)
        if part:
            yield part


def _is_want_of_memory(error: Exception) -> bool:
    """torch's CPU allocator raises a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "not enough memory" in str(error)
