"""Does every method that ``auto`` picks hold its level? Coverage, size and gate error by simulation.

The data come from this module alone; the answers come from the code that ``compare_paired`` runs. For unclustered 0/1
scores nothing is simulated: all outcomes are enumerated with their probabilities.

Each cell counts how often the true difference lies below the interval's lower bound and above its upper one. "Below"
at the 95 % interval is the error of a superiority or non-inferiority gate whose margin equals the truth (nominal 2.5 %);
at the one-sided 95 % bound (nominal 5 %) it is ``gate``. Both are read from the p-values at the true difference, which
agree with the bounds by construction (tests/stats/test_paired.py holds that).

    python -m tests.stats.calibration --write docs-table     the full grid, as mlbaseline/stats/CALIBRATION.md
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from mlbaseline.stats.binary import AgrestiMinPivot, ScorePivot
from mlbaseline.stats.methods import Sample, choose
from mlbaseline.stats.pivots import Array, BootstrapPivot, MeanPivot, Pivot, SeedVariance, UnseenPivot
from mlbaseline.stats.variance import Clusters

Draw = Callable[[np.random.Generator], tuple[Array, Array, "Array | None"]]


@dataclass(frozen=True)
class Cell:
    """One setting of the grid: how to draw a data set, and its true difference."""

    family: str
    setting: str
    n: int
    delta: float
    draw: Draw


@dataclass(frozen=True)
class Result:
    """Shares of data sets: ``coverage`` of the 95 % interval, its two one-sided errors, ``gate`` at one-sided 95 %."""

    family: str
    setting: str
    n: int
    methods: str
    coverage: float
    below: float
    above: float
    gate: float


# ---------------------------------------------------------------- 0/1 scores, exactly


def enumerate_binary(n: int, discordance: float, share_gained: float, *, agresti_min: bool = False) -> Result:
    """Exact error rates for independent 0/1 pairs."""
    gain_rate = discordance * share_gained
    loss_rate = discordance - gain_rate
    delta = gain_rate - loss_rate
    gained, lost = np.meshgrid(_likely(n, gain_rate), _likely(n, loss_rate), indexing="ij")
    possible = gained + lost <= n
    b, c = gained[possible].astype(float), lost[possible].astype(float)
    weight = stats.multinomial.pmf(np.stack([b, c, n - b - c], -1), n, [gain_rate, loss_rate, 1.0 - discordance])
    some = b + c > 0
    pivot: Pivot
    greater, less = np.empty_like(b), np.empty_like(b)
    pivot = AgrestiMinPivot(b, c, np.asarray(n)) if agresti_min else ScorePivot(b[some], c[some], np.asarray(n))
    greater[some if not agresti_min else ...] = pivot.p_greater(delta)
    less[some if not agresti_min else ...] = pivot.mirrored().p_greater(-delta)
    if not agresti_min:
        unseen = UnseenPivot(np.zeros(1), np.ones(1), np.full(1, n))
        greater[~some], less[~some] = unseen.p_greater(delta)[0], unseen.mirrored().p_greater(-delta)[0]
    below, above = weight[greater <= 0.025].sum(), weight[less <= 0.025].sum()
    name = "agresti_min" if agresti_min else "score"
    setting = f"{discordance:.0%} discordant, {share_gained:.0%} gained"
    return Result(
        "0/1", setting, n, name, 1.0 - below - above, float(below), float(above), float(weight[greater <= 0.05].sum())
    )


def _likely(n: int, rate: float) -> Array:
    return np.arange(int(stats.binom.ppf(1e-9, n, rate)), int(stats.binom.ppf(1.0 - 1e-9, n, rate)) + 2)


# ---------------------------------------------------------------- everything else, by simulation


def simulate(cell: Cell, replicates: int, seed: int) -> Result:
    """Error rates of the automatic choice over ``replicates`` data sets."""
    rng = np.random.default_rng([seed, *cell.setting.encode(), *cell.family.encode(), cell.n])
    choices = []
    for _ in range(replicates):
        candidate, baseline, labels = cell.draw(rng)
        clusters = None if labels is None else Clusters.of(labels)
        sample = Sample.of(np.atleast_2d(candidate), np.atleast_2d(baseline), clusters)
        choices.append(choose(sample, "auto", 0.025, None))
    greater = np.concatenate([p for p in _p_greater([choice.pivot for choice in choices], cell.delta)])
    less = np.concatenate([p for p in _p_greater([choice.pivot.mirrored() for choice in choices], -cell.delta)])
    below, above = float(np.mean(greater <= 0.025)), float(np.mean(less <= 0.025))
    names = Counter(choice.name for choice in choices)
    shown = ", ".join(name for name, count in names.most_common() if count >= 0.05 * replicates)
    return Result(
        cell.family, cell.setting, cell.n, shown, 1.0 - below - above, below, above, float(np.mean(greater <= 0.05))
    )


def _p_greater(pivots: list[Pivot], margin: float) -> Iterator[Array]:
    """P-values, pivots of one kind stacked so that each kind is one vectorised call."""
    means = [pivot for pivot in pivots if isinstance(pivot, MeanPivot)]
    for kind in ([p for p in means if p.seeds is None], [p for p in means if p.seeds is not None]):
        if kind:
            yield _stacked(kind).p_greater(margin)
    for other in pivots:
        if isinstance(other, (BootstrapPivot, UnseenPivot, ScorePivot)):
            yield np.atleast_1d(other.p_greater(margin))


def _stacked(pivots: list[MeanPivot]) -> MeanPivot:
    def stack(name: str) -> Array:
        return np.array([getattr(pivot, name) for pivot in pivots], dtype=float)

    seeds = [pivot.seeds for pivot in pivots if pivot.seeds is not None]
    joint = SeedVariance(*(np.array([getattr(s, f) for s in seeds]) for f in ("observed", "residual", "df")))
    fields = ("estimate", "variance", "df", "third", "unit")
    return MeanPivot(*(stack(field) for field in fields), joint if seeds else None)


# ---------------------------------------------------------------- the data


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
    """Clusters whose examples share half of their variance (0/1: of the normal variable behind them)."""

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
        gain_rate = discordance / 2.0 if kind == "0/1 even" else 0.0
        gained, lost = u > 1.0 - gain_rate, u < discordance - gain_rate
        both = rng.random(n) < 0.7
        return (
            np.where(gained, 1.0, np.where(lost, 0.0, both)),
            np.where(gained, 0.0, np.where(lost, 1.0, both)),
            labels,
        )

    delta = -discordance if kind == "0/1 losses" else 0.0
    sizes = f"{n // size} clusters of {size}" if equal else f"unequal clusters of about {size}"
    what = kind if not kind.startswith("0/1") else f"{kind}, {discordance:.0%} discordant"
    return Cell("clustered", f"{what}, {sizes}", n, delta, draw)


def crossed(kind: str, n: int, seeds: tuple[int, int], sigma_seed: float, noise: float = 0.2) -> Cell:
    """Runs of recipes; a side of one run is a checkpoint, its own shift zero. ``noise``: chance of an answer to flip."""

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
    """Runs that nearly always agree on 0/1 answers: only a few examples move, each in its own direction, in some runs."""

    def draw(rng: np.random.Generator) -> tuple[Array, Array, None]:
        base = (rng.random(n) < 0.7).astype(float)
        fickle = rng.random(n) < discordance
        candidate, baseline = (np.where(fickle & (rng.random((runs, n)) < 0.5), 1.0 - base, base) for runs in seeds)
        return candidate, baseline, None

    return Cell("crossed", f"0/1, {seeds[0]} and {seeds[1]} runs, {discordance:.0%} of examples fickle", n, 0.0, draw)
