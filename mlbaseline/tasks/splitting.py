"""Which example belongs to which split: by hash, never by the order of rows, and never the same text on two sides."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from mlbaseline.errors import DataError
from mlbaseline.records import digest_of
from mlbaseline.suite import SPLITS, Split, SplitSizes
from mlbaseline.tasks.examples import Candidate

_PRIORITY: tuple[Split, ...] = ("test", "dev", "train")
"""Order in which splits get examples: another size of train leaves dev and test as they were, and a leak is cut from
train."""


def drop_duplicates(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return one candidate of each content: the one with the lowest id, whatever the order of rows."""
    unique: dict[bytes, Candidate] = {}
    for candidate in candidates:
        rival = unique.get(candidate.content)
        if rival is None or _rank(candidate) < _rank(rival):
            unique[candidate.content] = candidate
    return list(unique.values())


def draw(candidates: Sequence[Candidate], sizes: SplitSizes, counts: Mapping[str, int]) -> dict[Split, list[Candidate]]:
    """Draw disjoint splits. Clusters are drawn whole, and cut where a split has no more room; the rest is left over.

    Which examples a split gets depends on `sizes.seed` and on their ids and clusters alone. `counts` goes into the
    message. Raises DataError if a split gets fewer examples than its size, or none.
    """

    def unit(candidate: Candidate) -> bytes:
        return _hash(sizes.seed, candidate.example.cluster or candidate.example.id)

    drawn = sorted(candidates, key=unit)
    units = (_in_order(list(members), sizes.seed) for _, members in groupby(drawn, key=unit))
    splits: dict[Split, list[Candidate]] = {}
    for split in _PRIORITY:
        size = getattr(sizes, split)
        wanted = int(size) if size > 1 else math.floor(size * len(candidates) + 1e-9)
        chosen: list[Candidate] = []
        while len(chosen) < wanted and (members := next(units, None)) is not None:
            chosen.extend(members[: wanted - len(chosen)])
        if len(chosen) < (wanted if size > 1 else min(1, size)):
            raise DataError(_too_few(split, len(chosen), len(candidates), sizes, counts))
        if chosen:
            splits[split] = chosen
    return {split: splits[split] for split in SPLITS if split in splits}


def _in_order(members: list[Candidate], seed: int) -> list[Candidate]:
    return sorted(members, key=lambda candidate: _hash(seed, candidate.example.id)) if len(members) > 1 else members


def keep_apart(files: Mapping[Split, Sequence[Candidate]], counts: Counter[str]) -> dict[Split, list[Candidate]]:
    """Remove from files that are splits already what would leak.

    An example leaves train if its content or its cluster is in dev or test, and dev if it is in test. Within a file,
    copies stay.

    Raises:
        DataError: Nothing is left of a file.
    """
    contents: set[bytes] = set()
    clusters: set[str | None] = set()
    splits: dict[Split, list[Candidate]] = {}
    for split in (split for split in _PRIORITY if split in files):
        fresh = [candidate for candidate in files[split] if candidate.content not in contents]
        kept = [candidate for candidate in fresh if candidate.example.cluster not in clusters]
        counts["dropped_duplicates"] += len(files[split]) - len(fresh)
        counts["dropped_shared_clusters"] += len(fresh) - len(kept)
        if not kept:
            raise DataError(
                f"data.{split}: no example is left of {len(files[split])} usable rows, once those are gone whose text "
                f"or cluster is in another split ({_describe(counts)})"
            )
        contents.update(candidate.content for candidate in kept)
        clusters.update(candidate.example.cluster for candidate in kept if candidate.example.cluster is not None)
        splits[split] = _name_copies(kept)
    return {split: splits[split] for split in SPLITS if split in splits}


def _name_copies(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Tell apart copies within a file, which share content and so an id: the second becomes `…-2`."""
    times = Counter(candidate.example.id for candidate in candidates)
    by_id: dict[str, list[int]] = {}
    for position, candidate in enumerate(candidates):
        if times[candidate.example.id] > 1:
            by_id.setdefault(candidate.example.id, []).append(position)
    named = list(candidates)
    for id, positions in by_id.items():
        ranked = sorted(positions, key=lambda position: _rank(candidates[position]))
        for copy, position in enumerate(ranked[1:], start=2):
            example = candidates[position].example
            named[position] = replace(candidates[position], example=replace(example, id=f"{id}-{copy}"))
    return named


def _rank(candidate: Candidate) -> tuple[str, str]:
    return candidate.example.id, digest_of(candidate.example.fields)


def _hash(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\n{name}".encode("utf-8", "surrogatepass")).digest()


def _too_few(split: Split, got: int, available: int, sizes: SplitSizes, counts: Mapping[str, int]) -> str:
    wanted = ", ".join(f"{name} {getattr(sizes, name):g}" for name in SPLITS)
    return (
        f"split.{split}: gets {got or 'no'} examples: expected {wanted}, available {available} ({_describe(counts)}). "
        "Lower the sizes, or give more data."
    )


def _describe(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count)
