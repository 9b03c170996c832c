"""Does every method that ``auto`` picks hold its level? Coverage, size and gate error by simulation.

The data come from this module alone; the answers come from the code that ``compare_paired`` runs. For unclustered 0/1
scores nothing is simulated: all outcomes are enumerated with their probabilities.

Each cell counts how often the true difference lies below the interval's lower bound and above its upper one. ``below``
at the 95 % interval is the error of a superiority or non-inferiority gate whose margin equals the truth (nominal
2.5 %); ``gate`` is the same at the one-sided 95 % bound (nominal 5 %). Both are read from the p-values at the true
difference, which agree with the bounds (tests/stats/test_paired_properties.py).

    python -m tests.stats.paired.calibration --write docs-table     the full grid, for docs/statistics
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy import stats

from mlbaseline.stats.confidence import ConfidenceDistribution, MeanConfidence, RuleOfThree, SeedVariance
from mlbaseline.stats.paired.binary import AgrestiMinConfidence, ScoreConfidence, WiderConfidence
from mlbaseline.stats.paired.methods import choose_method
from mlbaseline.stats.paired.sample import PairedSample
from mlbaseline.stats.types import Array
from mlbaseline.stats.variance import Clusters
from tests.stats.paired import calibration_data as weights
from tests.stats.paired.calibration_data import Cell, clustered, crossed, dense, sparse, sparse_crossed
from tests.support.calibration_rows import Rows
from tests.support.checkout import ROOT


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


BINARY: dict[str, Callable[[Array, Array, Array], ConfidenceDistribution]] = {
    "score": WiderConfidence,
    "tango": ScoreConfidence,
    "agresti_min": AgrestiMinConfidence,
}


def enumerate_binary(n: int, discordance: float, share_gained: float, *, method: str = "score") -> Result:
    """Exact error rates for independent 0/1 pairs, by the method in use or one of the two that it is the wider of."""
    gain_rate = discordance * share_gained
    loss_rate = discordance - gain_rate
    delta = gain_rate - loss_rate
    gained, lost = np.meshgrid(_likely(n, gain_rate), _likely(n, loss_rate), indexing="ij")
    possible = gained + lost <= n
    b, c = gained[possible].astype(float), lost[possible].astype(float)
    weight = stats.multinomial.pmf(np.stack([b, c, n - b - c], -1), n, [gain_rate, loss_rate, 1.0 - discordance])
    some = b + c > 0
    greater, less = np.empty_like(b), np.empty_like(b)
    confidence = BINARY[method](b[some], c[some], np.asarray(float(n)))
    greater[some], less[some] = confidence.p_greater(delta), confidence.mirrored().p_greater(-delta)
    same = AgrestiMinConfidence(np.zeros(1), np.zeros(1), np.full(1, float(n)))
    unseen = same if method == "agresti_min" else RuleOfThree(np.zeros(1), np.ones(1), np.ones(1), np.full(1, n))
    greater[~some], less[~some] = unseen.p_greater(delta)[0], unseen.mirrored().p_greater(-delta)[0]
    below, above = weight[greater <= 0.025].sum(), weight[less <= 0.025].sum()
    setting = f"{discordance:.0%} discordant, {share_gained:.0%} gained"
    return Result(
        "0/1", setting, n, method, 1.0 - below - above, float(below), float(above), float(weight[greater <= 0.05].sum())
    )


def _likely(n: int, rate: float) -> Array:
    return np.arange(int(stats.binom.ppf(1e-9, n, rate)), int(stats.binom.ppf(1.0 - 1e-9, n, rate)) + 2)


# ---------------------------------------------------------------- everything else, by simulation


def simulate(cell: Cell, replicates: int, seed: int) -> Result:
    """Error rates of the automatic choice over ``replicates`` data sets."""
    rng = np.random.default_rng([seed, *cell.setting.encode(), *cell.family.encode(), cell.n])
    choices = []
    for _ in range(replicates):
        candidate, baseline, labels, known = (*cell.draw(rng), None)[:4]
        clusters = None if labels is None else Clusters.of(labels)
        sample = PairedSample.of(np.atleast_2d(candidate), np.atleast_2d(baseline), clusters, known)
        choices.append(choose_method(sample, "auto", None))
    greater = np.concatenate(list(_p_greater([choice.confidence for choice in choices], cell.delta)))
    less = np.concatenate(list(_p_greater([choice.confidence.mirrored() for choice in choices], -cell.delta)))
    below, above = float(np.mean(greater <= 0.025)), float(np.mean(less <= 0.025))
    names = Counter(choice.name for choice in choices)
    shown = ", ".join(name for name, count in names.most_common() if count >= 0.05 * replicates)
    return Result(
        cell.family, cell.setting, cell.n, shown, 1.0 - below - above, below, above, float(np.mean(greater <= 0.05))
    )


def _p_greater(distributions: list[ConfidenceDistribution], margin: float) -> Iterator[Array]:
    """P-values, distributions of one kind stacked so that each kind is one vectorised call."""
    means = [confidence for confidence in distributions if isinstance(confidence, MeanConfidence)]
    for kind in ([p for p in means if p.seeds is None], [p for p in means if p.seeds is not None]):
        if kind:
            yield _stacked(kind).p_greater(margin)
    for other in distributions:
        if not isinstance(other, MeanConfidence):
            yield np.atleast_1d(other.p_greater(margin))


def _stacked(distributions: list[MeanConfidence]) -> MeanConfidence:
    def stack(name: str) -> Array:
        return np.array([getattr(confidence, name) for confidence in distributions], dtype=float)

    seeds = [confidence.seeds for confidence in distributions if confidence.seeds is not None]
    joint = SeedVariance(*(np.array([getattr(s, f) for s in seeds]) for f in ("observed", "residual", "df")))
    fields = ("estimate", "variance", "df", "third", "unit")
    return MeanConfidence(*(stack(field) for field in fields), seeds=joint if seeds else None)


def exact_grid() -> Iterator[Result]:
    """Independent 0/1 pairs."""
    for n in (20, 50, 100, 200, 500, 1_000, 2_000):
        for discordance in (0.01, 0.02, 0.05, 0.1, 0.2, 0.4):
            for share_gained in (0.0, 0.25, 0.5, 0.75, 1.0):
                yield enumerate_binary(n, discordance, share_gained)


def full_grid() -> Iterator[Cell]:
    """Every simulated cell of the documented table."""
    laws = ("normal", "t, 3 df", "exponential", "lognormal")
    yield from (dense(law, n) for law in laws for n in (20, 50, 100, 199, 200, 500, 2_000))
    rates = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
    sizes = (20, 50, 100, 200, 500, 1_000, 2_000)
    yield from (sparse(n, rate, share) for n in sizes for rate in rates for share in (0.0, 0.5))
    shapes = ((50, 5), (200, 10), (200, 20), (500, 20), (2_000, 20))
    for equal in (True, False):
        for n, size in shapes:
            yield from (clustered(kind, n, size, equal) for kind in ("normal", "exponential"))
        for n, size in ((50, 5), (200, 2), (200, 10), (500, 5), (2_000, 20)):
            for kind in ("0/1 even", "0/1 losses"):
                yield from (clustered(kind, n, size, equal, rate) for rate in (0.01, 0.05, 0.2, 0.4))
    for n, size in ((200, 10), (2_000, 20)):
        yield from (clustered("0/1 whole losses", n, size, True, rate) for rate in (0.01, 0.05, 0.2, 0.4))
    seeds = ((2, 1), (3, 1), (5, 1), (10, 1), (2, 5), (3, 3), (5, 5))
    for runs in seeds:
        for n in (50, 500, 2_000):
            yield from (crossed("0/1", n, runs, sigma) for sigma in (0.0, 0.01, 0.05))
        yield from (crossed("normal", 500, runs, sigma) for sigma in (0.0, 0.03))
    for runs in ((2, 1), (3, 1), (3, 3)):
        yield from (sparse_crossed(n, runs, rate) for n in (50, 500, 2_000) for rate in (0.01, 0.05, 0.2))
    yield from weights.weighted_grid()


def quick_grid() -> Iterator[Cell]:
    """One or two telling cells for each method."""
    yield dense("lognormal", 50)
    yield dense("exponential", 200)
    yield sparse(500, 0.05, 0.0)
    yield sparse(1_000, 0.1, 0.5)
    yield clustered("normal", 200, 20, False)
    yield clustered("0/1 losses", 500, 5, True, 0.05)
    yield crossed("0/1", 500, (3, 1), 0.05)
    yield crossed("0/1", 500, (2, 1), 0.05)
    yield crossed("normal", 500, (3, 3), 0.03)
    yield crossed("0/1", 50, (10, 1), 0.0)
    yield weights.weighted("0/1, 10% differ", 200, 0.5)


HEADER = """# Calibration

Written by `make calibrate` (`python -m tests.stats.paired.calibration --write docs-table`); not edited by hand.

Each row is one kind of data. *Coverage* is that of the nominal 95 % interval of the method that `auto` picks.
*2.5 % gate* is how often the lower bound of that interval lies above the truth: the chance that a superiority or
non-inferiority gate passes when the true difference sits on its margin. *5 % gate* is the same for the one-sided 95 %
bound. Unclustered 0/1 rows are exact (all outcomes enumerated); the others are simulated: with 1,000 data sets a
coverage of 0.95 has a standard error of 0.007, a gate of 0.05 likewise.

Asked for, at n of 50 or more: coverage from 0.93 to 0.985, gates up to 0.06. Marked where not:
**low** coverage, **gate** above 0.06, *wide* coverage above 0.985 (conservative).
"""

NOTES = """
## Where the range is left, and why

- *Wide* rows are those with few differing examples or few seeds. Where nearly nothing differs, or two or three seeds
  stand for all, an interval that keeps its level against every truth that could hide there must be wide for the truths
  that do not.
- *Whole losses*: half of the clusters are right or wrong as a whole. Where such events are rarer than the clusters
  there are, none may have been seen, and no method that looks at the differences alone can tell these clusters from
  independent examples. The other clustered 0/1 rows share half the variance of the normal variable behind them.
- *5 % gate*: unequal clusters with few losses; the remaining marks, weighted ones among them, lie within the
  simulation's error of 0.06. The 2.5 % gate, the one that the 95 % interval's bound makes, is the one to use.
- *Weighted*, wide: few differing examples, of which the heaviest may be among those not drawn.

## What the simulations changed

- 0/1 scores are inferred by the wider of Tango's score interval and Agresti and Min's: see the comparison below.
- The studentised bootstrap is floored by Student's t (heavy symmetric tails) and used for up to 1,999 examples where
  the mean is still skewed; Student's t is widened by the skewness of the differences; both give way to pseudo-examples
  where fewer than 50 examples differ.
- Seed variance is not plugged in but averaged over what the seeds leave possible: with a Satterthwaite t coverage fell
  to 0.875 at two seeds and 0.92 at three.
"""


def verdict(result: Result) -> str:
    """What is wrong with a cell, if anything; cells below n = 50 are shown, not judged."""
    marks = []
    if result.n >= 50:
        marks += ["**low**"] if result.coverage < 0.93 else ["*wide*"] if result.coverage > 0.985 else []
        marks += ["**gate**"] if max(result.below, result.gate) > 0.06 else []
    return " ".join(marks)


def table(results: list[Result]) -> str:
    """Markdown: per family a summary line and its rows."""
    lines = [HEADER]
    for family in dict.fromkeys(result.family for result in results):
        rows = [result for result in results if result.family == family]
        judged = [result for result in rows if result.n >= 50]
        lines += [
            f"## {family}",
            "",
            f"{len(judged)} cells with n ≥ 50: coverage {min(r.coverage for r in judged):.3f} to "
            f"{max(r.coverage for r in judged):.3f} (lowest: {min(judged, key=lambda r: r.coverage).setting}, "
            f"n = {min(judged, key=lambda r: r.coverage).n}), 2.5 % gate at most {max(r.below for r in judged):.3f}, "
            f"5 % gate at most {max(r.gate for r in judged):.3f}.",
            "",
            "| data | n | method | coverage | 2.5 % gate | 5 % gate | |",
            "| --- | ---: | --- | ---: | ---: | ---: | --- |",
            *(row(result) for result in rows),
            "",
        ]
    return "\n".join([*lines, NOTES, wider_table()])


def row(result: Result) -> str:
    """One line of the table."""
    rates = f"{result.coverage:.3f} | {result.below:.3f} | {result.gate:.3f}"
    return f"| {result.setting} | {result.n:,} | {result.methods} | {rates} | {verdict(result)} |"


def wider_table() -> str:
    """The wider of two intervals beside each of them, where they fail: losses only, and gains only."""
    lines = [
        "| data | n | Agresti–Min coverage | 2.5 % gate | Tango coverage | 2.5 % gate | wider coverage | 2.5 % gate |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for rate, share_gained, n in (
        (0.01, 0.0, 200),
        (0.01, 0.0, 400),
        (0.02, 0.0, 100),
        (0.1, 0.0, 200),
        (0.01, 1.0, 200),
        (0.01, 1.0, 1_000),
        (0.02, 1.0, 200),
        (0.05, 1.0, 200),
    ):
        results = [enumerate_binary(n, rate, share_gained, method=name) for name in ("agresti_min", "tango", "score")]
        shown = " | ".join(f"{result.coverage:.3f} | {result.below:.3f}" for result in results)
        lines.append(f"| {rate:.0%} {'gains' if share_gained else 'losses'} | {n} | {shown} |")
    return "\n".join(lines) + "\n"


def _simulated(cell: Cell, replicates: int) -> dict[str, Any]:
    return asdict(simulate(cell, replicates, seed=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", choices=["docs-table"], help="write the table instead of printing it")
    parser.add_argument("--replicates", type=int, default=1_000, help="data sets of each simulated row")
    arguments = parser.parse_args()
    rows, results = Rows("paired"), list(exact_grid())
    for cell in full_grid():
        about = {"family": cell.family, "setting": cell.setting, "n": cell.n, "replicates": arguments.replicates}
        results.append(Result(**rows.get(about, partial(_simulated, cell, arguments.replicates))))
    text = table(results)
    if arguments.write:
        target = ROOT / "docs" / "statistics" / "calibration-paired.md"
        target.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
