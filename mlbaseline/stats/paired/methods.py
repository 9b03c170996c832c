"""Which method fits a paired sample, and why: the choice behind ``compare_paired``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from mlbaseline.stats.confidence import (
    BootstrapConfidence,
    ConfidenceDistribution,
    MeanConfidence,
    RuleOfThree,
    SeedVariance,
)
from mlbaseline.stats.paired.binary import AgrestiMinConfidence, ScoreConfidence, is_binary
from mlbaseline.stats.types import Array
from mlbaseline.stats.variance import Clusters, ExampleVariance, example_variance, seed_variance

Method = Literal["auto", "score", "agresti_min", "bootstrap_t", "t"]

N_RESAMPLES = 9_999
MIN_BOOTSTRAP_N, MAX_BOOTSTRAP_N = 10, 200
SPARSE_BELOW = 50  # differing examples (or clusters with one): fewer, and the normal law is not yet there
TIE = 1e-9  # differences closer than this share of the scale are the same number


@dataclass(frozen=True)
class PairedSample:
    """Paired scores ready for a method: ``candidate`` (R_a, n), ``baseline`` (R_b, n), per-example mean
    ``differences`` (n,) with ties made exact, their ``usual`` value (median), the width of the ``scale`` scores live
    on, the clusters."""

    candidate: Array
    baseline: Array
    clusters: Clusters | None
    differences: Array
    usual: float
    scale: float

    @classmethod
    def of(cls, candidate: Array, baseline: Array, clusters: Clusters | None) -> PairedSample:
        scale = scale_of(candidate, baseline)
        differences = candidate.mean(axis=0) - baseline.mean(axis=0)
        usual = float(np.median(differences))
        differences = np.where(np.abs(differences - usual) <= TIE * scale, usual, differences)
        return cls(candidate, baseline, clusters, differences, usual, scale)

    @property
    def binary(self) -> bool:
        """0/1 outcomes of two checkpoints, examples independent: what McNemar's test is for."""
        one_run_each = len(self.candidate) == len(self.baseline) == 1
        return one_run_each and self.clusters is None and is_binary(self.candidate) and is_binary(self.baseline)

    @property
    def units(self) -> int:
        """Independent units: examples, or clusters."""
        return len(self.differences) if self.clusters is None else len(self.clusters.sizes)

    @property
    def effective_units(self) -> float:
        """Units of equal weight: n, or n²/Σ n_c², which is the number of clusters if all are of one size."""
        n = float(len(self.differences))
        return n if self.clusters is None else n**2 / float((self.clusters.sizes**2).sum())

    def is_sparse(self) -> bool:
        """Whether at least half of the differences are equal and fewer than ``SPARSE_BELOW`` units have another."""
        away = self.differences != self.usual
        if 2 * np.count_nonzero(away) > len(away):
            return False
        units = np.count_nonzero(away) if self.clusters is None else len(np.unique(self.clusters.codes[away]))
        return bool(units < SPARSE_BELOW)


@dataclass(frozen=True)
class ChosenMethod:
    """A method applied: its confidence, name, the reason, the standard error, and degrees of freedom where defined."""

    confidence: ConfidenceDistribution
    name: str
    reason: str
    standard_error: float
    df: float | None


def scale_of(*scores: Array) -> float:
    """The width of the scale that scores live on: 1 for scores within [0, 1], else their observed range; for constant
    scores elsewhere, their size. Never zero."""
    low, high = min(float(s.min()) for s in scores), max(float(s.max()) for s in scores)
    if low >= 0.0 and high <= 1.0:
        return 1.0
    return high - low if high > low else abs(high)


def choose_method(sample: PairedSample, method: Method, tail: float, rng: np.random.Generator | None) -> ChosenMethod:
    """Apply the method asked for, or for ``auto`` the one that the sample calls for. Raises ValueError if it does not
    fit."""
    if method not in get_args(Method):
        raise ValueError(f"method: expected one of {', '.join(get_args(Method))}, got {method!r}")
    requested = method != "auto"
    if method in ("score", "agresti_min") and not sample.binary:
        raise ValueError(f"method {method}: expected unclustered 0/1 scores of shape (n,) on both sides; use auto or t")
    if method == "bootstrap_t":
        _check_bootstrap(sample)
    seeds = seed_variance((sample.candidate, sample.baseline), sample.clusters)
    all_equal = bool((sample.differences == sample.usual).all())
    if method != "agresti_min" and all_equal and (seeds is None or seeds.observed == 0.0):
        return _unseen(sample)
    if sample.binary and method in ("auto", "score", "agresti_min"):
        return _binary(sample, method)
    if method == "bootstrap_t" or (not requested and _wants_bootstrap(sample, seeds, tail)):
        return _bootstrap(sample, requested, rng)
    return by_mean(sample, seeds, smooth=not requested)


def _unseen(sample: PairedSample) -> ChosenMethod:
    units = sample.effective_units
    kind = "examples" if sample.clusters is None else "clusters"
    confidence = RuleOfThree(np.asarray(sample.usual), np.asarray(sample.scale), np.asarray(units))
    what = "no example tells the two apart" if sample.usual == 0.0 else "every example has the same difference"
    reason = f"{what}: the interval is what {sample.units} {kind} leave possible in those not seen"
    return ChosenMethod(confidence, "unseen", reason, (sample.scale + abs(sample.usual)) / (units + 2.0), None)


def _binary(sample: PairedSample, method: Method) -> ChosenMethod:
    n = float(len(sample.differences))
    gained = np.asarray(np.count_nonzero(sample.differences > 0), dtype=float)
    lost = np.asarray(np.count_nonzero(sample.differences < 0), dtype=float)
    error = math.sqrt(_agresti_min_variance(gained, lost, n))
    if method == "agresti_min":
        return ChosenMethod(AgrestiMinConfidence(gained, lost, np.asarray(n)), method, "requested by name", error, None)
    reason = "0/1 scores: Tango's score interval and the exact McNemar test hold their level however few pairs disagree"
    return ChosenMethod(ScoreConfidence(gained, lost, np.asarray(n)), "score", reason, error, None)


def _agresti_min_variance(gained: Array, lost: Array, n: float) -> float:
    """Positive whatever the counts."""
    centre = (gained - lost) / (n + 2.0)
    return float(((gained + lost + 1.0) / (n + 2.0) - centre**2) / (n + 2.0))


def example_error_variance(sample: PairedSample) -> float:
    """Variance of the mean difference over examples alone, with the automatic method's smoothing: never zero."""
    if (sample.differences == sample.usual).all():
        return _unseen(sample).standard_error ** 2
    if sample.binary:
        return _binary(sample, "auto").standard_error ** 2
    return by_mean(sample, None, smooth=True).standard_error ** 2


def _wants_bootstrap(sample: PairedSample, seeds: SeedVariance | None, tail: float) -> bool:
    small = MIN_BOOTSTRAP_N <= len(sample.differences) < MAX_BOOTSTRAP_N
    reachable = tail * (N_RESAMPLES + 1) >= 10
    return small and reachable and seeds is None and sample.clusters is None and not sample.is_sparse()


def _check_bootstrap(sample: PairedSample) -> None:
    if sample.clusters is not None or max(len(sample.candidate), len(sample.baseline)) > 1:
        raise ValueError("method bootstrap_t: expected one run on each side and no clusters; use auto or t")
    if len(sample.differences) < MIN_BOOTSTRAP_N:
        raise ValueError(
            f"method bootstrap_t: expected at least {MIN_BOOTSTRAP_N} examples, got {len(sample.differences)}; use t"
        )


def _bootstrap(sample: PairedSample, requested: bool, rng: np.random.Generator | None) -> ChosenMethod:
    n = len(sample.differences)
    # One canonical order makes the result independent of the examples' order and antisymmetric in the two systems.
    centred = np.sort(sample.differences - sample.differences.mean())
    flipped = centred.sum() + (centred**3).sum() < 0.0
    counts = _resampling_plan(n) if rng is None else _draw_plan(n, rng)
    draws = studentised_draws(-centred[::-1] if flipped else centred, counts)
    error = math.sqrt(float(centred @ centred) / (n * (n - 1.0)))
    confidence = BootstrapConfidence(
        np.asarray(sample.differences.mean()),
        np.asarray(error),
        np.sort(-draws if flipped else draws),
        np.asarray(n - 1.0),
    )
    reason = (
        "requested by name"
        if requested
        else f"{n} examples, under {MAX_BOOTSTRAP_N}: the studentised bootstrap follows the skewness"
    )
    return ChosenMethod(confidence, "bootstrap_t", reason, error, None)


def studentised_draws(centred: Array, counts: Array) -> Array:
    """Studentised resampled means: values (n,) of mean zero, counts (B, n) ─▶ (B,). A resample without any spread gives
    ±infinity: it is evidence that the spread may be far larger than what was seen."""
    n = len(centred)
    means = counts @ centred / n
    variance = (counts @ centred**2 / n - means**2) / (n - 1.0)
    flat = variance <= 1e-14 * float(centred @ centred) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = means / np.sqrt(np.where(flat, 0.0, variance))
    return np.where(np.isnan(draws), 0.0, draws)


def _draw_plan(n: int, rng: np.random.Generator) -> Array:
    """How often each of n examples is drawn in each resample: (N_RESAMPLES, n)."""
    drawn = rng.integers(n, size=(N_RESAMPLES, n)) + n * np.arange(N_RESAMPLES)[:, None]
    return np.bincount(drawn.ravel(), minlength=N_RESAMPLES * n).reshape(N_RESAMPLES, n).astype(float)


@lru_cache(maxsize=2)
def _resampling_plan(n: int) -> Array:
    """The plan used without a generator: the same for every call with this n."""
    return _draw_plan(n, np.random.default_rng(n))


def by_mean(sample: PairedSample, seeds: SeedVariance | None, *, smooth: bool) -> ChosenMethod:
    """Student's t over examples or clusters, crossed with seeds if there are any; ``smooth`` adds what sparse and
    skewed differences need."""
    examples = example_variance(sample.differences, sample.clusters)
    # Clusters can agree by chance though their examples differ: that is no proof of a variance of zero.
    flat = examples.variance <= (TIE * sample.scale) ** 2
    sparse = flat or (smooth and sample.is_sparse())
    unit = _pseudo_unit(sample, examples) if sparse else 0.0
    confidence = MeanConfidence(
        np.asarray(sample.differences.mean()),
        np.asarray(examples.variance),
        np.asarray(examples.df),
        np.asarray(examples.third if smooth else 0.0),
        np.asarray(unit),
        seeds,
    )
    error = examples.variance + unit**2
    df = examples.df
    if seeds is not None:
        seed_part = float(seeds.estimate)
        curvature = error**2 / df + (float(seeds.observed) ** 2 / float(seeds.df) if seed_part > 0.0 else 0.0)
        error += seed_part
        df = error**2 / curvature
    kind = "crossed" if seeds is not None else "clustered" if sample.clusters is not None else ""
    name = "_".join(part for part in (kind, "sparse" if sparse else "", "t") if part)
    return ChosenMethod(confidence, name, _mean_reason(sample, seeds, sparse, smooth), math.sqrt(error), df)


def _pseudo_unit(sample: PairedSample, examples: ExampleVariance) -> float:
    """By how much one example of the unfavourable kind would move the mean; of clusters, as many as go together.

    How many go together is the observed design effect, but a few differing examples say little about it: it is taken
    as at least the square root of the cluster size (examples drawn evenly), and as all of it while clusters do not
    differ.
    """
    n, together = len(sample.differences), 1.0
    if sample.clusters is not None:
        sizes = sample.clusters.sizes
        met = float((sizes**2).sum()) / n  # the size of the cluster that an example is likely to be in
        told_apart = examples.variance > (TIE * sample.scale) ** 2
        together = min(max(examples.design_effect, math.sqrt(met)), float(sizes.max())) if told_apart else met
    return (sample.scale + abs(sample.usual)) * together / n


def _mean_reason(sample: PairedSample, seeds: SeedVariance | None, sparse: bool, auto: bool) -> str:
    if not auto:
        return "requested by name"
    parts = []
    if seeds is not None:
        runs = f"{len(sample.candidate)} and {len(sample.baseline)} runs"
        parts.append(f"{runs}: other seeds would move the difference, so their variance is crossed with the examples'")
    if sample.clusters is not None:
        parts.append(f"examples in {sample.units} clusters are not independent: variance over clusters")
    if sparse:
        parts.append("too few units differ for the normal law: pseudo-examples stand for those not seen")
    if not parts:
        n = len(sample.differences)
        few = n < MIN_BOOTSTRAP_N
        parts.append(f"{n} examples: too few to resample" if few else f"{n} examples: the mean is close to normal")
    return "; ".join(parts)
