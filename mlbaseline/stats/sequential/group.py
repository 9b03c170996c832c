"""Group-sequential boundaries: a few registered looks at growing data, and one error rate over all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache

import numpy as np
import scipy
from numpy.typing import ArrayLike

from mlbaseline.stats.types import Array

_POINTS = 401
_REACH = 8.0
"""Standard deviations beyond which the paths that are still going on are neglected."""
_FARTHEST = 37.0
"""Standard deviations beyond which the normal tail underflows."""
_SMALLEST_STEP = 0.005


class LookDecision(Enum):
    """What a look at the data decides."""

    CONTINUE = "continue"
    EFFICACY = "efficacy"
    FUTILITY = "futility"


@dataclass(frozen=True)
class GroupSequentialPlan:
    """Boundaries of a one-sided test at registered looks, on the scale of the normal z statistic.

    Attributes:
        fractions: Share of the planned examples at each look, increasing, the last at most 1.
        alpha: One-sided size over all looks.
        efficacy: At or above this z the look stops for efficacy, shape (looks,).
        futility: At or below this z the look may stop for futility, shape (looks,); −∞ everywhere without ``beta``.
            Not binding: going on all the same does not raise the size.
        inflation: How many times the examples of a single look the last look needs for the same power; NaN without
            ``beta``.
    """

    fractions: tuple[float, ...]
    alpha: float
    efficacy: tuple[float, ...]
    futility: tuple[float, ...]
    inflation: float

    def decide(self, look: int, z: float) -> LookDecision:
        """Decide at a look (0 the first) from the z statistic of the examples so far."""
        if z >= self.efficacy[look]:
            return LookDecision.EFFICACY
        return LookDecision.FUTILITY if z <= self.futility[look] else LookDecision.CONTINUE

    def level(self, look: int) -> float:
        """Compute the level of the two-sided interval at a look (0 the first) that agrees with its boundary.

        Intervals at these levels hold at all looks together with probability 1 − 2α at least (repeated confidence
        intervals: Jennison and Turnbull 1989).
        """
        return 1.0 - 2.0 * float(scipy.special.ndtr(-self.efficacy[look]))

    def p_value_at(self, look: int, z: float) -> float:
        """Find the smallest one-sided size whose boundary at a look (0 the first) this z statistic reaches.

        It is a p-value at whichever registered look one stops, and it agrees with the repeated confidence interval of
        that look: at most α exactly where the one-sided limit excludes the margin. Earlier looks have no part in it, so
        a claim needs the data that are there when it is made. (Jennison and Turnbull 2000, "Group sequential methods
        with applications to clinical trials", section 9.2: repeated p-values.)

        Args:
            look: Position of the look.
            z: Its z statistic.

        Returns:
            The p-value; 1 for a z at which no size below ½ would stop.
        """
        bounds, log_sizes = _tabulated(self.fractions)[look]
        if z <= bounds[0]:
            return 1.0
        return math.exp(float(scipy.interpolate.pchip_interpolate(bounds, log_sizes, min(z, float(bounds[-1])))))

    def p_value(self, statistics: ArrayLike) -> float:
        """Compute the smallest one-sided size at which a plan with these looks would have stopped for efficacy by now.

        Args:
            statistics: The z statistics of the looks so far, shape (looks so far,).

        Returns:
            The sequential p-value: at most α exactly if some look reached its boundary.

        Raises:
            ValueError: If there is no look or more than were planned.
        """
        z = np.asarray(statistics, dtype=float)
        if z.ndim != 1 or not 1 <= len(z) <= len(self.fractions) or not np.isfinite(z).all():
            raise ValueError(f"statistics: expected 1 to {len(self.fractions)} finite z statistics, got {z!r:.80}")
        fractions = self.fractions[: len(z)]

        def excess(log_alpha: float) -> float:
            return float((z - _efficacy(fractions, math.exp(log_alpha))).max())

        low, high = math.log(1e-10), math.log(0.499)
        if excess(high) < 0.0:
            return 1.0
        if excess(low) >= 0.0:
            return 1e-10
        return math.exp(float(scipy.optimize.brentq(excess, low, high, xtol=1e-4)))


def group_sequential(fractions: ArrayLike, *, alpha: float = 0.025, beta: float | None = None) -> GroupSequentialPlan:
    """Plan looks by the spending function of Lan and DeMets that resembles O'Brien and Fleming's boundaries.

    By the share t of the examples a size of α(t) = 2 − 2Φ(z_{α/2}/√t) is spent (Lan and DeMets 1983, Biometrika
    70:659). Boundaries come from the recursive integration of Armitage, McPherson and Rowe (1969, JRSS A 132:235).
    With ``beta`` the type II error is spent by the same function, for the drift at which the two boundaries meet at
    the last look (Pampallona, Tsiatis and Kim 2001).

    Args:
        fractions: Share of the planned examples at each look, shape (looks,), increasing by at least 0.005, in (0, 1].
        alpha: One-sided size over all looks, in (0, 0.5).
        beta: Probability of missing the effect that the plan is made for, in (0, 1 − alpha), for futility boundaries.

    Returns:
        The plan with its boundaries.

    Raises:
        ValueError: If fractions do not increase within (0, 1], or an error rate is out of range.

    Example:
        >>> plan = group_sequential([0.5, 1.0])
        >>> [round(z, 3) for z in plan.efficacy]
        [2.963, 1.969]
        >>> plan.decide(0, z=3.1)
        <LookDecision.EFFICACY: 'efficacy'>
    """
    shares = np.asarray(fractions, dtype=float)
    if shares.ndim != 1 or not len(shares) or not (np.diff(shares, prepend=0.0) >= _SMALLEST_STEP - 1e-12).all():
        raise ValueError(
            f"fractions: expected shares that increase by {_SMALLEST_STEP} at least, got {shares.tolist()!r:.120}"
        )
    if shares[-1] > 1.0 + 1e-12 or not 0.0 < alpha < 0.5:
        raise ValueError(f"expected fractions up to 1 and alpha in (0, 0.5), got {shares[-1]:g} and {alpha!r}")
    looks = tuple(shares.tolist())
    efficacy = _efficacy(looks, alpha)
    if beta is None:
        return GroupSequentialPlan(looks, alpha, tuple(efficacy.tolist()), (-math.inf,) * len(looks), math.nan)
    if not 0.0 < beta < 1.0 - alpha or looks[-1] < 1.0 - 1e-12:
        raise ValueError(
            f"beta: expected a rate in (0, {1 - alpha:g}) and a last look at 1, got {beta!r}, {looks[-1]:g}"
        )
    drift = float(
        scipy.optimize.brentq(lambda d: _futility(looks, efficacy, beta, d)[-1] - efficacy[-1], 0.2, 12.0, xtol=1e-6)
    )
    futility = np.minimum(_futility(looks, efficacy, beta, drift), efficacy)
    futility[-1] = efficacy[-1]
    single = float(-scipy.special.ndtri(alpha) - scipy.special.ndtri(beta))
    return GroupSequentialPlan(looks, alpha, tuple(efficacy.tolist()), tuple(futility.tolist()), (drift / single) ** 2)


@lru_cache(maxsize=32)
def _tabulated(fractions: tuple[float, ...]) -> tuple[tuple[Array, Array], ...]:
    """For each look, boundaries in z (ascending) with the logarithms of the sizes that they belong to."""
    log_sizes = np.concatenate(
        [np.linspace(math.log(1e-12), math.log(1e-3), 14)[:-1], np.linspace(math.log(1e-3), math.log(0.499), 20)]
    )[::-1]
    bounds = np.array([_efficacy(fractions, math.exp(log_size)) for log_size in log_sizes])
    tables = []
    for column in bounds.T:
        rising = np.flatnonzero(np.diff(column, prepend=-math.inf) > 1e-9)  # where the tail underflows it is flat
        tables.append((column[rising], log_sizes[rising]))
    return tuple(tables)


def _spent(fractions: tuple[float, ...], rate: float) -> Array:
    """Error rate spent at each look (not in all up to it)."""
    z = -scipy.special.ndtri(rate / 2.0)
    return np.diff(2.0 * scipy.special.ndtr(-z / np.sqrt(np.asarray(fractions))), prepend=0.0)


def _efficacy(fractions: tuple[float, ...], alpha: float) -> Array:
    """Boundaries in z, lower ones ignored."""
    paths, bounds = _Paths(0.0), []
    for t, rate in zip(fractions, _spent(fractions, alpha), strict=True):
        paths = paths.until(t)
        bounds.append(paths.upper_bound(float(rate)))
        paths = paths.between(-math.inf, bounds[-1])
    return np.array(bounds) / np.sqrt(fractions)


def _futility(fractions: tuple[float, ...], efficacy: Array, beta: float, drift: float) -> Array:
    """Lower boundaries in z that spend ``beta`` under a drift; paths above the efficacy boundary have stopped."""
    paths, bounds = _Paths(drift), []
    for t, z, rate in zip(fractions, efficacy, _spent(fractions, beta), strict=True):
        paths = paths.until(t)
        bounds.append(paths.lower_bound(float(rate)))
        paths = paths.between(bounds[-1], float(z) * math.sqrt(t))
    return np.array(bounds) / np.sqrt(fractions)


@dataclass(frozen=True)
class _Paths:
    """Brownian paths with a drift that have not stopped: where they were at the last look, and with what density.

    ``points`` (g,) and ``mass`` (g,) are the nodes and weights × density at time ``since``; ``t`` is the time now.
    """

    drift: float
    points: Array | None = None
    mass: Array | None = None
    since: float = 0.0
    t: float = 0.0

    def until(self, t: float) -> _Paths:
        """Let the paths go on until time t."""
        return _Paths(self.drift, self.points, self.mass, self.since, t)

    @cached_property
    def _starts(self) -> tuple[Array, Array]:
        if self.points is None or self.mass is None:
            return np.zeros(1), np.ones(1)
        return self.points, self.mass

    def _standardised(self, b: ArrayLike) -> Array:
        points, _ = self._starts
        step = self.t - self.since
        return np.asarray((np.asarray(b)[..., None] - points - self.drift * step) / math.sqrt(step))

    def above(self, b: float) -> float:
        """Probability of lying above b now."""
        return float(scipy.special.ndtr(-self._standardised(b)) @ self._starts[1])

    def below(self, b: float) -> float:
        """Probability of lying below b now."""
        return float(scipy.special.ndtr(self._standardised(b)) @ self._starts[1])

    def upper_bound(self, rate: float) -> float:
        """Find the point that is exceeded with probability ``rate``."""
        low, high = self._ends()
        if self.above(high) >= rate:  # so far out that no earlier stop matters
            return max(high, min(_FARTHEST, -float(scipy.special.ndtri(rate))) * math.sqrt(self.t))
        return float(scipy.optimize.brentq(lambda b: self.above(b) - rate, low, high, xtol=1e-10))

    def lower_bound(self, rate: float) -> float:
        """Find the point that is undercut with probability ``rate``."""
        low, high = self._ends()
        if self.below(low) >= rate:
            return low
        if self.below(high) <= rate:  # nearly all paths have stopped before
            return high
        return float(scipy.optimize.brentq(lambda b: self.below(b) - rate, low, high, xtol=1e-10))

    def between(self, low: float, high: float) -> _Paths:
        """Keep the paths between two points; Simpson's rule over them."""
        first, last = self._ends()
        points = np.linspace(max(low, first), max(min(high, last), max(low, first) + 1e-12), _POINTS)
        weights = np.tile([2.0, 4.0], _POINTS // 2 + 1)[:_POINTS]
        weights[[0, -1]] = 1.0
        density = np.exp(-0.5 * self._standardised(points) ** 2) @ self._starts[1]
        density /= math.sqrt(2.0 * math.pi * (self.t - self.since))
        return _Paths(self.drift, points, density * weights * (points[1] - points[0]) / 3.0, self.t, self.t)

    def _ends(self) -> tuple[float, float]:
        reach = _REACH * math.sqrt(self.t)
        return self.drift * self.t - reach, self.drift * self.t + reach
