"""The upper tail of a Beta distribution, on the log scale and fast for large counts."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike

from mlbaseline.stats.types import Array

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_NOTHING = -38.0
"""Log of a density, relative to its largest value in the tail, beyond which nothing is added."""
_HALVINGS = 14
_CHUNK = 50_000
_MANY = 3_000.0
"""Sum of the shapes up to which the continued fraction is as fast."""


def log_beta_tail(a: ArrayLike, b: ArrayLike, x: float) -> Array:
    """Compute log P(Beta(a, b) > x).

    On the scale of log odds the density is log-concave; it is integrated by Gauss–Legendre quadrature from ``x``
    outwards, on the side of ``x`` that does not hold the mode, scaled by its value at ``x``. Its cost does not grow
    with the shapes, as that of the continued fraction of scipy's `betaincc` does, which serves for small ones.

    Args:
        a: First shape, above 0.
        b: Second shape, above 0, of a shape that broadcasts with ``a``.
        x: Where the tail begins, in (0, 1).

    Returns:
        Natural logarithms, in the broadcast shape.

    Example:
        >>> round(float(np.exp(log_beta_tail(3.0, 3.0, 0.5))), 3)
        0.5
    """
    first, second = np.broadcast_arrays(np.asarray(a, dtype=float), np.asarray(b, dtype=float))
    shape, first, second = first.shape, first.ravel(), second.ravel()
    tail = np.empty(len(first))
    large = (np.minimum(first, second) >= 1.0) & (first + second > _MANY)
    tail[~large] = _by_fraction(first[~large], second[~large], x)
    places = np.flatnonzero(large)
    for start in range(0, len(places), _CHUNK):
        place = places[start : start + _CHUNK]
        tail[place] = _by_quadrature(first[place], second[place], x)
    return np.asarray(tail.reshape(shape))


def _by_fraction(a: Array, b: Array, x: float) -> Array:
    """Where the tail underflows, its leading term is given. It is smaller: an e-value made of it stays valid."""
    tail = np.asarray(scipy.special.betaincc(a, b, x))
    leading = b * np.log1p(-x) + a * np.log(x) - np.log(b) - scipy.special.betaln(a, b)
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(tail > 1e-290, np.log(tail), leading))


def _by_quadrature(a: Array, b: Array, x: float) -> Array:
    above = x * (a + b) >= a
    side = np.where(above, 1.0, -1.0)

    def relative(steps: Array) -> Array:
        """Log density at so many log odds outwards, relative to that at x. steps: (m, 1) or (m, nodes)."""
        grown = np.log1p(x * np.expm1(side[:, None] * steps))  # −log of (1 − t)/(1 − x)
        return np.asarray(a[:, None] * side[:, None] * steps - (a + b)[:, None] * grown)

    curvature = (a + b) * x * (1.0 - x)
    slope = np.abs(x * (a + b) - a)
    # Either the slope alone or the far slope of the distribution suffices to get below _NOTHING.
    low, high = np.zeros(len(a)), -_NOTHING / np.maximum(slope, 1e-300)
    far = 12.0 / np.sqrt(curvature) + -2.0 * _NOTHING / np.where(above, b, a) + 2.0
    high = np.minimum(high, far)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        beyond = relative(middle[:, None])[:, 0] < _NOTHING
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    log_ratio = relative(high[:, None] * (_NODES + 1.0) / 2.0)
    at_x = a * np.log(x) + b * np.log1p(-x) - scipy.special.betaln(a, b)
    outside = at_x + np.log(high / 2.0) + np.log(np.exp(log_ratio) @ _WEIGHTS)
    return np.asarray(np.where(above, outside, np.log1p(-np.exp(np.minimum(outside, -1e-12)))))
