"""Which examples a model reads together: formed from all of a split, so that whoever computes them finds the same."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import overload

import numpy as np
import numpy.typing as npt

from mlbaseline.engine.inference.batching import pack_order
from mlbaseline.engine.inference.forward import Query, Row, count_tokens
from mlbaseline.engine.inference.packed_attention import Head
from mlbaseline.engine.inference.token_cache import Encodings, encoded_at
from mlbaseline.engine.inference.tokenization import Encoded, Tokens
from mlbaseline.progress import preparing

Numbers = npt.NDArray[np.int64]

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
    return Row(position, queries, _count_skipped(encoded, head))


def _count_skipped(encoded: Encoded, head: Head | None) -> int:
    n = len(head.tokens) if head else 0
    is_behind = head and all(len(context) > n and context[:n] == head.tokens for context in encoded.contexts)
    return n if is_behind else 0


class Plan(Sequence[Batch]):
    """The batches in the order in which they are read.

    Kept as numbers, for a million examples as objects would take more memory than their scores: `members` are the
    positions of all examples, family by family; `families` and `batches` are where each of them ends, the one in
    members, the other in families.
    """

    def __init__(self, members: Numbers, families: Numbers, batches: Numbers, behind_head: Sequence[bool]) -> None:
        self._members = members
        self._families = families
        self._batches = batches
        self._behind_head = behind_head

    def __len__(self) -> int:
        return len(self._batches)

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> list[Batch]: ...
    def __getitem__(self, index: int | slice) -> Batch | list[Batch]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        families = range(self._start(self._batches, index), int(self._batches[index]))
        positions = (self._members[self._start(self._families, f) : self._families[f]].tolist() for f in families)
        return Batch(tuple(map(tuple, positions)), self._behind_head[index])

    @staticmethod
    def _start(ends: Numbers, index: int) -> int:
        return int(ends[index - 1]) if index else 0


class _Families:
    """Families as they are found. sizes: tokens that each takes."""

    def __init__(self) -> None:
        self.members, self.ends, self.sizes = array("q"), array("q"), array("q")

    def add(self, members: Iterable[int], size: int) -> None:
        self.members.extend(members)
        self.ends.append(len(self.members))
        self.sizes.append(size)


def plan_batches(
    encodings: Encodings, head: Head | None, batch_tokens: int, *, front: Head | None = None, packs: bool
) -> Plan:
    """Every example that can be asked in one batch, longest first. packs: see `packing.can_pack`.

    front: the head of those that do not begin with `head`, what an adapter puts in front of everything.

    Reads the tokens of one example after the other and keeps their number only.
    """
    positions, lengths, openings, behind = array("q"), array("q"), array("q"), bytearray()
    for position in preparing(range(len(encodings)), "Planning batches"):
        encoded = encodings[position]
        if isinstance(encoded, str):
            continue
        n_skipped = _count_skipped(encoded, head)
        positions.append(position)
        lengths.append(_count_alone(encoded, head, n_skipped, packs=packs))
        openings.append(_opening(encoded, n_skipped) if packs else 0)
        behind.append(n_skipped > 0)
    parts: list[tuple[Numbers, Numbers]] = []  # members and ends of the families, batch by batch
    batches, behind_head = array("q"), list[bool]()
    for is_behind in (True, False):
        group = np.flatnonzero(np.frombuffer(behind, dtype=np.bool_) == is_behind)
        found = _find_families(
            _numbers(positions)[group], _numbers(lengths)[group], _numbers(openings)[group], encodings, head
        )
        before = head if is_behind else front
        order, ends = pack_order(_numbers(found.sizes), batch_tokens, len(before) if before else 0)
        if len(order):
            done = batches[-1] if batches else 0
            batches.extend((done + ends).tolist())
            behind_head += [is_behind] * len(ends)
            parts.append(_in_order(found, order))
    sizes = [len(members) for members, _ in parts]
    shifted = [ends + sum(sizes[:index]) for index, (_, ends) in enumerate(parts)]
    members = np.concatenate([members for members, _ in parts]) if parts else np.zeros(0, np.int64)
    return Plan(members, np.concatenate(shifted) if parts else members, _numbers(batches), behind_head)


def _numbers(values: array[int]) -> Numbers:
    return np.frombuffer(values, dtype=np.int64) if values else np.zeros(0, np.int64)


def _find_families(
    positions: Numbers, lengths: Numbers, openings: Numbers, encodings: Encodings, head: Head | None
) -> _Families:
    """Those that are read alone, then those that are read with others. lengths, openings: of each in `positions`."""
    relatives = _relatives(openings)
    is_alone = np.ones(len(positions), dtype=np.bool_)
    for some in relatives:
        is_alone[some] = False
    alone = np.flatnonzero(is_alone)
    families = _Families()
    families.members.frombytes(positions[alone].tobytes())
    families.ends.frombytes(np.arange(1, len(alone) + 1).tobytes())
    families.sizes.frombytes(lengths[alone].tobytes())
    for some in relatives:
        rows = [make_row(position, encoded_at(encodings, position), head) for position in positions[some].tolist()]
        for family, size in _families(rows):
            families.add(family, size)
    return families


def _in_order(families: _Families, order: Numbers) -> tuple[Numbers, Numbers]:
    """The members of the families in that order of them, and where each family ends."""
    members, ends = _numbers(families.members), _numbers(families.ends)
    sizes = np.diff(ends, prepend=0)[order]
    new_ends = np.cumsum(sizes)
    # Each member's place: the start of its family in the old order, and how far it stands behind that start.
    places = np.repeat(ends[order] - sizes - (new_ends - sizes), sizes) + np.arange(len(members))
    return members[places], new_ends


def _count_alone(encoded: Encoded, head: Head | None, n_skipped: int, *, packs: bool) -> int:
    """`count_tokens` of one example; without its tree where the choices follow one context, as nearly all do."""
    context, *others = encoded.contexts
    if not packs or any(other != context for other in others):
        return count_tokens([make_row(0, encoded, head)], packs=packs)
    # What is read of each choice, in an order in which those that begin alike are neighbours.
    read = sorted(tokens[:-1] for tokens in encoded.continuations)
    return len(context) - n_skipped + sum(map(len, read)) - sum(_count_common(*pair) for pair in pairwise(read))


def _count_common(one: Tokens, other: Tokens) -> int:
    """Tokens with which both begin."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _opening(encoded: Encoded, n_skipped: int) -> int:
    """A number that examples have in common which begin alike; 0 where there is too little to have in common."""
    opening = (*encoded.contexts[0], *encoded.continuations[0][:-1])[n_skipped : n_skipped + _OPENING_TOKENS]
    return hash(opening) if len(opening) == _OPENING_TOKENS else 0


def _relatives(openings: Numbers) -> list[Numbers]:
    """Indices of those that share their opening with another, together, in parts of a bounded size."""
    found, first, counts = np.unique(openings, return_inverse=True, return_counts=True)
    shared = np.flatnonzero((counts > 1)[first] & (found != 0)[first])
    by_opening = shared[np.argsort(first[shared], kind="stable")]
    parts = np.split(by_opening, np.flatnonzero(np.diff(first[by_opening])) + 1) if len(by_opening) else []
    return [part[start : start + _RELATIVES] for part in parts for start in range(0, len(part), _RELATIVES)]


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
