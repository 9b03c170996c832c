"""Slices of a sample: the values that the suite cuts, thirds of what was measured, and where two of them meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from mlbaseline.judge.slices.sample import Array, Mask, Sample
from mlbaseline.records import Where

GROUPS = 3
Edges = Mapping[str, Array]
"""Measure ─▶ ascending inner edges of its groups."""


@dataclass(frozen=True)
class Cut:
    """rows (n,): which examples of a sample are `where`."""

    where: Where
    rows: Mask

    @property
    def n(self) -> int:
        return int(self.rows.sum())


def find_edges(sample: Sample) -> dict[str, Array]:
    """Find the thirds of every measure that varies, so that other examples can be cut at the same edges."""
    edges = {}
    for name, numbers in sample.measures.items():
        known = numbers[~np.isnan(numbers)]
        if len(known):
            # inverted_cdf: an edge is a value that occurs, so that the label says what was cut.
            inner = np.unique(np.quantile(known, np.arange(1, GROUPS) / GROUPS, method="inverted_cdf"))
            edges[name] = inner[inner < known.max()]
    return {name: inner for name, inner in edges.items() if len(inner)}


def single_cuts(sample: Sample, edges: Edges) -> Iterator[Cut]:
    """Cut by each value of every slice, and by each group of every measure."""
    for name, values in sample.values.items():
        for value in sorted(set(values)):
            yield Cut(((name, str(value)),), np.asarray(values == value))
    for name, inner in edges.items():
        numbers = sample.measures.get(name)
        if numbers is None:
            continue
        group = np.searchsorted(inner, numbers, side="left")
        for position, label in enumerate(_labels(inner)):
            yield Cut(((name, label),), (group == position) & ~np.isnan(numbers))


def intersections(cuts: Sequence[Cut], *, at_least: int, limit: int) -> list[Cut]:
    """Intersect cuts of two slices that share `at_least` examples, the largest first, at most `limit` of them.

    What is a whole slice again is left out.
    """
    if not cuts:
        return []
    members = np.array([cut.rows for cut in cuts], dtype=np.float32)
    shared = (members @ members.T).astype(int)
    found = []
    for i, j in combinations(range(len(cuts)), 2):
        one, other = cuts[i], cuts[j]
        if one.where[0][0] != other.where[0][0] and at_least <= shared[i, j] < min(shared[i, i], shared[j, j]):
            found.append((-shared[i, j], i, j))
    return [Cut((*cuts[i].where, *cuts[j].where), cuts[i].rows & cuts[j].rows) for _, i, j in sorted(found)[:limit]]


def _labels(inner: Array) -> list[str]:
    """`≤ 12`, `12 to 20`, `> 20`."""
    shown = [f"{edge:.4g}" for edge in inner]
    middle = [f"{low} to {high}" for low, high in pairwise(shown)]
    return [f"≤ {shown[0]}", *middle, f"> {shown[-1]}"]
