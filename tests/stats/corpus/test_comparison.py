"""Comparisons of corpus metrics against what must hold."""

from __future__ import annotations

import numpy as np
import pytest

from mlbaseline.stats.corpus.classification import auroc, macro_f1, micro_f1
from mlbaseline.stats.corpus.comparison import compare_corpus
from mlbaseline.stats.corpus.interval import corpus_interval
from mlbaseline.stats.corpus.metric import CorpusMetric
from mlbaseline.stats.corpus.probabilities import brier, ece, perplexity
from mlbaseline.stats.corpus.text import bleu, chrf
from tests.stats.corpus.sentences import sentences
from tests.stats.simultaneous.calibration_joint import draw_corpus

NAMES = ("macro_f1", "mcc", "auroc", "ece", "brier", "perplexity")
CLUSTERED = pytest.mark.parametrize("clustered", [False, True])


@pytest.mark.parametrize("name", [*NAMES, "bleu", "chrf"])
@CLUSTERED
def test_self_against_self(name: str, clustered: bool) -> None:
    if name in ("bleu", "chrf"):
        metric = bleu() if name == "bleu" else chrf()
        hypothesis, _, reference = sentences(60, seed=0)
        rows = metric.statistics(hypothesis, [reference])
    else:
        metric, rows, _ = draw_corpus(name, 60, np.random.default_rng(0))
    clusters = np.arange(60) // 3 if clustered else None
    for side in (rows, np.stack([rows, rows])):
        for alternative in ("two-sided", "greater", "less"):
            found = compare_corpus(side, rows, metric, clusters=clusters, alternative=alternative)
            assert (found.delta, found.p_value) == (0.0, 1.0)
            assert found.low < 0 < found.high
    near = compare_corpus(
        rows, rows, metric, clusters=clusters, alternative="greater", margin=-1e-3 * abs(metric.of(rows))
    )
    assert near.p_value > 0.5


@pytest.mark.parametrize("name", NAMES)
@CLUSTERED
def test_swapping_sides_mirrors_everything(name: str, clustered: bool) -> None:
    metric, first, second = draw_corpus(name, 120, np.random.default_rng(0))
    clusters = np.arange(120) // 3 if clustered else None
    forth, back = (
        compare_corpus(a, b, metric, clusters=clusters, rng=np.random.default_rng(1))
        for a, b in ((first, second), (second, first))
    )
    assert forth.delta == -back.delta
    assert forth.low == pytest.approx(-back.high, abs=0.1 * forth.standard_error)
    assert forth.p_value == pytest.approx(back.p_value, abs=0.02)
    wide = compare_corpus(first, second, metric, clusters=clusters, level=0.99, rng=np.random.default_rng(1))
    assert wide.low < forth.low < forth.high < wide.high


@pytest.mark.parametrize("name", NAMES)
def test_p_and_interval_agree(name: str) -> None:
    metric, first, second = draw_corpus(name, 150, np.random.default_rng(2))
    found = compare_corpus(first, second, metric, rng=np.random.default_rng(1))
    for margin, inside in (
        (found.low * 1.001 + found.high * -0.001, False),
        (0.9 * found.low + 0.1 * found.high, True),
    ):
        p = compare_corpus(first, second, metric, margin=margin, rng=np.random.default_rng(1)).p_value
        assert (p > 0.05) == inside


def test_copies_in_clusters_change_nothing_and_clusters_count() -> None:
    metric, first, second = draw_corpus("macro_f1", 100, np.random.default_rng(0))
    alone = compare_corpus(first, second, metric, rng=np.random.default_rng(1))
    copied = compare_corpus(
        np.repeat(first, 4, axis=0),
        np.repeat(second, 4, axis=0),
        metric,
        clusters=np.repeat(np.arange(100), 4),
        rng=np.random.default_rng(1),
    )
    assert copied.standard_error == pytest.approx(alone.standard_error)
    assert (copied.n, copied.n_units) == (400, 100)
    assert copied.low == pytest.approx(alone.low, abs=0.1 * alone.standard_error)


def accuracy() -> CorpusMetric:
    return micro_f1(2)


def test_recipes_cross_seeds_and_examples() -> None:
    """For a mean of per-example scores the variance is the crossed analysis of variance, in closed form."""
    rng = np.random.default_rng(0)
    n, seeds, target = 400, 4, np.zeros(400, dtype=int)
    right = rng.random((seeds, n)) < np.array([0.6, 0.7, 0.75, 0.8])[:, None]
    base = rng.random(n) < 0.6
    metric = accuracy()
    found = compare_corpus(
        np.stack([metric.statistics(target, 1 - row.astype(int)) for row in right]),
        metric.statistics(target, 1 - base.astype(int)),
        metric,
    )
    scores = right.astype(float)
    mean = scores.mean()
    seed_ms = n * np.square(scores.mean(axis=1) - mean).sum() / (seeds - 1)
    residual = scores - scores.mean(axis=0) - scores.mean(axis=1, keepdims=True) + mean
    residual_ms = np.square(residual).sum() / ((seeds - 1) * (n - 1))
    examples = (scores.mean(axis=0) - base).var(ddof=1) / n
    expected = np.sqrt(examples + (seed_ms - residual_ms) / (seeds * n))
    assert found.standard_error == pytest.approx(expected, rel=1e-6)
    assert found.method == "crossed_t"
    assert (found.n_seeds_candidate, found.n_seeds_baseline) == (4, 1)


def test_seeds_that_agree_add_no_variance() -> None:
    metric, first, second = draw_corpus("mcc", 200, np.random.default_rng(0))
    recipe = compare_corpus(np.stack([first] * 3), second, metric)
    checkpoint = compare_corpus(first, second, metric, rng=np.random.default_rng(0))
    assert recipe.standard_error == pytest.approx(checkpoint.standard_error)
    assert recipe.high - recipe.low == pytest.approx(checkpoint.high - checkpoint.low, rel=0.05)


def test_perfect_and_tiny_corpora_are_answered() -> None:
    metric = macro_f1(2)
    perfect = metric.statistics([0, 1] * 20, [0, 1] * 20)
    found = corpus_interval(perfect, metric)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / 40))
    single = compare_corpus(perfect[:1], metric.statistics([0], [1]), metric)
    assert (single.low, single.high) == (pytest.approx(0.5 - 1.5 * 0.975), pytest.approx(0.5 + 0.5 * 0.975))
    assert single.p_value == 1.0
    worst = metric.statistics([0, 1] * 20, [1, 0] * 20)
    apart = compare_corpus(perfect, worst, metric)
    assert apart.p_value == pytest.approx(2 * 0.5**40)
    assert apart.low < 1 <= apart.high


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: macro_f1(2).statistics([0, 2], [0, 1]), "integers 0 … 1"),
        (lambda: macro_f1(2).statistics([0.0, 1.0], [0, 1]), "integers"),
        (lambda: macro_f1(2).statistics([0, 1], [0]), "one label an example"),
        (lambda: macro_f1(2).statistics([], []), "one label an example"),
        (lambda: ece().statistics([0.5, np.nan], [0, 1]), r"\[0, 1\]"),
        (lambda: ece().statistics([0.5, 0.6], [0, 2]), "0/1 correct"),
        (lambda: brier().statistics([0.5, 1.5], [0, 1]), r"\[0, 1\]"),
        (lambda: auroc().statistics([0.5, 0.6], [1, 1]), "0 zeros"),
        (lambda: perplexity().statistics([1.0], [0]), "not all 0"),
        (lambda: bleu().statistics(["a"], [["a", "b"]]), "one string for each"),
        (lambda: bleu(smooth_method="floor"), "smooth_method"),
        (lambda: chrf(eps_smoothing=True), "eps_smoothing"),
        (lambda: compare_corpus(np.ones((3, 2)), np.ones((4, 2)), brier()), "same examples"),
        (lambda: compare_corpus(np.ones(3), np.ones(3), brier()), "candidate must be"),
        (lambda: compare_corpus(np.ones((3, 2)), np.full((3, 2), np.nan), brier()), "baseline: values must be finite"),
        (lambda: compare_corpus(np.ones((3, 2)), np.ones((3, 2)), brier(), level=0.0), "level"),
        (lambda: compare_corpus(np.ones((3, 2)), np.ones((3, 2)), brier(), alternative="both"), "alternative"),
        (lambda: compare_corpus(np.ones((3, 2)), np.ones((3, 2)), brier(), clusters=[1]), "one label"),
    ],
)
def test_bad_input_is_named(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]


def test_macro_f1_is_compared_over_one_set_of_classes() -> None:
    """A class that only one system predicts counts for both, so that the difference is of the same average."""
    target = np.array([0, 1] * 20)
    same, stray = target.copy(), target.copy()
    stray[0] = 2
    metric = macro_f1(4)
    result = compare_corpus(*(metric.statistics(target, p) for p in (same, stray)), metric)
    assert result.candidate == pytest.approx(2 / 3)
    assert result.baseline == pytest.approx((2 * 19 / 39 + 1) / 3)
    assert metric.of(metric.statistics(target, same)) == 1.0


@pytest.mark.parametrize("seeds", [1, 3])
def test_one_sided_comparisons_have_one_limit_that_agrees_with_p(seeds: int) -> None:
    rng = np.random.default_rng(3)
    target = rng.integers(0, 2, 300)
    metric = macro_f1(2)
    sides = [
        np.stack(
            [metric.statistics(target, np.where(rng.random(300) < rate, target, 1 - target)) for _ in range(seeds)]
        )
        for rate in (0.85, 0.75)
    ]
    sides = [side[0] if seeds == 1 else side for side in sides]
    both = compare_corpus(*sides, metric, n_resamples=2_000)
    for alternative, margin in (("greater", 0.02), ("less", 0.2)):
        one = compare_corpus(*sides, metric, alternative=alternative, margin=margin, n_resamples=2_000)  # type: ignore[arg-type]
        limit, end = (one.low, one.high) if alternative == "greater" else (one.high, one.low)
        assert np.isinf(end)
        assert both.low < limit < both.high
        for step, excluded in ((-1e-3, True), (1e-3, False)):
            at = limit + step * (1 if alternative == "greater" else -1)
            p = compare_corpus(*sides, metric, alternative=alternative, margin=at, n_resamples=2_000).p_value  # type: ignore[arg-type]
            assert bool(p <= 0.05) is excluded
