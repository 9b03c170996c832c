"""Does a judged comparison hold its level, whatever the judge? Coverage, gate error and worth of labels by simulation.

Answers of two systems have true scores; people's labels are these, of a random few; judges see them through noise,
bias, or the order in which two answers are shown. What is compared is `stats.compare_judged`.

    python -m tests.stats.paired.calibration_judged > docs/statistics/calibration-judged.md
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlbaseline.stats import compare_judged, compare_paired

Array = npt.NDArray[np.float64]
N = 1_000
LABELS = (50, 150, 500)
LARGE = 400_000
"""Examples from which the true difference is taken."""


@dataclass(frozen=True)
class Scores:
    """True scores (n,) of the candidate and the baseline, those of a judge, and clusters (n,) where there are any."""

    truth: tuple[Array, Array]
    judged: tuple[Array, Array]
    clusters: npt.NDArray[np.int_] | None = None


Draw = Callable[[np.random.Generator, int], Scores]


@dataclass(frozen=True)
class Result:
    """Shares of tables, and medians over them. judge_alone: coverage of the interval of the judge's own scores."""

    scores: str
    judge: str
    n_labels: int
    coverage: float
    below: float
    worth: float
    judge_delta: float
    delta: float
    judge_alone: float


# ---------------------------------------------------------------- answers and judges


def ordinal(judge: Callable[[np.random.Generator, Array, bool], Array], shift: float = 0.12) -> Draw:
    """Scores of 1 to 5 as people give them, of single answers. shift: by how much the candidate is better."""

    def draw(rng: np.random.Generator, n: int) -> Scores:
        difficulty = rng.normal(size=n)
        latent = [difficulty + rng.normal(mean, 0.7, n) for mean in (shift, 0.0)]
        truth = [_five(side) for side in latent]
        judged = [judge(rng, side, is_candidate) for side, is_candidate in zip(latent, (True, False), strict=True)]
        return Scores((truth[0], truth[1]), (judged[0], judged[1]))

    return draw


def _five(latent: Array) -> Array:
    return np.digitize(latent, [-1.2, -0.4, 0.4, 1.2]) / 4.0


def faithful(rng: np.random.Generator, latent: Array, _: bool) -> Array:
    return _five(latent + rng.normal(0, 0.5, len(latent)))


def noisy(rng: np.random.Generator, latent: Array, _: bool) -> Array:
    return _five(latent + rng.normal(0, 2.0, len(latent)))


def biased(rng: np.random.Generator, latent: Array, is_candidate: bool) -> Array:
    return _five(latent + 0.6 * is_candidate + rng.normal(0, 0.5, len(latent)))


def hostile(rng: np.random.Generator, latent: Array, is_candidate: bool) -> Array:
    return _five(-latent - 0.5 * is_candidate + rng.normal(0, 0.5, len(latent)))


def blind(_: np.random.Generator, latent: Array, __: bool) -> Array:
    return np.full(len(latent), 0.5)


def pairwise(noise: float, bias: float, first: float, win: float = 0.35, loss: float = 0.2) -> Draw:
    """Which of two answers is better; the baseline is the reference, whose score is 0.5.

    Args:
        noise: Probability that a verdict of the judge is drawn at random.
        bias: Probability that it takes the candidate's answer, whatever it is.
        first: Probability that it takes the answer that is shown first.
        win: Share of examples on which people prefer the candidate.
        loss: Share on which they prefer the reference.
    """

    def draw(rng: np.random.Generator, n: int) -> Scores:
        truth = rng.choice([1.0, 0.0, 0.5], size=n, p=[win, loss, 1.0 - win - loss])
        orders = [_verdict(rng, truth, shown_first=shown_first) for shown_first in (True, False)]
        judged = np.where(orders[0] == orders[1], orders[0], 0.5)
        half = np.full(n, 0.5)
        return Scores((truth, half), (judged, half))

    def _verdict(rng: np.random.Generator, truth: Array, *, shown_first: bool) -> Array:
        said = np.where(rng.random(len(truth)) < noise, rng.choice([1.0, 0.0, 0.5], len(truth)), truth)
        said = np.where(rng.random(len(truth)) < bias, 1.0, said)
        return np.where(rng.random(len(truth)) < first, float(shown_first), said)

    return draw


def right_or_wrong(discordant: float, flip: float, bias: float) -> Draw:
    """Scores of 0 and 1, of which few differ between the systems.

    Args:
        discordant: Share of examples on which one system is right and the other wrong.
        flip: Probability that the judge turns a score round.
        bias: Probability that it takes the candidate's answer for right, whatever it is.
    """

    def draw(rng: np.random.Generator, n: int) -> Scores:
        base = (rng.random(n) < 0.7).astype(float)
        differs = rng.random(n) < discordant
        better = np.where(differs, 1.0 - base, base)
        judged = [np.where(rng.random(n) < flip, 1.0 - side, side) for side in (better, base)]
        judged[0] = np.where(rng.random(n) < bias, 1.0, judged[0])
        return Scores((better, base), (judged[0], judged[1]))

    return draw


def in_clusters(discordant: float, size: int) -> Draw:
    """Scores of 0 and 1 in clusters, in half of which all examples differ together, or none."""

    def draw(rng: np.random.Generator, n: int) -> Scores:
        clusters = np.arange(n) // size
        n_clusters = n // size
        whole = (rng.random(n_clusters) < 0.5)[clusters]
        differs = np.where(whole, (rng.random(n_clusters) < discordant)[clusters], rng.random(n) < discordant)
        base = (rng.random(n) < 0.6).astype(float)
        better = np.where(differs & (base == 0.0), 1.0, base)
        judged = [np.where(rng.random(n) < 0.1, 1.0 - side, side) for side in (better, base)]
        return Scores((better, base), (judged[0], judged[1]), clusters)

    return draw


GRID: Mapping[tuple[str, str], Draw] = {
    ("1 to 5", "faithful"): ordinal(faithful),
    ("1 to 5", "noisy"): ordinal(noisy),
    ("1 to 5", "loves the candidate"): ordinal(biased),
    ("1 to 5", "turns it round"): ordinal(hostile),
    ("1 to 5", "always says 3"): ordinal(blind),
    ("pairs", "faithful"): pairwise(0.1, 0.0, 0.0),
    ("pairs", "noisy"): pairwise(0.6, 0.0, 0.0),
    ("pairs", "loves the candidate"): pairwise(0.1, 0.3, 0.0),
    ("pairs", "takes the first"): pairwise(0.1, 0.0, 0.6),
    ("pairs, few differ", "faithful"): pairwise(0.05, 0.0, 0.0, 0.06, 0.03),
    ("pairs, few differ", "takes the first"): pairwise(0.05, 0.0, 0.6, 0.06, 0.03),
    ("right or wrong, 20 % differ", "faithful"): right_or_wrong(0.2, 0.05, 0.0),
    ("right or wrong, 20 % differ", "loves the candidate"): right_or_wrong(0.2, 0.05, 0.3),
    ("right or wrong, 5 % differ", "faithful"): right_or_wrong(0.05, 0.05, 0.0),
    ("right or wrong, 5 % differ", "loves the candidate"): right_or_wrong(0.05, 0.05, 0.3),
    ("right or wrong in clusters of 10", "faithful, 40 % differ"): in_clusters(0.4, 10),
    ("right or wrong in clusters of 10", "faithful, 10 % differ"): in_clusters(0.1, 10),
}
"""Scores and judge ─▶ how they are drawn."""


# ---------------------------------------------------------------- simulation


def simulate(key: tuple[str, str], n_labels: int, tables: int, seed: int = 1) -> Result:
    """Compare `tables` tables of N examples, of which n_labels random ones are labelled."""
    draw = GRID[key]
    truth = _difference(draw(np.random.default_rng(0), LARGE).truth)
    rng = np.random.default_rng([seed, n_labels, *"".join(key).encode()])
    covered, below, worth, deltas, judged, alone = [], [], [], [], [], []
    for table in range(tables):
        scores = draw(rng, N)
        labelled = np.zeros(N, dtype=bool)
        labelled[rng.choice(N, n_labels, replace=False)] = True
        labels = [np.where(labelled, side, np.nan) for side in scores.truth]
        found = compare_judged(*scores.judged, *labels, clusters=scores.clusters)
        covered.append(found.low <= truth <= found.high)
        below.append(found.low > truth)
        worth.append(found.effective_labels)
        deltas.append(found.delta)
        judged.append(found.judge_delta)
        if table < 200:  # says the same with any number of labels
            own = compare_paired(*scores.judged, method="t", clusters=scores.clusters)
            alone.append(own.low <= truth <= own.high)
    return Result(
        *key,
        n_labels,
        float(np.mean(covered)),
        float(np.mean(below)),
        float(np.median(worth)),
        float(np.mean(judged)) - truth,
        float(np.mean(deltas)) - truth,
        float(np.mean(alone)),
    )


def _difference(truth: tuple[Array, Array]) -> float:
    return float((truth[0] - truth[1]).mean())


HEADER = f"""# Calibration of judged comparisons

Written by `make calibrate` (`python -m tests.stats.paired.calibration_judged`); not edited by hand.

Each row is 1,000 simulated tables of {N:,} examples. A judge scores all answers, people label those of a random few,
and `compare_judged` (PPI++ on the paired differences) joins both. *Coverage* is that of the nominal 95 % interval.
*2.5 % gate* is how often its lower bound lies above the truth. *Worth* is the number of labels that would say as much
without the judge (median). *Bias* is the mean error of the joint difference, *judge's bias* that of the judge alone.
*Judge alone* is the coverage of the interval that the judge's own scores give: this is why they decide nothing.

With 1,000 tables a coverage of 0.95 has a standard error of 0.007, a gate of 0.025 one of 0.005. Marked are **low**
coverage (below 0.93), a **gate** above 0.04 and *wide* coverage (above 0.985). Wide are rows where labels seldom differ
between the systems or from the judge: what 50 labels did not show may still be there.
"""


def page(results: list[Result]) -> str:
    """The page in Markdown: a table for each kind of scores."""
    lines = [HEADER]
    for kind in dict.fromkeys(result.scores for result in results):
        rows = [result for result in results if result.scores == kind]
        lines += [
            f"## {kind[0].upper()}{kind[1:]}",
            "",
            "| judge | labels | coverage | 2.5 % gate | worth | bias | judge's bias | judge alone | |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
            *map(_row, rows),
            "",
        ]
    return "\n".join(lines)


def _row(result: Result) -> str:
    marks = ["**low**"] if result.coverage < 0.93 else ["*wide*"] if result.coverage > 0.985 else []
    marks += ["**gate**"] if result.below > 0.04 else []
    return (
        f"| {result.judge} | {result.n_labels} | {result.coverage:.3f} | {result.below:.3f} | {result.worth:.0f} | "
        f"{result.delta:+.4f} | {result.judge_delta:+.4f} | {result.judge_alone:.3f} | {' '.join(marks)} |"
    )


def grid(tables: int) -> Iterator[Result]:
    for key in GRID:
        for n_labels in LABELS:
            yield simulate(key, n_labels, tables)


def main() -> None:
    tables = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    start, results = time.process_time(), []
    for result in grid(tables):
        results.append(result)
        print(f"{time.process_time() - start:6.0f} s  {result}", file=sys.stderr)
    print(page(results).rstrip())


if __name__ == "__main__":
    main()
