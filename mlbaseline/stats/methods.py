"""The one place that chooses how a mean or a difference of means is inferred, and forms its confidence distribution.

Pairs, single scores, slices and the contrasts of a joint table come here with the same summaries:

``unseen``
    All values are equal: a bound on what examples that were not drawn can hide (`RuleOfThree`).
``score``
    Differences of 0/1 scores on independent examples: Tango's score interval or Agresti and Min's, whichever is wider,
    with McNemar's exact test at zero (`WiderConfidence`).
``wilson``
    A single 0/1 score on independent examples: Wilson's interval or the exact mid-p one, whichever is wider
    (`ProportionConfidence`).
``sparse_t``
    At least half of the values are equal and fewer than 50 units have another: t with pseudo-examples
    (`MeanConfidence`).
``bootstrap_t``
    10 to 199 independent examples, or up to 1,999 whose mean is still visibly skewed: the studentised bootstrap,
    nowhere narrower than t (`BootstrapConfidence`).
``t``
    Everything else; widened by the skewness of the values (`MeanConfidence`).

With clusters or weights the variance is CR2's with Bell and McCaffrey's degrees of freedom, nothing is resampled or
counted, and the names begin with ``clustered`` or ``weighted``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from mlbaseline.stats.bootstrap_t import BootstrapConfidence
from mlbaseline.stats.confidence import ConfidenceDistribution, MeanConfidence, RuleOfThree
from mlbaseline.stats.contrast_data import ContrastData, Mask
from mlbaseline.stats.paired.binary import ProportionConfidence, WiderConfidence
from mlbaseline.stats.summaries import Summary
from mlbaseline.stats.types import Array

N_RESAMPLES = 9_999
MIN_BOOTSTRAP_N, MAX_BOOTSTRAP_N, MAX_SKEWED_N = 10, 200, 2_000
SKEWED_FROM = 0.05
"""Skewness of the mean from which t misses one tail by half a percentage point (first Edgeworth term)."""
SPARSE_BELOW = 50
"""Differing examples (or clusters with one): with fewer the normal law does not hold yet."""

UNSEEN, SCORE, WILSON, SPARSE_T, BOOTSTRAP_T, T = "unseen", "score", "wilson", "sparse_t", "bootstrap_t", "t"
CLUSTERED, WEIGHTED = "clustered_", "weighted_"


def is_constant(summary: Summary) -> Mask:
    """Whether all values of a sample are equal, or there is one unit only."""
    return np.asarray((summary.differing == 0) | (summary.units < 2))


def is_sparse(summary: Summary) -> Mask:
    """Whether too few units differ from the usual value for the normal law.

    Clusters that agree by chance though their examples differ count as sparse: their variance of zero proves nothing.
    """
    few = (2 * summary.differing_share <= 1) & (summary.differing < SPARSE_BELOW)
    return np.asarray(few | (summary.variance == 0.0))


def is_skewed(summary: Summary) -> Mask:
    """Whether the mean is so skewed that the studentised bootstrap is worth its time."""
    with np.errstate(divide="ignore", invalid="ignore"):
        skewness = np.abs(summary.third) / np.power(summary.variance, 1.5)
    return np.asarray(skewness >= SKEWED_FROM)


def choose_methods(summary: Summary) -> npt.NDArray[np.str_]:
    """Choose the method of each sample.

    Args:
        summary: The samples.

    Returns:
        Names of methods (see the module), in the shape of the samples.
    """
    small = (summary.n >= MIN_BOOTSTRAP_N) & (
        (summary.n < MAX_BOOTSTRAP_N) | ((summary.n < MAX_SKEWED_N) & is_skewed(summary))
    )
    prefix = prefix_of(summary)
    names = np.where(small & (not prefix), BOOTSTRAP_T, prefix + T)
    names = np.where(is_sparse(summary), prefix + SPARSE_T, names)
    constant = is_constant(summary)
    names = np.where(constant, UNSEEN, np.where(summary.pair, SCORE, names))
    return np.asarray(np.where(summary.proportion, WILSON, names))


def prefix_of(summary: Summary) -> str:
    """Give what the names of methods begin with."""
    return (WEIGHTED if summary.weighted else "") + (CLUSTERED if summary.clustered else "")


def confidence_by_formula(method: str, summary: Summary) -> ConfidenceDistribution:
    """Form the confidence distributions of samples that share a method; all methods but ``bootstrap_t``.

    Args:
        method: Name of the method, see the module.
        summary: The samples, of any shape.

    Returns:
        Their confidence distributions, as one with arrays.
    """
    if method == UNSEEN:
        value = np.where(summary.differing == 0, summary.usual, summary.mean)
        moved = value - summary.usual
        return RuleOfThree(value, summary.down + moved, summary.up - moved, summary.effective_units)
    if method == SCORE:
        return WiderConfidence(summary.gained, summary.lost, summary.n)
    if method == WILSON:
        return ProportionConfidence(summary.gained, summary.n)
    unit = np.where(is_sparse(summary), pseudo_unit(summary), 0.0)
    return MeanConfidence(summary.mean, summary.variance, summary.df, summary.third, unit)


def pseudo_unit(summary: Summary) -> Array:
    """By how much one example of the least favourable kind moves the mean; in clusters, as many as go together."""
    return np.asarray(np.maximum(summary.down, summary.up) * summary.together / summary.n)


def confidences(
    data: ContrastData, summary: Summary, n_resamples: int, rng: np.random.Generator
) -> Iterator[tuple[Mask, ConfidenceDistribution]]:
    """Form the confidence distributions of every contrast on every slice.

    Args:
        data: The contrasts.
        summary: Their summaries, shape (slices, contrasts).
        n_resamples: Resamples of the studentised bootstrap.
        rng: Their source.

    Yields:
        Which samples, as a mask (slices, contrasts), and their distributions; together each sample once.
    """
    names = choose_methods(summary)
    for name in np.unique(names):
        chosen: Mask = names == name
        if name != BOOTSTRAP_T:
            yield chosen, confidence_by_formula(str(name), summary.at(chosen))
            continue
        for s in np.flatnonzero(chosen.any(axis=1)):
            row: Mask = np.zeros_like(chosen)
            row[s] = chosen[s]
            values = data.values[np.ix_(data.slices[:, s], chosen[s])]
            yield row, BootstrapConfidence.of(values, summary.mean[row], n_resamples, rng)
