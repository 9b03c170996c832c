"""How many more examples, or seeds, would decide an inconclusive comparison."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from mlbaseline.stats.inputs import as_clusters, as_scores
from mlbaseline.stats.methods import is_sparse
from mlbaseline.stats.paired.sample import PairedSample
from mlbaseline.stats.planning.binary import binary_sample_size
from mlbaseline.stats.planning.components import estimate_components
from mlbaseline.stats.planning.detectable import tail_of
from mlbaseline.stats.planning.power import check_power, sample_size
from mlbaseline.stats.types import Alternative

_MOST_SEEDS = 1_000
_QUARTILE = 0.6745
_NORMAL_FROM = 200
"""Discordant pairs from which the normal law is as good as enumerating all outcomes, which takes seconds by then."""


@dataclass(frozen=True)
class SampleSizeExtension:
    """How many more examples would decide an inconclusive comparison, were the observed difference the true one.

    Attributes:
        n: Examples in all; None when no number of examples decides.
        n_more: Those beyond the ones there are; None with ``n``.
        seeds: Where examples do not decide, the number of runs on each seeded side from which they can; None if that
            is past 1,000, or there are no seeds.
        reason: A sentence on it.
        above: Whether it would be decided above the margin; None where the difference lies on it.
        likely_range: Examples in all if the true difference lies at either end of its 50 % interval, the farther end
            from the margin first; None for an end that no number of examples decides, or that lies on the other side.
    """

    n: int | None
    n_more: int | None
    seeds: int | None
    reason: str
    above: bool | None = None
    likely_range: tuple[int | None, int | None] = (None, None)


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
    """Compute how many more examples would decide whether a difference exceeds a margin, or that none would.

    The observed difference and variances are taken for the true ones. Where all differences are equal the count is that
    of the rule of three; where 0/1 scores would be decided by few discordant pairs the power is exact; elsewhere it is
    that of `sample_size`.

    Args:
        candidate: Scores as `compare_paired` takes them.
        baseline: The same of the other system.
        clusters: Labels (n,) of examples that belong together; clusters of the same sizes are assumed to go on.
        margin: Difference under the null hypothesis.
        level: Level of the interval, in (0, 1).
        alternative: Whether the test is two-sided.
        power: Probability of a decision, in (0, 1).

    Returns:
        The number of examples, with the range that the uncertainty of the difference leaves likely.

    Raises:
        ValueError: As `compare_paired`, or for a power out of range.

    Example:
        >>> scores = np.tile([1.0, 0, 1, 1, 0, 1, 1, 1, 1, 1], 10)
        >>> other = np.tile([1.0, 0, 1, 0, 1, 1, 1, 1, 0, 1], 10)
        >>> extension = sample_size_extension(scores, other)
        >>> extension.n, extension.above
        (249, True)
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
    normal = partial(
        sample_size, components=components, margin=margin, level=level, alternative=alternative, power=power
    )
    needed = partial(normal, seeds_candidate=len(a), seeds_baseline=len(b))
    total: int | None
    if sample.is_constant and max(len(a), len(b)) == 1:
        total = _unseen_size(sample, delta - margin, tail_of(level, alternative))
        return _answer(n, total, power, delta > margin, (total, total))
    total = needed(delta)
    if sample.summary.pair and is_sparse(sample.summary):
        gained, lost = float(sample.summary.gained) / n, float(sample.summary.lost) / n
        if total is None or total * (gained + lost) < _NORMAL_FROM:
            exact = binary_sample_size(gained, lost, margin=margin, level=level, alternative=alternative, power=power)
            total = exact or total
    if total is not None:
        error = components.precision(n, len(a), len(b)).standard_error
        likely = _likely_range(needed, delta, margin, _QUARTILE * error)
        return _answer(n, total, power, delta > margin, likely)
    seeds = _seeds_needed(partial(normal, delta), len(a), len(b))
    enough = f"more than {_MOST_SEEDS:,}" if seeds is None else f"at least {seeds}"
    reason = f"seed variance alone is too large for any number of examples: {enough} seeds a side would be needed"
    return SampleSizeExtension(None, None, seeds, reason, delta > margin)


def _answer(
    n: int, total: int | None, power: float, above: bool, likely: tuple[int | None, int | None]
) -> SampleSizeExtension:
    assert total is not None
    more = max(total - n, 0)
    reason = f"{more} more examples, {total} in all, at a power of {power:.0%}"
    return SampleSizeExtension(total, more, None, reason, above, likely)


def _likely_range(
    needed: Callable[[float], int | None], delta: float, margin: float, spread: float
) -> tuple[int | None, int | None]:
    side = 1.0 if delta > margin else -1.0
    nearer = delta - side * spread
    return needed(delta + side * spread), needed(nearer) if side * (nearer - margin) > 0.0 else None


def _unseen_size(sample: PairedSample, distance: float, tail: float) -> int | None:
    """Examples, all with the same difference, after which too few others can be hidden to reach the margin."""
    summary = sample.summary
    share = abs(distance) / float(np.maximum(summary.down, summary.up))
    units = 1.0 if share >= 1.0 else math.log(tail) / math.log1p(-share)
    return math.ceil(units * float(summary.n / summary.effective_units))


def _seeds_needed(needed: Callable[..., int | None], seeds_candidate: int, seeds_baseline: int) -> int | None:
    """Find the fewest runs a seeded side with which some number of examples is enough; None past _MOST_SEEDS."""

    def enough(runs: int) -> bool:
        counts = [max(runs, seeds) if seeds > 1 else 1 for seeds in (seeds_candidate, seeds_baseline)]
        return needed(seeds_candidate=counts[0], seeds_baseline=counts[1]) is not None

    if not enough(_MOST_SEEDS):
        return None
    low, high = 1, _MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
