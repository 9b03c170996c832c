"""Which examples a model computes together: planned from all of a split, so that every process plans the same."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import overload

import numpy as np
import numpy.typing as npt

from mlbaseline.engine.inference.batching import order_packed_batches
from mlbaseline.engine.inference.shared_prefix import SharedPrefix
from mlbaseline.engine.inference.token_cache import EncodedPrompts, prompt_at
from mlbaseline.engine.inference.tokenization import EncodedPrompt, Tokens
from mlbaseline.engine.scoring.prefix_tree import ScoringRequest, count_input_tokens
from mlbaseline.progress import preparing

IntArray = npt.NDArray[np.int64]

_OPENING_TOKENS = 32
"""Examples that begin alike for fewer tokens than this are not worth a common prefix tree."""
_GROUP_TOKENS = 512
"""Size of a tree of several examples, unless one of them alone is as large: attention pays for all that it masks."""
_CANDIDATES = 1024
"""Examples among which a group is formed at a time: bounds what is held in memory."""


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """Examples that one forward pass computes.

    Attributes:
        groups: positions of examples; those of a group form one prefix tree.
        behind_prefix: whether all of them begin with the shared prefix and omit it.
    """

    groups: tuple[tuple[int, ...], ...]
    behind_prefix: bool

    @property
    def positions(self) -> list[int]:
        """All examples of the batch."""
        return [position for group in self.groups for position in group]


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What batches are planned for.

    Attributes:
        prefix: shared prefix of the prompts, if there is one.
        soft_prompt: virtual tokens, which stand before prompts that do not begin with `prefix`.
        batch_tokens: tokens of a batch at most.
        packed: whether the model computes packed prefix trees, see `supports_packing`.
        grouped: whether examples that begin alike share a prefix tree.
    """

    prefix: SharedPrefix | None
    soft_prompt: SharedPrefix | None
    batch_tokens: int
    packed: bool
    grouped: bool = True


def make_request(position: int, prompt: EncodedPrompt, prefix: SharedPrefix | None) -> ScoringRequest:
    """Make the request of an example.

    It omits the shared prefix if all its contexts begin with the prefix and continue behind it.
    """
    return ScoringRequest(position, prompt.sequences, _count_prefix_tokens(prompt, prefix))


def _count_prefix_tokens(prompt: EncodedPrompt, prefix: SharedPrefix | None) -> int:
    n = len(prefix.tokens) if prefix else 0
    fits = prefix and all(len(context) > n and context[:n] == prefix.tokens for context in prompt.contexts)
    return n if fits else 0


class BatchPlan(Sequence[PlannedBatch]):
    """Batches in the order in which they are computed.

    They are stored as numbers: for a million examples, objects would take more memory than their scores.
    """

    def __init__(self, members: IntArray, group_ends: IntArray, batch_ends: IntArray, behind: Sequence[bool]) -> None:
        """Store a plan.

        Args:
            members: positions of all examples, group by group.
            group_ends: where each group ends in `members`.
            batch_ends: where each batch ends in `group_ends`.
            behind: for each batch, whether it is behind the shared prefix.
        """
        self._members = members
        self._group_ends = group_ends
        self._batch_ends = batch_ends
        self._behind = behind

    def __len__(self) -> int:
        return len(self._batch_ends)

    @overload
    def __getitem__(self, index: int) -> PlannedBatch: ...
    @overload
    def __getitem__(self, index: slice) -> list[PlannedBatch]: ...
    def __getitem__(self, index: int | slice) -> PlannedBatch | list[PlannedBatch]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        groups = range(_start(self._batch_ends, index), int(self._batch_ends[index]))
        positions = (self._members[_start(self._group_ends, g) : self._group_ends[g]].tolist() for g in groups)
        return PlannedBatch(tuple(map(tuple, positions)), self._behind[index])


def _start(ends: IntArray, index: int) -> int:
    return int(ends[index - 1]) if index else 0


class _Groups:
    """Groups of examples as they are formed: members, where each group ends, and its tokens."""

    def __init__(self) -> None:
        self.members, self.ends, self.sizes = array("q"), array("q"), array("q")

    def add(self, members: Iterable[int], size: int) -> None:
        self.members.extend(members)
        self.ends.append(len(self.members))
        self.sizes.append(size)

    def reordered(self, order: IntArray) -> tuple[IntArray, IntArray]:
        """Return the members with the groups in that order, and where each group ends."""
        members, ends = _as_array(self.members), _as_array(self.ends)
        sizes = np.diff(ends, prepend=0)[order]
        new_ends = np.cumsum(sizes)
        # Each member's place: the start of its group in the old order, and its distance from that start.
        places = np.repeat(ends[order] - sizes - (new_ends - sizes), sizes) + np.arange(len(members))
        return members[places], new_ends


@dataclass(frozen=True, slots=True)
class _Measured:
    """Of each example that can be computed: its position, its tokens, and a number that equal openings share."""

    positions: IntArray
    lengths: IntArray
    openings: IntArray

    def __getitem__(self, indices: IntArray) -> _Measured:
        return _Measured(self.positions[indices], self.lengths[indices], self.openings[indices])


def plan_batches(prompts: EncodedPrompts, options: PlanOptions) -> BatchPlan:
    """Plan every example that has no error into one batch, longest first.

    Holds the tokens of one example at a time, and remembers their number only.
    """
    measured, is_behind_prefix = _measure(prompts, options)
    parts: list[tuple[IntArray, IntArray]] = []  # members and ends of the groups, in the order of the batches
    batch_ends, behind = array("q"), list[bool]()
    for is_behind in (True, False):
        groups = _group(measured[np.flatnonzero(is_behind_prefix == is_behind)], prompts, options.prefix)
        before = options.prefix if is_behind else options.soft_prompt
        sizes = _as_array(groups.sizes)
        order, ends = order_packed_batches(sizes, options.batch_tokens, len(before) if before else 0)
        if len(order):
            done = batch_ends[-1] if batch_ends else 0
            batch_ends.extend((done + ends).tolist())
            behind += [is_behind] * len(ends)
            parts.append(groups.reordered(order))
    counts = [len(members) for members, _ in parts]
    shifted = [ends + sum(counts[:index]) for index, (_, ends) in enumerate(parts)]
    members = np.concatenate([members for members, _ in parts]) if parts else np.zeros(0, np.int64)
    return BatchPlan(members, np.concatenate(shifted) if parts else members, _as_array(batch_ends), behind)


def _measure(prompts: EncodedPrompts, options: PlanOptions) -> tuple[_Measured, npt.NDArray[np.bool_]]:
    """Measure every example without an error; return also whether each is behind the shared prefix."""
    positions, lengths, openings, behind = array("q"), array("q"), array("q"), bytearray()
    for position in preparing(range(len(prompts)), "Planning batches"):
        prompt = prompts[position]
        if isinstance(prompt, str):
            continue
        n_prefix_tokens = _count_prefix_tokens(prompt, options.prefix)
        positions.append(position)
        lengths.append(_count_tokens(prompt, n_prefix_tokens, packed=options.packed))
        openings.append(_hash_opening(prompt, n_prefix_tokens) if options.packed and options.grouped else 0)
        behind.append(n_prefix_tokens > 0)
    measured = _Measured(_as_array(positions), _as_array(lengths), _as_array(openings))
    return measured, np.frombuffer(behind, dtype=np.bool_)


def _as_array(values: array[int]) -> IntArray:
    return np.frombuffer(values, dtype=np.int64) if values else np.zeros(0, np.int64)


def _group(measured: _Measured, prompts: EncodedPrompts, prefix: SharedPrefix | None) -> _Groups:
    """Form the groups of one example, then those of several that begin alike."""
    candidates = _find_candidates(measured.openings)
    is_alone = np.ones(len(measured.positions), dtype=np.bool_)
    for indices in candidates:
        is_alone[indices] = False
    alone = np.flatnonzero(is_alone)
    groups = _Groups()
    groups.members.frombytes(measured.positions[alone].tobytes())
    groups.ends.frombytes(np.arange(1, len(alone) + 1).tobytes())
    groups.sizes.frombytes(measured.lengths[alone].tobytes())
    for indices in candidates:
        positions = measured.positions[indices].tolist()
        for members, size in _form_groups([make_request(p, prompt_at(prompts, p), prefix) for p in positions]):
            groups.add(members, size)
    return groups


def _count_tokens(prompt: EncodedPrompt, n_prefix_tokens: int, *, packed: bool) -> int:
    """`count_input_tokens` of one example; without its tree where all choices follow one context, as nearly always."""
    context, *others = prompt.contexts
    if not packed or any(other != context for other in others):
        return count_input_tokens([ScoringRequest(0, prompt.sequences, n_prefix_tokens)], packed=packed)
    # The input tokens of each choice, in an order in which those that begin alike are neighbours.
    inputs = sorted(tokens[:-1] for tokens in prompt.continuations)
    return len(context) - n_prefix_tokens + sum(map(len, inputs)) - sum(_count_common(*p) for p in pairwise(inputs))


def _count_common(one: Tokens, other: Tokens) -> int:
    """Count the tokens with which both begin."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _hash_opening(prompt: EncodedPrompt, n_prefix_tokens: int) -> int:
    """Return a number that prompts share which begin alike; 0 where a prompt is too short to share much."""
    tokens = (*prompt.contexts[0], *prompt.continuations[0][:-1])
    opening = tokens[n_prefix_tokens : n_prefix_tokens + _OPENING_TOKENS]
    return hash(opening) if len(opening) == _OPENING_TOKENS else 0


def _find_candidates(openings: IntArray) -> list[IntArray]:
    """Return the indices of examples that share their opening with another, together, in parts of a bounded size."""
    values, value_of, counts = np.unique(openings, return_inverse=True, return_counts=True)
    shared = np.flatnonzero((counts > 1)[value_of] & (values != 0)[value_of])
    by_opening = shared[np.argsort(value_of[shared], kind="stable")]
    parts = np.split(by_opening, np.flatnonzero(np.diff(value_of[by_opening])) + 1) if len(by_opening) else []
    return [part[start : start + _CANDIDATES] for part in parts for start in range(0, len(part), _CANDIDATES)]


def _form_groups(requests: Sequence[ScoringRequest]) -> Iterator[tuple[tuple[int, ...], int]]:
    """Form groups of requests that begin alike: neighbours in the order of their tokens, in trees of a bounded size."""
    group: list[ScoringRequest] = []
    size = limit = 0
    for request in sorted(requests, key=lambda request: request.sequences[0].input_tokens):
        grown = count_input_tokens([*group, request], packed=True)
        if group and grown > limit:
            yield tuple(member.number for member in group), size
            group, grown = [], count_input_tokens([request], packed=True)
        if not group:
            limit = max(_GROUP_TOKENS, 2 * grown)
        group.append(request)
        size = grown
    yield tuple(member.number for member in group), size
