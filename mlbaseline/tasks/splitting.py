"""Which example belongs to which split: by hash, never by the order of rows, and never the same text on two sides."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, repeat
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from mlbaseline.errors import DataError
from mlbaseline.records import ExampleTable, digest_of, sort_rows, take_rows, values_of
from mlbaseline.suite import SPLITS, Split, SplitSizes
from mlbaseline.tasks.examples import CONTENT

if TYPE_CHECKING:
    import pyarrow as pa

_PRIORITY: tuple[Split, ...] = ("test", "dev", "train")
"""Order in which splits get examples: another size of train leaves dev and test as they were, and a leak is cut from
train."""


def drop_duplicates(candidates: ExampleTable) -> ExampleTable:
    """Return one candidate of each content: the one with the lowest id, whatever the order of rows."""
    kept = np.arange(len(candidates))
    dropped: list[int] = []
    for copies in _repeated(candidates.table[CONTENT]):
        kept[copies[0]] = _ranked(candidates, copies)[0]
        dropped += copies[1:]
    return candidates.take(np.delete(kept, dropped)) if dropped else candidates


def draw(candidates: ExampleTable, sizes: SplitSizes, counts: Mapping[str, int]) -> dict[Split, ExampleTable]:
    """Draw disjoint splits. Clusters are drawn whole, and cut where a split has no more room; the rest is left over.

    Which examples a split gets depends on `sizes.seed` and on their ids and clusters alone. `counts` goes into the
    message. Raises DataError if a split gets fewer examples than its size, or none.
    """
    units = _units(candidates, sizes.seed)
    splits: dict[Split, ExampleTable] = {}
    for split in _PRIORITY:
        size = getattr(sizes, split)
        wanted = int(size) if size > 1 else math.floor(size * len(candidates) + 1e-9)
        chosen = array("q")
        while len(chosen) < wanted and (members := next(units, None)) is not None:
            chosen.extend(members[: wanted - len(chosen)])
        if len(chosen) < (wanted if size > 1 else min(1, size)):
            raise DataError(_too_few(split, len(chosen), len(candidates), sizes, counts))
        if chosen:
            splits[split] = candidates.take(np.asarray(chosen))
    return {split: splits[split] for split in SPLITS if split in splits}


def _units(candidates: ExampleTable, seed: int) -> Iterator[Sequence[int]]:
    """Yield the positions of each cluster, and of each candidate without one, in the order of a draw."""
    # Sorted by the first 8 of 32 bytes, which take a tenth of the memory; only what is equal in these needs the others.
    starts = np.fromiter((int.from_bytes(_hash(seed, name)[:8], "big") for name, _ in _names(candidates)), np.uint64)
    for _, alike in groupby(np.argsort(starts, kind="stable"), key=starts.__getitem__):
        members = list(alike)
        if len(members) == 1:
            yield members
            continue
        names = zip(_names(candidates.take(np.array(members))), members, strict=True)
        ranked = sorted((_hash(seed, name), _hash(seed, id), position) for (name, id), position in names)
        for _, unit in groupby(ranked, key=itemgetter(0)):
            yield [position for *_, position in unit]


def _names(candidates: ExampleTable) -> Iterator[tuple[str, str]]:
    """Yield of each candidate the name of what it is drawn with, its cluster or itself, and its id."""
    table = candidates.table
    clusters = values_of(table["cluster"]) if "cluster" in table.column_names else repeat(None)
    for id, cluster in zip(values_of(table["id"]), clusters, strict=False):
        yield cluster or id, id


def keep_apart(files: Mapping[Split, ExampleTable], counts: Counter[str]) -> dict[Split, ExampleTable]:
    """Remove from files that are splits already what would leak.

    An example leaves train if its content or its cluster is in dev or test, and dev if it is in test. Within a file,
    copies stay.

    Raises:
        DataError: Nothing is left of a file.
    """
    splits: dict[Split, ExampleTable] = {}
    for split in (split for split in _PRIORITY if split in files):
        candidates = files[split]
        is_fresh = ~_is_in(candidates, CONTENT, splits.values())
        is_kept = is_fresh & ~_is_in(candidates, "cluster", splits.values())
        counts["dropped_duplicates"] += int((~is_fresh).sum())
        counts["dropped_shared_clusters"] += int((is_fresh & ~is_kept).sum())
        if not is_kept.any():
            raise DataError(
                f"data.{split}: no example is left of {len(candidates)} usable rows, once those are gone whose text "
                f"or cluster is in another split ({_describe(counts)})"
            )
        splits[split] = candidates if is_kept.all() else candidates.take(np.flatnonzero(is_kept))
    return {split: _name_copies(splits[split]) for split in SPLITS if split in splits}


def _is_in(candidates: ExampleTable, column: str, others: Iterable[ExampleTable]) -> np.ndarray:
    """Tell which candidates (n,) share the value of a column with one of the others; a missing value is not shared."""
    import pyarrow.compute as pc

    shared = np.zeros(len(candidates), dtype=bool)
    for other in others:
        if column in candidates.table.column_names and column in other.table.column_names:
            values = pc.drop_null(other.table[column].combine_chunks())
            shared |= pc.is_in(candidates.table[column], value_set=values).to_numpy()
    return shared


def _name_copies(candidates: ExampleTable) -> ExampleTable:
    """Tell apart copies within a file, which share content and so an id: the second becomes `…-2`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ids = candidates.table["id"].combine_chunks()
    named: dict[int, str] = {}
    for copies in _repeated(candidates.table["id"]):
        ranked = _ranked(candidates, copies)
        named |= {position: f"{ids[position].as_py()}-{copy}" for copy, position in enumerate(ranked[1:], start=2)}
    if not named:
        return candidates
    is_named = np.zeros(len(ids), dtype=bool)
    is_named[list(named)] = True
    ids = pc.replace_with_mask(ids, is_named, pa.array([named[position] for position in sorted(named)], ids.type))
    place = candidates.table.column_names.index("id")
    return candidates.over(candidates.table.set_column(place, "id", ids))


def _repeated(values: pa.ChunkedArray) -> list[list[int]]:
    """Return the positions of each value that stands in several rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    order = sort_rows(values)  # numbering the values by a hash table takes seven times the memory
    ordered = take_rows(pa.table({"value": values}), order)["value"]
    is_again = np.append(False, pc.equal(ordered.slice(1), ordered.slice(0, len(ordered) - 1)).to_numpy())
    groups: list[list[int]] = []
    for place in np.flatnonzero(is_again).tolist():
        if not is_again[place - 1]:
            groups.append([int(order[place - 1])])
        groups[-1].append(int(order[place]))
    return groups


def _ranked(candidates: ExampleTable, positions: Sequence[int]) -> list[int]:
    """Return positions in the order of the ids there, and of the fields where ids are equal."""
    examples = candidates.take(np.array(positions))
    ranks = ((example.id, digest_of(example.fields)) for example in examples)
    return [position for _, position in sorted(zip(ranks, positions, strict=True))]


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
