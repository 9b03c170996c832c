"""Reading rows with a model: log-likelihoods of what is asked of each."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from time import perf_counter

from mlbaseline.engine.inference.batching import pack_batches
from mlbaseline.engine.inference.execution import Found
from mlbaseline.engine.inference.forward import (
    Row,
    count_tokens,
    read_head,
    score_packed,
    score_padded,
    without_adapter,
)
from mlbaseline.engine.inference.oom_retry import Attempts
from mlbaseline.engine.inference.packed_attention import Head, can_pack
from mlbaseline.engine.inference.result_cache import make_key
from mlbaseline.engine.inference.timing import describe_error
from mlbaseline.engine.inference.tokenization import Tokens
from mlbaseline.models.checkpoint import Checkpoint

Family = Sequence[Row]
"""Rows that are read as one tree."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A pass over rows, each with a number of its own (`Row.example`).

    behind_head: all rows skip the head. keys: of the rows; empty where nothing is kept.
    """

    families: Sequence[Family]
    behind_head: bool = False
    keys: Mapping[int, str] = field(default_factory=dict)

    def without(self, items: Container[int]) -> Reading | None:
        families = [left for family in self.families if (left := [row for row in family if row.example not in items])]
        return replace(self, families=families) if families else None


class Reader:
    """Scores rows by a causal model; of each `Reading`, log-likelihoods (nats) per query of each row."""

    def __init__(self, checkpoint: Checkpoint, *, batch_tokens: int, head: Tokens = ()) -> None:
        """head: tokens that are read once for all rows that begin with them, if the model can follow a head."""
        self._model, self.front = without_adapter(checkpoint.model)
        self.packs = can_pack(self._model)
        self._head_tokens = head if self.packs else ()
        self._attempts: Attempts[Family] = Attempts(batch_tokens, lambda family: count_tokens(family, packs=self.packs))
        self._batch_tokens = batch_tokens

    @cached_property
    def head(self) -> Head | None:
        """What stands before the rows of a reading behind the head."""
        return read_head(self._model, self._head_tokens, self.front) if self._head_tokens else None

    def __call__(self, reading: Reading) -> dict[int, Found]:
        started = perf_counter()
        head = self.head if reading.behind_head else self.front
        values = self._score(reading.families, head)
        spent_s = perf_counter() - started
        sizes = {row.example: count_tokens([row], packs=self.packs) for family in reading.families for row in family}
        per_token_s = spent_s / sum(sizes.values())
        return {item: _judge(found, per_token_s * sizes[item]) for item, found in values.items()}

    def plan(self, rows: Sequence[Row], keys: Mapping[int, str] | None = None) -> Iterator[Reading]:
        """Rows that have nothing in common, in passes of a bounded size, longest first."""
        lengths = [count_tokens([row], packs=self.packs) for row in rows]
        for batch in pack_batches(lengths, self._batch_tokens, len(self.front) if self.front else 0):
            own = {rows[index].example: keys[rows[index].example] for index in batch} if keys else {}
            yield Reading([[rows[index]] for index in batch], keys=own)

    def _score(self, families: Sequence[Family], head: Head | None) -> dict[int, tuple[float, ...] | Exception]:
        found: dict[int, tuple[float, ...] | Exception] = {}
        read = self._attempts.compute(lambda part: self._read(part, head), families)
        for family, values in zip(families, read, strict=True):
            if isinstance(values, Exception):
                found |= self._score_singly(family, head, values)
            else:
                found |= zip((row.example for row in family), values, strict=True)
        return found

    def _score_singly(
        self, family: Family, head: Head | None, error: Exception
    ) -> dict[int, tuple[float, ...] | Exception]:
        """Of a family that could not be read: its rows alone; of a row that takes several lines, each line alone."""
        if len(family) > 1:
            return self._score([[row] for row in family], head)
        if self.packs:
            return {family[0].example: error}
        try:
            return {family[0].example: self._read([family], head, 1)[0][0]}
        except Exception as still:
            return {family[0].example: still}

    def _read(
        self, families: Sequence[Family], head: Head | None, line_tokens: int | None = None
    ) -> list[list[tuple[float, ...]]]:
        """Per family and row. line_tokens: of the lines that are read together, where rows cannot be packed."""
        rows = [row for family in families for row in family]
        if self.packs:
            scored = iter(score_packed(self._model, families, head))
        else:
            queries = [query for row in rows for query in row.queries]
            nats = iter(score_padded(self._model, queries, line_tokens or self._attempts.fitting_tokens))
            scored = iter([tuple(next(nats) for _ in row.queries) for row in rows])
        return [[next(scored) for _ in family] for family in families]


def key_of(row: Row, example_id: str) -> str:
    """Names what is asked of an example in this row."""
    asked = (part for query in row.queries for part in (query.tokens, query.answer))
    return make_key(example_id, row.n_skipped, *asked)


def _judge(nats: tuple[float, ...] | Exception, compute_s: float) -> Found:
    if isinstance(nats, Exception):
        return Found((), compute_s, describe_error(nats))
    if not all(map(math.isfinite, nats)):
        return Found((), compute_s, f"the model gave log-likelihoods that are no numbers: {list(nats)}")
    return Found(nats, compute_s)
