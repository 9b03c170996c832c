"""The best of several candidates looks better than it is: by how much, and its corrected comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from mlbaseline.stats.inputs import as_clusters, as_scores, check_hypothesis, generator
from mlbaseline.stats.paired.comparison import PairedComparison, compare_paired
from mlbaseline.stats.types import Array

_DRAWS = 100_000


def expected_selection_bias(standard_error: float, candidates: int, *, correlation: float = 0.0) -> float:
    """Compute by how much the best of equally good candidates overstates itself: SE · √(1 − ρ) · E[max of k normals].

    Args:
        standard_error: Of one candidate's mean.
        candidates: Their number, at least 1.
        correlation: Between candidates' means over resampled examples, in [0, 1].

    Returns:
        The bias, in the unit of the standard error.

    Raises:
        ValueError: If a number is out of range.

    Example:
        >>> round(expected_selection_bias(1.0, 10), 2)
        1.54
    """
    if candidates < 1 or not 0.0 <= correlation <= 1.0 or not standard_error >= 0.0:
        raise ValueError(
            f"expected at least one candidate, 0 ≤ correlation ≤ 1 and a standard error, got {candidates}, "
            f"{correlation!r}, {standard_error!r}"
        )
    # E[max] = ∫ P(max > x) − P(max < −x) dx over x > 0.
    expected, _ = scipy.integrate.quad(
        lambda x: 1.0 - scipy.special.ndtr(x) ** candidates - scipy.special.ndtr(-x) ** candidates, 0, 10
    )
    return float(standard_error * np.sqrt(1.0 - correlation) * expected)


@dataclass(frozen=True)
class SelectedBest:
    """The candidate with the best mean on the very examples that are to judge it.

    ``comparison`` is its comparison at the corrected ``comparison.level``, so wide that it holds at ``level``
    whichever candidate had been picked; ``naive`` is what a report that forgets the selection would print;
    ``p_value`` is adjusted likewise. ``expected_bias`` is by how much the best of equals would overstate itself here.
    """

    index: int
    candidates: int
    level: float
    comparison: PairedComparison
    p_value: float
    naive: PairedComparison
    expected_bias: float


def best_of(
    candidates: Sequence[ArrayLike],
    baseline: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
    margin: float = 0.0,
    rng: np.random.Generator | None = None,
) -> SelectedBest:
    """Choose the candidate with the highest mean and compare it with a baseline, corrected for the choice.

    An interval that covers all k differences at once covers the one that was selected, however it was selected (Berk et
    al. 2013, Annals of Statistics 41:802). The critical value is the ``level`` quantile of the largest |t| under the
    candidates' observed correlation, smaller than Bonferroni's where candidates resemble each other; the selected one's
    interval is then `compare_paired`'s at the matching single level. Ties go to the first. Selecting on ``dev`` and
    confirming on ``test`` (`select_then_confirm`) needs no correction and is the better choice where there is a
    ``dev``.

    Args:
        candidates: Scores of k candidates, each as `compare_paired` takes them, on the same n examples.
        baseline: Scores of the baseline.
        clusters: Labels (n,) of examples that belong together.
        level: Level of the interval, in (0, 1).
        margin: Difference under the null hypothesis.
        rng: Source of random numbers; by default the same at every call.

    Returns:
        The choice, its corrected comparison, and what a report without the correction would say.

    Raises:
        ValueError: If there is no candidate, or the examples do not match.

    Example:
        >>> candidates = np.random.default_rng(0).integers(0, 2, (3, 200))
        >>> best = best_of(list(candidates), np.tile([0, 1], 100))
        >>> best.index == int(candidates.mean(axis=1).argmax()), best.comparison.low < best.naive.low
        (True, True)
    """
    check_hypothesis(level, "two-sided", margin)
    if len(candidates) == 0:
        raise ValueError("candidates: expected at least one, got none")
    rows = [as_scores(scores, f"candidates[{i}]") for i, scores in enumerate(candidates)]
    other = as_scores(baseline, "baseline")
    if len({row.shape[1] for row in (*rows, other)}) != 1:
        raise ValueError(
            f"candidates and baseline: expected the same examples, got {[r.shape for r in (*rows, other)]}"
        )
    index = int(np.argmax([row.mean() for row in rows]))
    groups = as_clusters(clusters, other.shape[1])
    differences = np.stack([row.mean(axis=0) - other.mean(axis=0) for row in rows])
    units = differences if groups is None else np.stack([groups.sums(d - d.mean()) for d in differences])
    root = _correlation_root(units)
    # Seeds differ between candidates, so the correlation over examples would overstate theirs: independence is safe.
    seeded = any(len(row) > 1 for row in (*rows, other))
    largest = _largest_t(np.eye(len(rows)) if seeded else root, generator(rng))
    single_level = 1.0 - 2.0 * float(scipy.special.ndtr(-np.quantile(largest, level)))
    comparisons = [
        compare_paired(candidates[index], baseline, clusters=clusters, level=at, margin=margin)
        for at in (max(single_level, level), level)
    ]
    # The single p-value as a |z|, set against the largest of k.
    observed = -scipy.special.ndtri(max(comparisons[1].p_value, 1e-300) / 2.0)
    adjusted = (1.0 + np.count_nonzero(largest >= observed)) / (len(largest) + 1.0)
    return SelectedBest(
        index=index,
        candidates=len(rows),
        level=level,
        comparison=comparisons[0],
        p_value=float(max(adjusted, comparisons[1].p_value)),
        naive=comparisons[1],
        expected_bias=_expected_maximum(units, root, other.shape[1]),
    )


def _largest_t(root: Array, rng: np.random.Generator) -> Array:
    """Draw the largest |t| of k correlated contrasts, as normal |z| that any single-comparison method can use."""
    return np.asarray(np.abs(rng.standard_normal((_DRAWS, root.shape[1])) @ root.T).max(axis=1))


def _correlation_root(units: Array) -> Array:
    spread = units.std(axis=1)
    correlation = np.eye(len(units))
    varying = spread > 0.0
    if varying.sum() > 1:
        correlation[np.ix_(varying, varying)] = np.corrcoef(units[varying])
    values, vectors = np.linalg.eigh(correlation)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _expected_maximum(units: Array, root: Array, n: int) -> float:
    """E[max_j mean_j] were all true differences equal: normal, with the observed covariance."""
    spread = units.std(axis=1, ddof=1) * np.sqrt(units.shape[1]) / n
    draws = np.random.default_rng(0).standard_normal((_DRAWS // 5, len(units))) @ root.T
    return float((draws * spread).max(axis=1).mean())


@dataclass(frozen=True)
class Confirmation:
    """A candidate chosen on ``dev``, by ``dev_lead`` over the runner-up's mean, and judged once on ``test``."""

    index: int
    dev_lead: float
    comparison: PairedComparison


def select_then_confirm(
    dev: Sequence[ArrayLike],
    test: Sequence[ArrayLike],
    test_baseline: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
    margin: float = 0.0,
    rng: np.random.Generator | None = None,
) -> Confirmation:
    """Choose the best of k candidates on ``dev`` scores and compare only that one on ``test``.

    The two sets share no examples, so the interval on ``test`` needs no correction for the choice; it is valid as long
    as ``test`` is looked at once (Cawley and Talbot 2010, JMLR 11:2079).

    Args:
        dev: Scores of the k candidates on dev.
        test: Scores of the same candidates on test, in the same order.
        test_baseline: Scores of the baseline on test.
        clusters: Labels (n,) of test examples that belong together.
        level: Level of the interval, in (0, 1).
        margin: Difference under the null hypothesis.
        rng: Source of random numbers; by default the same at every call.

    Returns:
        The choice with its comparison on test.

    Raises:
        ValueError: If dev and test do not list the same candidates, or as `compare_paired`.

    Example:
        >>> dev, test = [[0, 1, 0], [1, 1, 1]], [[1, 0, 1, 1], [1, 1, 0, 1]]
        >>> select_then_confirm(dev, test, [0, 0, 1, 1]).index
        1
    """
    if len(dev) == 0 or len(dev) != len(test):
        raise ValueError(f"dev and test: expected the same candidates, at least one, got {len(dev)} and {len(test)}")
    means = [float(as_scores(scores, f"dev[{i}]").mean()) for i, scores in enumerate(dev)]
    index = int(np.argmax(means))
    lead = means[index] - max((m for i, m in enumerate(means) if i != index), default=means[index])
    comparison = compare_paired(test[index], test_baseline, clusters=clusters, level=level, margin=margin, rng=rng)
    return Confirmation(index, lead, comparison)
