"""What would settle a comparison that settled nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from mlbaseline.stats.inputs import as_clusters, as_scores
from mlbaseline.stats.methods import is_sparse
from mlbaseline.stats.paired.methods import PairedSample
from mlbaseline.stats.planning.power import binary_sample_size, check_power, estimate_components, sample_size
from mlbaseline.stats.types import Alternative

_MOST_SEEDS = 1_000
_NORMAL_FROM = 200
"""Discordant pairs from which the normal law is as good as enumerating all outcomes, which takes seconds by then."""


@dataclass(frozen=True)
class SampleSizeExtension:
    """What would settle an inconclusive comparison, were the observed difference the true one.

    ``n`` examples in all, ``n_more`` beyond those there are; both None when no number of examples does. ``seeds`` is
    then the number of runs on each seeded side from which examples can settle it, None if that is past 1,000.
    """

    n: int | None
    n_more: int | None
    seeds: int | None
    reason: str


def sample_size_extension(
    candidate: ArrayLike,
    baseline: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    margin: float = 0.0,
    level: float = 0.95,
    alternative: Alternative = "two-sided",
    power: float = 0.8,
) -> SampleSizeExtension:
    """How many more examples would settle whether the difference exceeds ``margin``, or that none would.

    Takes what ``compare_paired`` takes; the observed difference and variances are taken for the true ones. Where all
    differences are equal the count is that of the rule of three; where 0/1 scores would be settled by few discordant
    pairs the power is exact; elsewhere it is that of ``sample_size``.
    """
    check_power(power, level, alternative)
    a, b = as_scores(candidate, "candidate"), as_scores(baseline, "baseline")
    components = estimate_components(candidate, baseline, clusters=clusters)
    sample = PairedSample.of(a, b, as_clusters(clusters, a.shape[1]))
    n, delta = a.shape[1], float(sample.summary.mean)
    wrong_side = (alternative == "greater" and delta < margin) or (alternative == "less" and delta > margin)
    if abs(delta - margin) <= 1e-12 or wrong_side:
        where = "beyond" if wrong_side else "on"
        return SampleSizeExtension(
            None, None, None, f"the observed difference lies {where} the margin: more examples would not help"
        )
    normal = partial(sample_size, delta, components, margin=margin, level=level, alternative=alternative, power=power)
    total: int | None
    if sample.is_constant and max(len(a), len(b)) == 1:
        total = _unseen_size(sample, delta - margin, (1.0 - level) / (2.0 if alternative == "two-sided" else 1.0))
    elif sample.summary.pair and is_sparse(sample.summary):
        gained, lost = float(np.mean(sample.differences > 0)), float(np.mean(sample.differences < 0))
        total = normal()
        if total is None or total * (gained + lost) < _NORMAL_FROM:
            exact = binary_sample_size(gained, lost, margin=margin, level=level, alternative=alternative, power=power)
            total = exact or total
    else:
        total = normal(seeds_candidate=len(a), seeds_baseline=len(b))
    if total is not None:
        more = max(total - n, 0)
        return SampleSizeExtension(
            total, more, None, f"{more} more examples, {total} in all, at a power of {power:.0%}"
        )
    seeds = _seeds_needed(normal, len(a), len(b))
    enough = f"more than {_MOST_SEEDS:,}" if seeds is None else f"at least {seeds}"
    reason = f"seed variance alone is too large for any number of examples: {enough} seeds a side would be needed"
    return SampleSizeExtension(None, None, seeds, reason)


def _unseen_size(sample: PairedSample, distance: float, tail: float) -> int | None:
    """Examples, all with the same difference, after which too few others can be hidden to reach the margin."""
    summary = sample.summary
    share = abs(distance) / float(np.maximum(summary.down, summary.up))
    units = 1.0 if share >= 1.0 else math.log(tail) / math.log1p(-share)
    return math.ceil(units * float(summary.n / summary.effective_units))


def _seeds_needed(needed: Callable[..., int | None], seeds_candidate: int, seeds_baseline: int) -> int | None:
    for runs in range(2, _MOST_SEEDS + 1):
        counts = [max(runs, seeds) if seeds > 1 else 1 for seeds in (seeds_candidate, seeds_baseline)]
        if needed(seeds_candidate=counts[0], seeds_baseline=counts[1]) is not None:
            return runs
    return None
