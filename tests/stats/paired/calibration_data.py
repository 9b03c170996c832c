"""The data sets of the calibration: each cell draws paired scores whose true difference is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from mlbaseline.stats.weights import ExampleWeights, as_weights, post_stratification

Array = NDArray[np.float64]
Drawn = tuple[Array, Array, Array | None] | tuple[Array, Array, Array | None, ExampleWeights | None]
"""Scores of both sides, clusters and, where examples are weighted, weights."""
Draw = Callable[[np.random.Generator], Drawn]


@dataclass(frozen=True)
class Cell:
    """One setting of the grid: how to draw a data set, and its true difference."""

    family: str
    setting: str
    n: int
    delta: float
    draw: Draw


def dense(law: str, n: int) -> Cell:
    """Continuous differences, all different."""
    laws: dict[str, Callable[[np.random.Generator], Array]] = {
        "normal": lambda rng: rng.normal(size=n),
        "t, 3 df": lambda rng: rng.standard_t(3, size=n),
        "exponential": lambda rng: rng.exponential(size=n) - 1.0,
        "lognormal": lambda rng: rng.lognormal(size=n) - np.exp(0.5),
    }

    def draw(rng: np.random.Generator) -> tuple[Array, Array, None]:
        base = rng.normal(size=n)
        return base + laws[law](rng), base, None

    return Cell("continuous", law, n, 0.0, draw)


def sparse(n: int, discordance: float, share_gained: float) -> Cell:
    """Partial credit: most answers score the same, the rest differ by anything up to 1."""

    def draw(rng: np.random.Generator) -> tuple[Array, Array, None]:
        base = rng.random(n)
        other = np.where(rng.random(n) < 0.3, np.round(rng.random(n)), rng.random(n))
        differs = rng.random(n) < discordance
        up, low, high = rng.random(n) < share_gained, np.minimum(base, other), np.maximum(base, other)
        candidate = np.where(differs, np.where(up, high, low), base)
        baseline = np.where(differs, np.where(up, low, high), base)
        return candidate, baseline, None

    # E|U − V|: V uniform 0.7, 0 or 1 0.3 (E|U − {0,1}| = ½).
    size = 0.7 / 3.0 + 0.3 / 2.0
    delta = discordance * size * (2.0 * share_gained - 1.0)
    return Cell("partial credit", f"{discordance:.0%} differ, {share_gained:.0%} gained", n, delta, draw)


def cluster_sizes(n: int, size: int, equal: bool, rng: np.random.Generator) -> Array:
    """Labels of clusters of ``size``, or of sizes between 1 and about three times as many."""
    if equal:
        return np.arange(n) // size
    sizes = np.minimum(rng.geometric(1.0 / size, size=n), 3 * size)
    return np.repeat(np.arange(n), sizes)[:n]


def clustered(kind: str, n: int, size: int, equal: bool, discordance: float = 0.1) -> Cell:
    """Clusters whose examples share half of their variance (0/1: of the normal variable behind them; ``whole``: half of
    the clusters go as one)."""

    def draw(rng: np.random.Generator) -> tuple[Array, Array, Array]:
        labels = cluster_sizes(n, size, equal, rng)
        count = int(labels.max()) + 1
        if kind == "normal":
            values = rng.normal(size=count)[labels] + rng.normal(size=n)
            return values, np.zeros(n), labels
        if kind == "exponential":
            values = rng.exponential(size=count)[labels] + rng.normal(size=n) - 1.0
            return values, np.zeros(n), labels
        shared = rng.normal(size=count)[labels]
        u = special.ndtr(np.sqrt(0.5) * shared + np.sqrt(0.5) * rng.normal(size=n))
        if kind == "0/1 whole losses":
            together = rng.random(count)[labels] < 0.5
            u = np.where(together, rng.random(count)[labels], rng.random(n))
        gain_rate = discordance / 2.0 if kind == "0/1 even" else 0.0
        gained, lost = u > 1.0 - gain_rate, u < discordance - gain_rate
        both = rng.random(n) < 0.7
        return (
            np.where(gained, 1.0, np.where(lost, 0.0, both)),
            np.where(gained, 0.0, np.where(lost, 1.0, both)),
            labels,
        )

    delta = -discordance if kind.endswith("losses") else 0.0
    sizes = f"{n // size} clusters of {size}" if equal else f"unequal clusters of about {size}"
    what = kind if not kind.startswith("0/1") else f"{kind}, {discordance:.0%} discordant"
    return Cell("clustered", f"{what}, {sizes}", n, delta, draw)


def crossed(kind: str, n: int, seeds: tuple[int, int], sigma_seed: float, noise: float = 0.2) -> Cell:
    """Runs of recipes; a side of one run is a checkpoint, without a shift. ``noise``: chance of an answer to flip."""

    def side(rng: np.random.Generator, runs: int, difficulty: Array) -> Array:
        shift = rng.normal(0.0, sigma_seed, size=(runs, 1)) if runs > 1 else np.zeros((1, 1))
        if kind == "0/1":
            return (rng.random((runs, n)) < difficulty + shift).astype(float)
        return difficulty + shift + rng.normal(0.0, 0.4, size=(runs, n))

    def draw(rng: np.random.Generator) -> tuple[Array, Array, None]:
        difficulty = np.where(rng.random(n) < 0.7, 1.0 - noise, noise)
        return side(rng, seeds[0], difficulty), side(rng, seeds[1], difficulty), None

    return Cell("crossed", f"{kind}, {seeds[0]} and {seeds[1]} runs, σ_seed {sigma_seed:g}", n, 0.0, draw)


def sparse_crossed(n: int, seeds: tuple[int, int], discordance: float) -> Cell:
    """Runs that nearly always agree on 0/1 answers: a few examples move, each in its own direction, in some runs."""

    def draw(rng: np.random.Generator) -> tuple[Array, Array, None]:
        base = (rng.random(n) < 0.7).astype(float)
        fickle = rng.random(n) < discordance
        candidate, baseline = (np.where(fickle & (rng.random((runs, n)) < 0.5), 1.0 - base, base) for runs in seeds)
        return candidate, baseline, None

    return Cell("crossed", f"0/1, {seeds[0]} and {seeds[1]} runs, {discordance:.0%} of examples fickle", n, 0.0, draw)


_LAWS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "exponential": lambda rng, n: rng.exponential(size=n) - 1.0,
    "0/1, 10% differ": lambda rng, n: _differences(rng, n, 0.05, 0.05),
    "0/1, 40% differ": lambda rng, n: _differences(rng, n, 0.2, 0.2),
    "0/1, 5% lost": lambda rng, n: _differences(rng, n, 0.0, 0.05) + 0.05,
}
"""Differences with mean 0."""


def _differences(rng: np.random.Generator, n: int, gained: float, lost: float) -> Array:
    u = rng.random(n)
    return np.where(u < gained, 1.0, np.where(u > 1.0 - lost, -1.0, 0.0))


def weighted(law: str, n: int, sigma: float, size: int = 1) -> Cell:
    """Weights that follow a lognormal law, whatever the example; ``size`` examples of a cluster share theirs."""

    def draw(rng: np.random.Generator) -> Drawn:
        labels = np.arange(n) // size
        weights = rng.lognormal(0.0, sigma, labels.max() + 1)[labels]
        shared = rng.normal(size=labels.max() + 1)[labels] if size > 1 else 0.0
        return _LAWS[law](rng, n) + shared, np.zeros(n), labels if size > 1 else None, as_weights(weights, n)

    clusters = f", clusters of {size}" if size > 1 else ""
    return Cell("weighted", f"{law}, weights lognormal with σ = {sigma:g}{clusters}", n, 0.0, draw)


def mixed(law: str, n: int, shares: tuple[float, ...], mix: tuple[float, ...]) -> Cell:
    """Groups of the test, each with a difference of its own, weighted to another mix."""
    effects = 0.2 * np.arange(len(shares))

    def draw(rng: np.random.Generator) -> Drawn:
        group = rng.choice(len(shares), size=n, p=shares)
        group[: 2 * len(shares)] = np.repeat(np.arange(len(shares)), 2)  # each has the two examples that it needs
        weights = post_stratification(group, {str(k): share for k, share in enumerate(mix)})
        return _LAWS[law](rng, n) + effects[group], np.zeros(n), None, weights

    how = " / ".join(f"{share:.0%}" for share in shares) + " weighted to " + " / ".join(f"{share:.0%}" for share in mix)
    return Cell("weighted", f"{law}, groups of {how}", n, float(effects @ np.array(mix)), draw)


def weighted_grid() -> Iterator[Cell]:
    """Every simulated cell with weights."""
    for law in _LAWS:
        for n in (50, 200, 1_000):
            yield from (weighted(law, n, sigma) for sigma in (0.5, 1.0))
            yield mixed(law, n, (0.7, 0.3), (0.4, 0.6))
            yield mixed(law, n, (0.6, 0.3, 0.1), (0.25, 0.25, 0.5))
    yield from (weighted("normal", n, 0.5, size) for n, size in ((200, 10), (1_000, 20)))
