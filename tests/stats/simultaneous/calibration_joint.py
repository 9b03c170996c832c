"""Coverage and error rates of joint and corpus inference: python -m tests.stats.simultaneous.calibration_joint [TABLES]

Simulates tables with a known truth and prints Markdown tables; the quick form runs in the tests. Candidates share the
examples' difficulty, so that the contrasts with the common baseline are correlated at about one half.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from scipy import stats

from mlbaseline.stats.corpus.classification import auroc, macro_f1, mcc
from mlbaseline.stats.corpus.comparison import compare_corpus
from mlbaseline.stats.corpus.metric import CorpusMetric
from mlbaseline.stats.corpus.probabilities import brier, ece, perplexity
from mlbaseline.stats.simultaneous.joint import joint_intervals
from tests.support.calibration_rows import Rows, table_line

ALPHA = 0.05


@dataclass(frozen=True)
class Scenario:
    """``spread`` is the share of a score's variance that is the model's own: small means few discordant pairs."""

    scores: str
    n: int
    n_contrasts: int = 50
    effect: float = 0.0
    spread: float = 0.3
    cluster_size: int = 1
    slices: int = 0
    unequal: bool = False

    def __str__(self) -> str:
        clusters = f"{'unequal ' if self.unequal else ''}{self.cluster_size}"
        return f"{self.scores}-n{self.n}-effect{self.effect}-cluster{clusters}"


@dataclass(frozen=True)
class Found:
    """Error rates over the simulated tables, family-wise ones against the true values of every cell."""

    coverage: float
    simultaneous_coverage: float
    family_wise_error: float
    one_sided_error: float


def draw_table(scenario: Scenario, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Scores (n, 1 + contrasts), the true differences (contrasts,), and clusters."""
    n, k = scenario.n, scenario.n_contrasts
    difficulty = rng.normal(size=(n, 1))
    own = rng.normal(size=(n, k + 1))
    clusters = None
    if scenario.cluster_size > 1:
        clusters = np.arange(n) // scenario.cluster_size
        if scenario.unequal:
            size = rng.gamma(0.7, size=n // scenario.cluster_size) + 0.05
            clusters = np.sort(rng.choice(len(size), size=n, p=size / size.sum()))
        shared = rng.normal(size=(n, k + 1))[clusters]
        own = np.sqrt(0.5) * own + np.sqrt(0.5) * shared
        difficulty = difficulty[clusters]
    latent = np.sqrt(1 - scenario.spread) * difficulty + np.sqrt(scenario.spread) * own
    if scenario.scores in ("ordinal losses", "0/1 losses"):
        # The baseline is nearly always better: what a non-inferiority gate must not overlook.
        whole = scenario.scores == "0/1 losses"
        lost = latent[:, 1:] < stats.norm.ppf(scenario.effect)
        by = np.ones(lost.shape) if whole else rng.choice([0.25, 0.5], size=lost.shape)
        truth = -scenario.effect * (1.0 if whole else 0.375)
        return np.hstack([np.ones((n, 1)), 1 - lost * by]), np.full(k, truth), clusters
    if scenario.scores == "lognormal":
        scores = np.exp(latent)
        scores[:, 1:] *= 1 + scenario.effect
        return scores, np.full(k, scenario.effect * np.exp(0.5)), clusters
    if scenario.scores == "normal":
        return latent, np.zeros(k), clusters
    rates = np.full(k + 1, 0.7)
    rates[1:] += scenario.effect
    return (latent < stats.norm.ppf(rates)).astype(float), np.full(k, scenario.effect), clusters


def simulate(scenario: Scenario, n_tables: int, n_resamples: int = 2_000, seed: int = 0) -> Found:
    rng = np.random.default_rng(seed)
    contrasts = np.hstack([-np.ones((scenario.n_contrasts, 1)), np.eye(scenario.n_contrasts)])
    rows = []
    for _ in range(n_tables):
        scores, truth, clusters = draw_table(scenario, rng)
        slices = rng.random((scenario.n, scenario.slices)) < 0.3 if scenario.slices else None
        joint = joint_intervals(
            scores, contrasts, slices=slices, clusters=clusters, level=1 - ALPHA, n_resamples=n_resamples, rng=rng
        )
        holds = (joint.low <= truth) & (truth <= joint.high)
        together = (joint.simultaneous_low <= truth) & (truth <= joint.simultaneous_high)
        rows.append(
            (
                holds.mean(),
                together.all(),
                joint.adjusted_p_values(truth).min() <= ALPHA,
                (joint.p_values(truth, "greater") <= ALPHA / 2).mean(),
            )
        )
    return Found(*np.mean(rows, axis=0).tolist())


def draw_corpus(name: str, n: int, rng: np.random.Generator) -> tuple[CorpusMetric, np.ndarray, np.ndarray]:
    """A metric and two correlated systems' statistics on n examples."""
    if name in ("macro_f1", "mcc", "macro_f1 sparse"):
        metric = mcc(3) if name == "mcc" else macro_f1(3)
        target = rng.choice(3, size=n, p=(0.2, 0.3, 0.5))
        agree = rng.random(n) < (0.95 if "sparse" in name else 0.8)
        easy, wrong = rng.random(n), (target + 1 + (rng.random(n) < 0.5)) % 3
        first = np.where(easy < 0.75, target, wrong)
        other = np.where(rng.random(n) < (0.75 if "sparse" in name else 0.6), target, (target + 1) % 3)
        return metric, metric.statistics(target, first), metric.statistics(target, np.where(agree, first, other))
    if name == "auroc":
        metric, target = auroc(), (rng.random(n) < 0.3).astype(int)
        target[:2] = (0, 1)
        signal = rng.normal(size=n) + 1.2 * target
        noisy = [metric.statistics(signal + noise * rng.normal(size=n), target) for noise in (0.5, 0.8)]
        return metric, noisy[0], noisy[1]
    if name in ("ece", "brier"):
        metric, confidence = ece(10) if name == "ece" else brier(), rng.beta(5, 2, n)
        correct = (rng.random(n) < confidence**1.3).astype(int)
        other = np.clip(confidence + 0.1 * (1 - confidence) + 0.02 * rng.normal(size=n), 0, 1)
        return metric, metric.statistics(confidence, correct), metric.statistics(other, correct)
    metric, tokens, loss = perplexity(), rng.integers(5, 60, n), rng.gamma(2, 1.5, n)
    other = loss + 0.2 * rng.normal(size=n) + 0.05
    return metric, metric.statistics(loss * tokens, tokens), metric.statistics(other * tokens, tokens)


FOUND = tuple(Found.__dataclass_fields__)


@dataclass(frozen=True)
class CorpusFound:
    coverage: float
    size: float


def simulate_corpus(name: str, n: int, n_tables: int, cluster_size: int = 1, seed: int = 0) -> CorpusFound:
    """Coverage of the true difference, and how often p ≤ 0.05 rejects it. Clusters are examples repeated in part."""
    rng = np.random.default_rng(seed)
    metric, *large = draw_corpus(name, 400_000, rng)
    compared = metric.compared_by(large[0].sum(axis=0)) if metric.compared_by else metric
    truth = compared.of(large[0]) - compared.of(large[1])
    rows = []
    for _ in range(n_tables):
        metric, first, second = draw_corpus(name, n, rng)
        clusters = None
        if cluster_size > 1:
            clusters = np.repeat(np.arange(n), rng.integers(1, cluster_size + 1, n))
            first, second = first[clusters], second[clusters]
        found = compare_corpus(first, second, metric, clusters=clusters, margin=truth, n_resamples=1_000, rng=rng)
        rows.append((found.low <= truth <= found.high, found.p_value <= ALPHA))
    return CorpusFound(*np.mean(rows, axis=0).tolist())


@dataclass(frozen=True)
class RecipeFound:
    coverage: float
    examples_only: float


def simulate_recipe(n_seeds: int, seed_spread: float, n_tables: int, n: int = 400, seed: int = 0) -> RecipeFound:
    """Macro-F1 of a recipe whose accuracy differs by seed, against one fixed checkpoint; covers the recipe's mean?"""
    rng = np.random.default_rng(seed)
    metric = macro_f1(2)

    hardness = np.sort(0.8 * rng.random(1_000_000) + 0.2 * rng.random(1_000_000))

    def answer(target: np.ndarray, easy: np.ndarray, accuracy: float) -> np.ndarray:
        right = 0.8 * easy + 0.2 * rng.random(len(target)) < hardness[int(accuracy * len(hardness))]
        return metric.statistics(target, np.where(right, target, 1 - target))

    rows = []
    for _ in range(n_tables):
        target, easy = rng.integers(0, 2, n), rng.random(n)
        accuracies = np.clip(0.75 + seed_spread * rng.normal(size=n_seeds), 0.5, 0.99)
        recipe = np.stack([answer(target, easy, a) for a in accuracies])
        checkpoint = answer(target, easy, 0.70)
        truth = 0.05  # macro-F1 of two balanced classes, equally often right, is the accuracy
        found = compare_corpus(recipe, checkpoint, metric, rng=rng)
        alone = compare_corpus(recipe[0], checkpoint, metric, n_resamples=500, rng=rng)
        rows.append((found.low <= truth <= found.high, alone.low <= truth <= alone.high))
    return RecipeFound(*np.mean(rows, axis=0).tolist())


def grid() -> Iterator[Scenario]:
    for scores in ("binary", "lognormal"):
        for n in (50, 100, 200, 1_000):
            for effect in (0.0, 0.08):
                yield Scenario(scores, n, effect=effect)
    for spread in (0.01, 0.1):
        yield Scenario("binary", 500, spread=spread)
    for scores in ("binary", "lognormal"):
        for cluster_size in (5, 20):
            yield Scenario(scores, 1_000, cluster_size=cluster_size, effect=0.08)
        yield Scenario(scores, 400, n_contrasts=10, slices=4, effect=0.08)
    yield Scenario("binary", 2_000, effect=0.08)
    yield from few_units()


def few_units() -> Iterator[Scenario]:
    """Few clusters of unequal size, and few examples that differ."""
    for size in (30, 20, 10):
        yield Scenario("normal", 300, n_contrasts=5, cluster_size=size, unequal=True)
        yield Scenario("0/1 losses", 300, n_contrasts=5, effect=0.05, cluster_size=size, unequal=True)
    for n, rate in ((100, 0.05), (200, 0.02), (500, 0.02), (500, 0.1)):
        yield Scenario("ordinal losses", n, n_contrasts=5, effect=rate)


HEADER = """# Calibration of joint and corpus inference

Written by `make calibrate` (`python -m tests.stats.simultaneous.calibration_joint`); not edited by hand.

Joint intervals at 0.95 (standard error of a rate of 0.05: 0.007 over 1,000 tables). *Coverage* is that of single cells,
*one-sided error* how often a gate at 2.5 % passes a contrast whose true value is its margin.

What covers more than 0.985 does so on purpose. Where few examples or few clusters differ, and all of them one way, the
data do not show how large a rare loss can be: pseudo-examples stand in for it (rows of losses, macro-F1 with a rare
class). A difference of calibration errors has the bias of both as its width. Two seeds leave one degree of freedom for
the variation between seeds, also where there is none.
"""


def _joint(scenario: Scenario, n_tables: int) -> dict[str, float]:
    return asdict(simulate(scenario, n_tables))


def _corpus(name: str, n: int, n_tables: int, cluster_size: int) -> dict[str, float]:
    return asdict(simulate_corpus(name, n, n_tables, cluster_size))


def _recipe(n_seeds: int, spread: float, n_tables: int) -> dict[str, float]:
    return asdict(simulate_recipe(n_seeds, spread, n_tables))


def joint_table(rows: Rows, n_tables: int) -> list[str]:
    """Contrasts of many scores on the same examples, overall and by slice."""
    names = ("tables", "scores", "n", "contrasts", "slices", "own share", "cluster", "effect")
    lines = [table_line([*names, *(name.replace("_", " ") for name in FOUND)])]
    lines.append(table_line(["---:", "---", *["---:"] * (len(names) + len(FOUND) - 2)]))
    for s in grid():
        found = rows.get({"joint": asdict(s), "tables": n_tables}, partial(_joint, s, n_tables))
        cluster = f"{s.cluster_size}{' unequal' if s.unequal else ''}"
        setting = (f"{n_tables:,}", s.scores, s.n, s.n_contrasts, s.slices, s.spread, cluster, s.effect)
        lines.append(table_line([*setting, *(f"{found[name]:.3f}" for name in FOUND)]))
    return lines


def corpus_table(rows: Rows, n_tables: int) -> list[str]:
    """Corpus metrics of two checkpoints."""
    lines = [table_line(["metric", "n", "cluster up to", "coverage", "size"]), table_line(["---", *["---:"] * 4])]
    for name in ("macro_f1", "macro_f1 sparse", "mcc", "auroc", "ece", "brier", "perplexity"):
        for n, cluster_size in ((50, 1), (200, 1), (1_000, 1), (200, 5)):
            about = {"corpus": name, "n": n, "cluster": cluster_size, "tables": n_tables}
            found = rows.get(about, partial(_corpus, name, n, n_tables, cluster_size))
            lines.append(table_line([name, n, cluster_size, f"{found['coverage']:.3f}", f"{found['size']:.3f}"]))
    return lines


def recipe_table(rows: Rows, n_tables: int) -> list[str]:
    """A corpus metric of a recipe."""
    lines = [table_line(["seeds", "σ_seed", "coverage", "coverage of one seed as if a checkpoint"])]
    lines.append(table_line(["---:"] * 4))
    for n_seeds in (2, 3, 5, 10):
        for spread in (0.0, 0.02, 0.05):
            about = {"recipe": n_seeds, "spread": spread, "tables": n_tables}
            found = rows.get(about, partial(_recipe, n_seeds, spread, n_tables))
            lines.append(table_line([n_seeds, spread, f"{found['coverage']:.3f}", f"{found['examples_only']:.3f}"]))
    return lines


def main(n_tables: int = 1_000) -> int:
    rows = Rows("joint")
    parts = [HEADER, *joint_table(rows, n_tables)]
    parts += [f"\nCorpus metrics, two checkpoints, {n_tables:,} tables a row.\n", *corpus_table(rows, n_tables)]
    title = f"Macro-F1 of a recipe (seeds × 400 examples) against a checkpoint, {n_tables:,} tables a row."
    print("\n".join([*parts, f"\n{title}\n", *recipe_table(rows, n_tables)]))
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
