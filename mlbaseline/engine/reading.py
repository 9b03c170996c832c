"""Reading rows with a model, as many at a time as memory allows, and whatever one of them breaks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch

from mlbaseline.engine.forward import Row, count_tokens, score_packed, score_padded
from mlbaseline.engine.packing import Head, can_pack

Family = list[Row]
"""Rows that are read as one tree."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What was found for an example: log-likelihoods (nats) per query, or the error in their place.

    compute_s: its share of the time.
    """

    nats: tuple[float, ...]
    compute_s: float
    error: str | None = None


class Reader:
    """Scores rows by a causal model.

    A pass that fails is repeated in halves, until a single example is left to blame. Where memory was too short,
    later passes are cut down to what was found to fit.
    """

    def __init__(self, model: Any, batch_tokens: int) -> None:
        self._model = model
        self._batch_tokens = batch_tokens
        self._fitting_tokens = batch_tokens
        self.packs = can_pack(model)

    def score(self, families: Sequence[Family], head: Head | None) -> dict[int, Scored]:
        """Position of the example ─▶ what was found for it."""
        started = perf_counter()
        found = self._try(families, head)
        spent_s = perf_counter() - started
        sizes = {row.example: self._size([[row]]) for family in families for row in family}
        return {
            position: _judge(nats, spent_s * sizes[position] / sum(sizes.values())) for position, nats in found.items()
        }

    def _try(self, families: Sequence[Family], head: Head | None) -> dict[int, tuple[float, ...] | str]:
        found: dict[int, tuple[float, ...] | str] = {}
        for part in self._cut(families):
            try:
                found |= self._read(part, head, self._fitting_tokens)
                continue
            except Exception as error:  # out of memory, or a row that the model cannot read
                if _is_want_of_memory(error):
                    self._fitting_tokens = max(1, self._size(part) // 2)
                    if torch.cuda.is_available():
                        torch.cuda.empty_cache()
            found |= self._try_in_halves(part, head)
        return found

    def _try_in_halves(self, part: Sequence[Family], head: Head | None) -> dict[int, tuple[float, ...] | str]:
        if len(part) == 1:
            part = [[row] for row in part[0]]
        if len(part) == 1:
            return self._try_alone(part, head)
        half = len(part) // 2
        return self._try(part[:half], head) | self._try(part[half:], head)

    def _try_alone(self, example: Sequence[Family], head: Head | None) -> dict[int, tuple[float, ...] | str]:
        try:
            return self._read(example, head, 1)  # where it takes several rows, each by itself
        except Exception as error:
            return {example[0][0].example: f"{type(error).__name__}: {error}"}

    def _read(
        self, families: Sequence[Family], head: Head | None, batch_tokens: int
    ) -> dict[int, tuple[float, ...] | str]:
        rows = [row for family in families for row in family]
        if self.packs:
            return dict(zip((row.example for row in rows), score_packed(self._model, families, head), strict=True))
        nats = iter(score_padded(self._model, [query for row in rows for query in row.queries], batch_tokens))
        return {row.example: tuple(next(nats) for _ in row.queries) for row in rows}

    def _cut(self, families: Sequence[Family]) -> Iterator[Sequence[Family]]:
        """A batch as it is, or where memory was too short for such, in parts that fit."""
        is_cut = self._fitting_tokens < self._batch_tokens
        part: list[Family] = []
        for family in families:
            if part and is_cut and self._size([*part, family]) > self._fitting_tokens:
                yield part
                part = []
            part.append(family)
        if part:
            yield part

    def _size(self, families: Sequence[Family]) -> int:
        return sum(count_tokens(family, packs=self.packs) for family in families)


def _judge(nats: tuple[float, ...] | str, compute_s: float) -> Scored:
    if isinstance(nats, str):
        return Scored((), compute_s, nats)
    if not all(map(math.isfinite, nats)):
        return Scored((), compute_s, f"the model gave log-likelihoods that are no numbers: {list(nats)}")
    return Scored(nats, compute_s)


def _is_want_of_memory(error: Exception) -> bool:
    """torch's CPU allocator raises a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "not enough memory" in str(error)
