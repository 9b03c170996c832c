"""Detection of a rise of the loss, slice by slice, with a bound on how often an alarm is false."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from mlbaseline.stats.types import Array

Slice = TypeVar("Slice", bound=Hashable)

_GRID = 0.5 ** np.arange(1, 9)
"""Bets as shares of the largest allowed one: large ones find a jump in days, small ones a slow drift."""


@dataclass(frozen=True)
class SliceEvidence(Generic[Slice]):
    """The evidence of drift on one slice after a day.

    Attributes:
        slice: The slice, as named in the detector's bounds.
        log_e: Natural logarithm of the e-detector.
        threshold: The log e at which this slice would raise an alarm, given those above it.
        alarm: Whether it does.
        n: Labelled events seen since the start.
        loss: Their mean loss, NaN without any.
    """

    slice: Slice
    log_e: float
    threshold: float
    alarm: bool
    n: int
    loss: float


class SlicedDriftDetector(Generic[Slice]):
    """Watch the loss of several slices and raise an alarm where it exceeds its upper bound.

    Per slice with bound m and bet λ < 1/m, a day's events give L_d(λ) = Π (1 + λ(X_i − m)), and the e-detector is
    M_d = L_d · (M_{d−1} + 1), averaged over a fixed grid of bets (Shin, Ramdas and Rinaldo 2023, "E-detectors: a
    nonparametric framework for sequential change detection"). Over K slices sorted by M, the top k* raise an alarm,
    k* = max{k : M_(k) ≥ K/(αk)} with α = 1/ARL (e-BH over e-detectors: arXiv 2501.04130). As long as all bounds hold,
    the mean time to a false alarm is at least ``arl_days`` updates.

    Args:
        upper_bounds: For each slice the largest acceptable mean loss, in (0, 1), such as the upper confidence limit
            of the reference's loss plus a tolerated rise.
        arl_days: Average number of days to a false alarm (average run length), at least 1.
        sampling_probability: Probability π with which an event is labelled. Below 1 the losses are the unbiased values
            f + (ξ/π)(y − f) of a predicted loss f, a label y and its selection ξ, in [1 − 1/π, 1/π].

    Raises:
        ValueError: If there is no slice or a parameter is out of range.

    Example:
        >>> detector = SlicedDriftDetector({"short": 0.2, "long": 0.2}, arl_days=365)
        >>> day = {"short": [0, 0, 0, 1, 0] * 20, "long": [1, 1, 0, 1, 0] * 20}
        >>> [evidence.slice for evidence in detector.update(day)]
        ['long']
    """

    def __init__(
        self, upper_bounds: Mapping[Slice, float], *, arl_days: float, sampling_probability: float = 1.0
    ) -> None:
        if not upper_bounds or not all(0.0 < bound < 1.0 for bound in upper_bounds.values()):
            raise ValueError(f"upper_bounds: expected a loss between 0 and 1 for each slice, got {dict(upper_bounds)}")
        if not (math.isfinite(arl_days) and arl_days >= 1.0):
            raise ValueError(f"arl_days: expected at least one day, got {arl_days!r}")
        if not 0.0 < sampling_probability <= 1.0:
            raise ValueError(f"sampling_probability: expected a probability above 0, got {sampling_probability!r}")
        self._bounds = dict(upper_bounds)
        self._alpha = 1.0 / arl_days
        self._most = 1.0 / sampling_probability
        self._log_m: dict[Slice, Array] = {name: np.full(len(_GRID), -np.inf) for name in upper_bounds}
        self._n = dict.fromkeys(upper_bounds, 0)
        self._total = dict.fromkeys(upper_bounds, 0.0)

    def update(self, day_losses: Mapping[Slice, ArrayLike]) -> list[SliceEvidence[Slice]]:
        """Add the losses of one closed day.

        Args:
            day_losses: For each slice its losses of the day, shape (n,), in [0, 1] (see ``sampling_probability``). A
                slice that is left out had no labelled event.

        Returns:
            The slices that raise an alarm after this day, the strongest evidence first.

        Raises:
            ValueError: If a slice is unknown, or a loss is not finite or out of range. Nothing is added then.
        """
        losses = {name: self._checked(name, values) for name, values in day_losses.items()}
        for name, bound in self._bounds.items():
            day = losses.get(name, np.empty(0))
            bets = _GRID / (bound + self._most - 1.0)
            growth = np.log1p(bets[:, None] * (day - bound)).sum(axis=1)
            self._log_m[name] = growth + np.logaddexp(self._log_m[name], 0.0)
            self._n[name] += len(day)
            self._total[name] += float(day.sum())
        return [evidence for evidence in self.evidence() if evidence.alarm]

    def evidence(self) -> list[SliceEvidence[Slice]]:
        """List the state of every slice, the strongest evidence first."""
        log_e = {name: float(np.logaddexp.reduce(log_m) - math.log(len(_GRID))) for name, log_m in self._log_m.items()}
        ranked = sorted(log_e, key=lambda name: -log_e[name])
        thresholds = [math.log(len(ranked) / (self._alpha * rank)) for rank in range(1, len(ranked) + 1)]
        alarms = max((rank for rank, name in enumerate(ranked, 1) if log_e[name] >= thresholds[rank - 1]), default=0)
        return [
            SliceEvidence(
                slice=name,
                log_e=log_e[name],
                threshold=thresholds[max(rank, alarms) - 1],
                alarm=rank <= alarms,
                n=self._n[name],
                loss=self._total[name] / self._n[name] if self._n[name] else math.nan,
            )
            for rank, name in enumerate(ranked, 1)
        ]

    def _checked(self, name: Slice, values: ArrayLike) -> Array:
        if name not in self._bounds:
            raise ValueError(f"day_losses: unknown slice {name!r}; the bounds name {sorted(map(str, self._bounds))}")
        array = np.asarray(values, dtype=float)
        low, high = 1.0 - self._most, self._most
        if array.ndim != 1 or not ((array >= low - 1e-9) & (array <= high + 1e-9)).all():
            raise ValueError(f"day_losses[{name!r}]: expected shape (n,) within [{low:g}, {high:g}]")
        return np.asarray(np.clip(array, low, high))
