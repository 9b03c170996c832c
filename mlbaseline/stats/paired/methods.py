"""The method that infers the difference of a paired sample: the one that is chosen for it, or one named by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from mlbaseline.stats import methods
from mlbaseline.stats.bootstrap_t import BootstrapConfidence
from mlbaseline.stats.confidence import ConfidenceDistribution, MeanConfidence, SeedVariance
from mlbaseline.stats.inputs import generator
from mlbaseline.stats.paired.binary import AgrestiMinConfidence
from mlbaseline.stats.paired.sample import PairedSample
from mlbaseline.stats.summaries import Summary

Method = Literal["auto", "score", "agresti_min", "bootstrap_t", "t"]

_FEW_ROWS = 0.02
"""Share of examples that should not carry most of the variance."""
_FEW_CARRYING, _MIN_CAUTION_N = 6.0, 20
"""(Σe²)²/Σe⁴ below which too few examples carry the variance, and the examples from which it is looked at."""


@dataclass(frozen=True)
class ChosenMethod:
    """A method applied to a sample.

    Attributes:
        confidence: The confidence distribution.
        name: Name of the method.
        reason: A sentence on why it was chosen.
        standard_error: Of the mean difference, smoothed where the method smooths; never zero.
        df: Degrees of freedom, None where the method has none.
    """

    confidence: ConfidenceDistribution
    name: str
    reason: str
    standard_error: float
    df: float | None


def choose_method(sample: PairedSample, method: Method, rng: np.random.Generator | None) -> ChosenMethod:
    """Apply a method to a sample.

    Args:
        sample: The paired scores.
        method: A method by name, or ``auto`` for the one that suits the sample (see `stats.methods`).
        rng: Source of resamples.

    Returns:
        The method with its confidence distribution.

    Raises:
        ValueError: If the method does not exist or does not fit the sample.
    """
    if method not in get_args(Method):
        raise ValueError(f"method: expected one of {', '.join(get_args(Method))}, got {method!r}")
    by_name = method != "auto"
    summary, seeds = sample.summary, sample.seeds()
    if method in ("score", "agresti_min") and not summary.pair:
        raise ValueError(
            f"method {method}: expected 0/1 scores of shape (n,) on both sides, without clusters and weights; use auto "
            "or t"
        )
    if method == "bootstrap_t":
        _check_bootstrap(sample)
    if method == "agresti_min":
        confidence = AgrestiMinConfidence(summary.gained, summary.lost, summary.n)
        return ChosenMethod(confidence, method, "requested by name", _agresti_min_error(summary), None)
    if seeds is not None and not (sample.is_constant and seeds.observed == 0.0):
        return _crossed(sample, seeds, smooth=not by_name)
    chosen = str(methods.choose_methods(summary))
    if sample.is_constant and chosen != methods.WILSON:
        return _unseen(sample)
    if by_name and method != "score":
        chosen = methods.prefix_of(summary) + method
    if chosen == methods.BOOTSTRAP_T:
        return _bootstrap(sample, by_name, generator(rng))
    if chosen in (methods.SCORE, methods.WILSON):
        confidence_ = methods.confidence_by_formula(chosen, summary)
        return ChosenMethod(confidence_, chosen, _binary_reason(chosen), _agresti_min_error(summary), None)
    return _by_t(sample, chosen, smooth=not by_name)


def _unseen(sample: PairedSample) -> ChosenMethod:
    summary = sample.summary
    kind = "clusters" if summary.clustered else "examples"
    what = "no example tells the two apart" if summary.usual == 0.0 else "every example has the same difference"
    reason = f"{what}: the interval is what {int(summary.units)} {kind} leave possible in those not seen"
    error = float(np.maximum(summary.down, summary.up) / (summary.effective_units + 2.0))
    return ChosenMethod(methods.confidence_by_formula(methods.UNSEEN, summary), methods.UNSEEN, reason, error, None)


def _binary_reason(name: str) -> str:
    if name == methods.WILSON:
        return "0/1 scores of one system: the wider of Wilson's and the mid-p interval holds its level at rare outcomes"
    return (
        "0/1 scores: the wider of Tango's and of Agresti and Min's interval, with the exact McNemar test, holds its "
        "level however few pairs disagree"
    )


def _agresti_min_error(summary: Summary) -> float:
    """Positive whatever the counts."""
    n, gained, lost = float(summary.n), float(summary.gained), float(summary.lost)
    centre = (gained - lost) / (n + 2.0)
    return math.sqrt(((gained + lost + 1.0) / (n + 2.0) - centre**2) / (n + 2.0))


def example_error_variance(sample: PairedSample) -> float:
    """Variance of the mean difference over examples alone, with the chosen method's smoothing: never zero."""
    if sample.is_constant:
        return _unseen(sample).standard_error ** 2
    if sample.summary.pair or sample.summary.proportion:
        return _agresti_min_error(sample.summary) ** 2
    return _smoothed_variance(sample.summary)


def _smoothed_variance(summary: Summary) -> float:
    unit = methods.pseudo_unit(summary) if methods.is_sparse(summary) else 0.0
    return float(summary.variance + unit**2)


def _check_bootstrap(sample: PairedSample) -> None:
    if not sample.data.has_exact_counts or max(len(sample.candidate), len(sample.baseline)) > 1:
        raise ValueError("method bootstrap_t: expected one run on each side, no clusters and no weights; use auto or t")
    if sample.summary.n < methods.MIN_BOOTSTRAP_N:
        raise ValueError(
            f"method bootstrap_t: expected at least {methods.MIN_BOOTSTRAP_N} examples, got {int(sample.summary.n)}; "
            "use t"
        )


def _bootstrap(sample: PairedSample, by_name: bool, rng: np.random.Generator) -> ChosenMethod:
    summary = sample.summary
    stacked = BootstrapConfidence.of(sample.data.values, summary.mean[None], methods.N_RESAMPLES, rng)
    confidence = BootstrapConfidence(
        summary.mean, stacked.standard_error[0], stacked.draws[0], np.asarray(summary.n - 1.0)
    )
    n = int(summary.n)
    small = n < methods.MAX_BOOTSTRAP_N
    why = f"under {methods.MAX_BOOTSTRAP_N}" if small else "with a mean that is still skewed"
    reason = "requested by name" if by_name else f"{n} examples, {why}: the studentised bootstrap follows the skewness"
    return ChosenMethod(
        confidence, methods.BOOTSTRAP_T, reason + _few_rows_note(sample), math.sqrt(float(summary.variance)), None
    )


def _by_t(sample: PairedSample, name: str, *, smooth: bool) -> ChosenMethod:
    """Student's t over examples or clusters; ``smooth`` adds what sparse and skewed differences need."""
    summary = sample.summary
    confidence = _mean_confidence(summary, smooth)
    sparse = bool((confidence.unit > 0.0).all())
    variance = float(summary.variance + confidence.unit**2)
    reason = _mean_reason(sample, None, sparse, smooth) + _few_rows_note(sample)
    return ChosenMethod(confidence, name, reason, math.sqrt(variance), float(summary.df))


def _mean_confidence(summary: Summary, smooth: bool) -> MeanConfidence:
    # Clusters can agree by chance though their examples differ: that is no proof of a variance of zero.
    sparse = bool(methods.is_sparse(summary)) if smooth else bool(summary.variance == 0.0)
    unit = methods.pseudo_unit(summary) if sparse else np.asarray(0.0)
    third = summary.third if smooth else np.asarray(0.0)
    return MeanConfidence(summary.mean, summary.variance, summary.df, third, unit)


def _crossed(sample: PairedSample, seeds: SeedVariance, *, smooth: bool) -> ChosenMethod:
    """Examples or clusters crossed with seeds."""
    confidence = replace(_mean_confidence(sample.summary, smooth), seeds=seeds)
    sparse = bool((confidence.unit > 0.0).all())
    variance = float(sample.summary.variance + confidence.unit**2)
    seed_part = float(seeds.estimate)
    curvature = variance**2 / float(sample.summary.df)
    curvature += float(seeds.observed) ** 2 / float(seeds.df) if seed_part > 0.0 else 0.0
    total = variance + seed_part
    name = "crossed_sparse_t" if sparse else "crossed_t"
    reason = _mean_reason(sample, seeds, sparse, smooth) + _few_rows_note(sample)
    return ChosenMethod(confidence, name, reason, math.sqrt(total), total**2 / curvature)


def _mean_reason(sample: PairedSample, seeds: SeedVariance | None, sparse: bool, auto: bool) -> str:
    if not auto:
        return "requested by name"
    parts = []
    if seeds is not None:
        runs = f"{len(sample.candidate)} and {len(sample.baseline)} runs"
        parts.append(f"{runs}: other seeds would move the difference, so their variance is crossed with the examples'")
    if sample.clusters is not None:
        units = int(sample.summary.units)
        parts.append(f"examples in {units} clusters are not independent: variance over clusters")
    if sample.data.weights is not None:
        n, worth = int(sample.summary.n), sample.data.weights.effective_n
        parts.append(f"weighted: {n:,} examples are as precise as {worth:,.0f} of equal weight")
    if sparse:
        parts.append("too few units differ for the normal law: pseudo-examples stand for those not seen")
    if not parts:
        n = int(sample.summary.n)
        few = n < methods.MIN_BOOTSTRAP_N
        parts.append(f"{n} examples: too few to resample" if few else f"{n} examples: the mean is close to normal")
    return "; ".join(parts)


def caution_about(sample: PairedSample) -> str:
    """Warn where a few examples carry the variance; empty elsewhere.

    With tails that heavy no interval from so few examples is reliable: what would move the mean most was mostly not
    drawn. Of lognormal scores with σ = 1.5, n = 50, intervals cover 0.91 by the best method there is, and 0.83 of
    tables carry the warning; with σ = 2 it is 0.85, and 0.94.
    """
    values, weights = sample.data.values[:, 0], sample.weights
    centred = values - values.mean() if weights is None else weights * (values - np.average(values, weights=weights))
    squares = np.square(centred, out=centred)  # in place, as there may be millions
    squares.sort()
    squares = squares[::-1]
    if methods.is_sparse(sample.summary) or len(squares) < _MIN_CAUTION_N or squares[0] == 0.0:
        return ""
    few = max(1, round(_FEW_ROWS * len(squares)))
    carrying = float(squares.sum() ** 2 / np.square(squares).sum())
    if carrying >= _FEW_CARRYING and squares[:few].sum() <= 0.5 * squares.sum():
        return ""
    return (
        f"few examples carry the variance (as {carrying:.0f} equal ones of {len(squares):,} would): with tails this "
        "heavy the interval covers less than it states"
    )


def _few_rows_note(sample: PairedSample) -> str:
    caution = caution_about(sample)
    return f"; {caution}" if caution else ""
