"""Which examples a model reads together: formed from all of a split, so that whoever computes them finds the same."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mlbaseline.engine.batching import pack_batches
from mlbaseline.engine.encoding import Encoded
from mlbaseline.engine.forward import Query, Row, count_tokens
from mlbaseline.engine.packing import Head
from mlbaseline.engine.tokens import Encodings

_OPENING_TOKENS = 32
"""Examples that begin alike for fewer tokens than this are not worth reading as one tree."""
_FAMILY_TOKENS = 512
"""Of a tree of several examples, unless one of them alone is as large: attention pays for all that it does not see."""
_RELATIVES = 1024
"""Examples among which the members of a family are looked for: bounds what is held in memory."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one pass reads. families: positions of examples, those of a family as one tree. behind_head: all of them
    begin with the head, and skip it."""

    families: tuple[tuple[int, ...], ...]
    behind_head: bool

    @property
    def positions(self) -> list[int]:
        return [position for family in self.families for position in family]


def make_row(position: int, encoded: Encoded, head: Head | None) -> Row:
    """All that is asked of an example. It skips the head if all of it begins with the head and goes on behind it."""
    pairs = zip(encoded.contexts, encoded.continuations, strict=True)
    queries = tuple(Query((*context, *tokens[:-1]), tokens) for context, tokens in pairs)
    n = len(head.tokens) if head else 0
    is_behind = head and all(len(context) > n and context[:n] == head.tokens for context in encoded.contexts)
    return Row(position, queries, n if is_behind else 0)


def plan_batches(
    encodings: Encodings, head: Head | None, batch_tokens: int, *, front: Head | None = None, packs: bool
) -> list[Batch]:
    """Every example that can be asked in one batch, longest first. packs: see `packing.can_pack`.

    front: the head of those that do not begin with `head`, what an adapter puts in front of everything.

    Reads the tokens of one example after the other and keeps their number only.
    """
    positions, lengths, openings, behind = array("q"), array("q"), array("q"), bytearray()
    for position in range(len(encodings)):
        encoded = encodings[position]
        if isinstance(encoded, str):
            continue
        row = make_row(position, encoded, head)
        positions.append(position)
        lengths.append(count_tokens([row], packs=packs))
        openings.append(_opening(row) if packs else 0)
        behind.append(row.n_skipped > 0)
    batches = []
    for is_behind in (True, False):
        group = [index for index in range(len(positions)) if bool(behind[index]) == is_behind]
        relatives = _relatives(group, openings)
        related = {index for some in relatives for index in some}
        families: list[tuple[int, ...]] = [(positions[index],) for index in group if index not in related]
        sizes = [lengths[index] for index in group if index not in related]
        for some in relatives:
            rows = [make_row(positions[i], _asked(encodings[positions[i]]), head) for i in some]
            for family, size in _families(rows):
                families.append(family)
                sizes.append(size)
        before = head if is_behind else front
        for pack in pack_batches(sizes, batch_tokens, len(before) if before else 0):
            batches.append(Batch(tuple(families[index] for index in pack), is_behind))
    return batches


def _opening(row: Row) -> int:
    """A number that examples have in common which begin alike; 0 where there is too little to have in common."""
    opening = row.queries[0].tokens[row.n_skipped : row.n_skipped + _OPENING_TOKENS]
    return hash(opening) if len(opening) == _OPENING_TOKENS else 0


def _relatives(indices: Sequence[int], openings: Sequence[int]) -> list[list[int]]:
    """Those of `indices` that share their opening with another, together, in parts of a bounded size."""
    found, first, counts = np.unique([openings[i] for i in indices], return_inverse=True, return_counts=True)
    shared = np.flatnonzero((counts > 1)[first] & (found != 0)[first])
    by_opening = shared[np.argsort(first[shared], kind="stable")]
    parts = np.split(by_opening, np.flatnonzero(np.diff(first[by_opening])) + 1) if len(by_opening) else []
    return [
        [indices[i] for i in part[start : start + _RELATIVES]]
        for part in parts
        for start in range(0, len(part), _RELATIVES)
    ]


def _families(rows: Sequence[Row]) -> Iterator[tuple[tuple[int, ...], int]]:
    """Rows that begin alike, neighbours in the order of their tokens, in trees of a bounded size."""
    family: list[Row] = []
    size = limit = 0
    for row in sorted(rows, key=lambda row: row.queries[0].tokens):
        grown = count_tokens([*family, row], packs=True)
        if family and grown > limit:
            yield tuple(member.example for member in family), size
            family, grown = [], count_tokens([row], packs=True)
        if not family:
            limit = max(_FAMILY_TOKENS, 2 * grown)
        family.append(row)
        size = grown
    yield tuple(member.example for member in family), size


def _asked(encoded: Encoded | str) -> Encoded:
    assert isinstance(encoded, Encoded)
    return encoded
