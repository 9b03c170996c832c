"""Candidate minus baseline on every slice of a contrast: intervals that hold together, gaps, and partial pooling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import scipy

from mlbaseline.judge.slices.cuts import Cut, single_cuts
from mlbaseline.judge.slices.sample import Sample
from mlbaseline.records import PooledSlice, SliceDelta, SliceGap, SlicePooling, SliceSpread
from mlbaseline.stats import compare_paired, difference_of_gaps, group_gap, joint_intervals, partial_pooling
from mlbaseline.stats.simultaneous.pooling import MIN_GROUPS

_RESAMPLES = 4_000


def deltas(
    sample: Sample, cuts: Sequence[Cut], question: tuple[str, str, str], *, level: float, rng: np.random.Generator
) -> list[SliceDelta]:
    """Compare on each cut; all rows are one family (max-t over the cuts' joint distribution)."""
    if not cuts:
        return []
    found = joint_intervals(
        np.column_stack([sample.candidate, sample.baseline]),
        [[1.0, -1.0]],
        slices=np.column_stack([cut.rows for cut in cuts]),
        clusters=sample.clusters,
        level=level,
        n_resamples=_RESAMPLES,
        rng=rng,
    )
    # All examples stand first; they are a question of their own, and no slice.
    family = np.zeros(found.estimate.shape, dtype=bool)
    family[1:] = True
    adjusted = found.adjusted_p_values(family=family)
    return [
        SliceDelta(
            *question,
            where=cut.where,
            n=cut.n,
            candidate_mean=float(sample.candidate[cut.rows].mean()),
            baseline_mean=float(sample.baseline[cut.rows].mean()),
            delta=float(found.estimate[position, 0]),
            low=float(found.simultaneous_low[position, 0]),
            high=float(found.simultaneous_high[position, 0]),
            p_adjusted=float(adjusted[position - 1]),
        )
        for position, cut in enumerate(cuts, start=1)
    ]


def poolings(sample: Sample, question: tuple[str, str, str], *, level: float) -> Iterator[SlicePooling]:
    """Pool the values of each slice of the suite that has three or more, those too small to be tested too.

    A value's standard error is that of the method that suits it, by the width of its interval: never zero.
    """
    z = float(scipy.stats.norm.isf((1.0 - level) / 2.0))
    cuts = [cut for cut in single_cuts(sample, {}) if cut.n > 1 and _separable(sample, [cut])]
    for name in dict.fromkeys(cut.where[0][0] for cut in cuts):
        own = [cut for cut in cuts if cut.where[0][0] == name]
        if len(own) < MIN_GROUPS:
            continue
        parts = [sample.take(cut.rows) for cut in own]
        found = [compare_paired(p.candidate, p.baseline, clusters=p.clusters, level=level) for p in parts]
        errors = [(each.high - each.low) / (2.0 * z) for each in found]
        pooled = partial_pooling([each.delta for each in found], errors, level=level)
        rows = zip(own, found, pooled.estimate, pooled.low, pooled.high, pooled.own, strict=True)
        yield SlicePooling(
            *question,
            slice=name,
            mean=pooled.mean,
            spread=pooled.spread,
            values=tuple(
                PooledSlice(cut.where[0][1], cut.n, each.delta, *map(float, numbers)) for cut, each, *numbers in rows
            ),
        )


def gaps(sample: Sample, cuts: Sequence[Cut], question: tuple[str, str, str], *, level: float) -> Iterator[SliceGap]:
    """Compare the gaps of each slice of the suite that has two values or more among the cuts.

    Groups of a measure have none: between the examples that a rung finds easy and hard there is always one.
    """
    for name in sample.values:
        own = [cut for cut in cuts if cut.where[0][0] == name]
        if len(own) < 2 or not _separable(sample, own):
            continue
        group = np.full(len(sample), -1)
        for position, cut in enumerate(own):
            group[cut.rows] = position
        inside = group >= 0
        part, groups, names = sample.take(inside), group[inside], [cut.where[0][1] for cut in own]
        sides = []
        for scores in (part.candidate, part.baseline):
            found = group_gap(scores, groups, clusters=part.clusters, level=level)
            sides.append(SliceSpread(names[found.highest], names[found.lowest], found.value, found.low, found.high))
        apart = difference_of_gaps(part.candidate, part.baseline, groups, clusters=part.clusters, level=level)
        yield SliceGap(
            *question,
            slice=name,
            ours=sides[0],
            theirs=sides[1],
            difference=apart.value,
            low=apart.low,
            high=apart.high,
        )


def _separable(sample: Sample, cuts: Sequence[Cut]) -> bool:
    """Tell whether each group has the two clusters that its mean needs to have an error."""
    return sample.clusters is None or all(len(set(sample.clusters[cut.rows])) > 1 for cut in cuts)
