"""Looking for slices where the candidate is worse, without being taken in by what was looked for.

Found on some examples, tested on others: on `dev` and `test` where both were answered, else on two halves of `test`,
told apart by a hash of the example (or its cluster). However many slices the search looks at, the tests are few and
know nothing of it, so Holm over them keeps the chance of any false find at 1 − level.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from mlbaseline.judge.slices.cuts import Cut, Edges, find_edges, intersections, single_cuts
from mlbaseline.judge.slices.sample import Mask, Sample
from mlbaseline.records import FoundSlice
from mlbaseline.stats import adjust, compare_paired

LIMIT = 5
"""Slices that are tested at most."""
_PAIRS = 1_000


def halves(sample: Sample) -> tuple[Sample, Sample]:
    """Split into a half to search and a half to test, each cluster whole in one of them, whatever the order of rows."""
    first: Mask = np.array([hashlib.sha256(f"half\n{unit}".encode()).digest()[0] % 2 == 0 for unit in sample.units])
    return sample.take(first), sample.take(~first)


def search(
    found_on: Sample, tested_on: Sample, *, sign: int, at_least: int, level: float
) -> tuple[int, tuple[FoundSlice, ...]]:
    """Search the slices: how many were tried, and the worst of them put to the test.

    sign: 1 where more is better, else −1. at_least: examples that a slice needs on either side.
    """
    edges = find_edges(found_on)
    here = _cuts(found_on, edges, at_least)
    there = {cut.where: cut for cut in _cuts(tested_on, edges, at_least)}
    tried = [cut for cut in here if cut.where in there]
    gains = sign * (found_on.candidate - found_on.baseline)
    worst = _worst(gains, tried)
    tests = [_test(tested_on, there[cut.where], sign, 1.0 - (1.0 - level) / len(worst)) for cut in worst]
    adjusted = adjust([p for _, _, _, p in tests], "holm")
    found = tuple(
        FoundSlice(
            where=cut.where,
            searched_n=cut.n,
            searched_delta=float(sign * gains[cut.rows].mean()),
            n=there[cut.where].n,
            delta=delta,
            low=low,
            high=high,
            p_adjusted=float(p),
            confirmed=bool(p <= 1.0 - level),
        )
        for cut, (delta, low, high, _), p in zip(worst, tests, adjusted, strict=True)
    )
    return len(tried), found


def _cuts(sample: Sample, edges: Edges, at_least: int) -> list[Cut]:
    single = [cut for cut in single_cuts(sample, edges) if cut.n >= at_least and _units(sample, cut) > 1]
    pairs = intersections(single, at_least=at_least, limit=_PAIRS)
    return [*single, *(cut for cut in pairs if _units(sample, cut) > 1)]


def _units(sample: Sample, cut: Cut) -> int:
    return cut.n if sample.clusters is None else len(set(sample.clusters[cut.rows]))


def _worst(gains: np.ndarray, cuts: Sequence[Cut]) -> list[Cut]:
    """Those with the most certain loss, at most LIMIT, none that mostly repeats a worse one."""
    spread = float(gains.std())

    def z(cut: Cut) -> float:
        # Half of the overall spread keeps a small slice without variation from looking certain.
        own = max(float(gains[cut.rows].std()), spread / 2, 1e-12)
        return float(gains[cut.rows].mean() * np.sqrt(cut.n) / own)

    ranked = sorted((cut for cut in cuts if gains[cut.rows].mean() < 0), key=z)
    return list(_distinct(ranked))[:LIMIT]


def _distinct(ranked: Sequence[Cut]) -> Iterator[Cut]:
    kept: list[Cut] = []
    for cut in ranked:
        if len(kept) == LIMIT:
            return
        if all((cut.rows & other.rows).sum() < 0.8 * (cut.rows | other.rows).sum() for other in kept):
            kept.append(cut)
            yield cut


def _test(sample: Sample, cut: Cut, sign: int, level: float) -> tuple[float, float, float, float]:
    """Delta and its interval at `level`, and the p-value of the candidate being no worse."""
    ours, theirs = sample.candidate[cut.rows], sample.baseline[cut.rows]
    clusters = None if sample.clusters is None else sample.clusters[cut.rows]
    both = compare_paired(ours, theirs, clusters=clusters, level=level)
    side = compare_paired(ours, theirs, clusters=clusters, alternative="less" if sign > 0 else "greater")
    return both.delta, both.low, both.high, side.p_value
