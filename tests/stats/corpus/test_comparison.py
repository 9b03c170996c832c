"""Corpus metrics against scikit-learn and sacreBLEU, and their comparison against what must hold."""

from __future__ import annotations

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sklearn import metrics as sklearn_metrics

from mlbaseline.stats.corpus.classification import auroc, macro_f1, mcc, micro_f1
from mlbaseline.stats.corpus.comparison import compare_corpus
from mlbaseline.stats.corpus.interval import corpus_interval
from mlbaseline.stats.corpus.metric import CorpusMetric
from mlbaseline.stats.corpus.probabilities import brier, ece, perplexity, squared_calibration_error
from mlbaseline.stats.corpus.text import bleu, chrf
from tests.stats.simultaneous.calibration_joint import draw_corpus, simulate_corpus, simulate_recipe

NAMES = ("macro_f1", "mcc", "auroc", "ece", "brier", "perplexity")
CLUSTERED = pytest.mark.parametrize("clustered", [False, True])


def labels(n: int, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, k, n)
    return target, np.where(rng.random(n) < 0.6, target, rng.integers(0, k, n))


def sentences(n: int, seed: int, length: int = 12) -> tuple[list[str], list[str], list[str]]:
    """Two hypotheses of different quality and a reference."""
    rng = np.random.default_rng(seed)
    words = np.array("the cat sat on a mat and saw some dogs run off, far away. It rained".split())  # noqa: SIM905
    reference = words[rng.integers(0, len(words), size=(n, length))]

    def noisy(share: float) -> list[str]:
        changed = np.where(rng.random(reference.shape) < share, words[rng.integers(0, 15, reference.shape)], reference)
        return [" ".join(row[: rng.integers(length // 2, length + 1)]) for row in changed]

    return noisy(0.2), noisy(0.35), [" ".join(row) for row in reference]


@given(st.integers(1, 80), st.integers(2, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning", "ignore::UserWarning")
def test_classification_metrics_are_scikit_learns(n: int, k: int, seed: int) -> None:
    target, prediction = labels(n, k, seed)
    for metric, expected in (
        (macro_f1(k), sklearn_metrics.f1_score(target, prediction, average="macro", zero_division=0)),
        (micro_f1(k), sklearn_metrics.f1_score(target, prediction, average="micro", zero_division=0)),
        (mcc(k), sklearn_metrics.matthews_corrcoef(target, prediction)),
    ):
        assert metric.of(metric.statistics(target, prediction)) == pytest.approx(expected, abs=1e-12)


def test_answers_that_are_no_class_count_against_recall_only() -> None:
    target, prediction = np.array([0, 0, 1, 1]), np.array([0, -1, 1, 1])
    one = macro_f1(2)
    assert one.of(one.statistics(target, prediction)) == pytest.approx((2 / 3 + 1) / 2)
    assert micro_f1(2).of(one.statistics(target, prediction)) == pytest.approx(2 * 3 / 7)
    assert mcc(2).of(one.statistics(target, prediction)) == pytest.approx(
        sklearn_metrics.matthews_corrcoef(target, np.where(prediction < 0, 2, prediction))
    )


def test_auroc_is_scikit_learns_with_ties() -> None:
    rng = np.random.default_rng(0)
    target = (rng.random(300) < 0.4).astype(int)
    score = np.round(rng.normal(size=300) + target, 1)
    metric = auroc()
    assert metric.of(metric.statistics(score, target)) == pytest.approx(sklearn_metrics.roc_auc_score(target, score))


def test_the_projection_of_auroc_follows_its_recomputation() -> None:
    """On real resamples the projected area differs from the recomputed one far less than the areas vary."""
    rng = np.random.default_rng(0)
    target = (rng.random(400) < 0.3).astype(int)
    score = rng.normal(size=400) + target
    rows = auroc().statistics(score, target)
    picks = rng.integers(0, 400, size=(300, 400))
    exact = np.array([sklearn_metrics.roc_auc_score(target[p], score[p]) for p in picks])
    projected = auroc().from_totals(rows[picks].sum(axis=1))
    assert (projected - exact).std() < 0.08 * exact.std()
    assert projected.std() == pytest.approx(exact.std(), rel=0.02)


def test_brier_and_ece_and_perplexity() -> None:
    rng = np.random.default_rng(0)
    p, target = rng.random(200), rng.integers(0, 2, 200)
    metric = brier()
    assert metric.of(metric.statistics(p, target)) == pytest.approx(sklearn_metrics.brier_score_loss(target, p))
    table = np.column_stack([1 - p, p])
    assert metric.of(metric.statistics(table, target)) == pytest.approx(2 * sklearn_metrics.brier_score_loss(target, p))

    confidence, correct = np.array([0.0, 0.1, 0.15, 0.95, 1.0, 0.9]), np.array([0, 1, 0, 1, 1, 0])
    # Ten bins, closed above: {0, .1}, {.15}, {.95, 1}, {.9}.
    expected = (abs(1 - 0.1) + abs(0 - 0.15) + abs(2 - 1.95) + abs(0 - 0.9)) / 6
    assert ece(10).of(ece(10).statistics(confidence, correct)) == pytest.approx(expected)

    nats, tokens = np.array([3.0, 8.0]), np.array([2, 6])
    assert perplexity().of(perplexity().statistics(nats, tokens)) == pytest.approx(np.exp(11 / 8))


@pytest.mark.parametrize("n", [1, 3, 60])
@pytest.mark.parametrize("length", [3, 12])
def test_text_metrics_are_sacrebleus(n: int, length: int) -> None:
    first, second, reference = sentences(n, seed=n, length=length)
    for hypothesis in (first, second, ["zzz"] * n, [""] * n):
        for metric, expected in (
            (bleu(), sacrebleu.corpus_bleu(hypothesis, [reference])),
            (bleu(smooth_method="none"), sacrebleu.corpus_bleu(hypothesis, [reference], smooth_method="none")),
            (chrf(), sacrebleu.corpus_chrf(hypothesis, [reference])),
            (chrf(word_order=2), sacrebleu.corpus_chrf(hypothesis, [reference], word_order=2)),
        ):
            assert metric.of(metric.statistics(hypothesis, [reference])) == pytest.approx(expected.score, abs=1e-9)


def test_resampled_bleu_is_sacrebleus_on_the_same_totals() -> None:
    """Also where a resample misses an n-gram order, and smoothing steps in."""
    hypothesis, _, reference = sentences(8, seed=1, length=5)
    metric, scorer = bleu(), BLEU()
    rows = metric.statistics(hypothesis, [reference])
    totals = rows[np.random.default_rng(0).integers(0, 8, size=(200, 8))].sum(axis=1)
    assert (totals[:, 2:6] == 0).any()
    expected = [scorer._compute_score_from_stats(total.astype(int).tolist()).score for total in totals]
    np.testing.assert_allclose(metric.from_totals(totals), expected, atol=1e-9)


def test_bleu_spread_is_that_of_sacrebleus_own_resampling() -> None:
    first, _, reference = sentences(200, seed=3)
    theirs = BLEU().corpus_score(first, [reference], n_bootstrap=2_000)
    metric = bleu()
    ours = corpus_interval(metric.statistics(first, [reference]), metric)
    assert ours.value == pytest.approx(theirs.score)
    assert (ours.high - ours.low) / 2 == pytest.approx(theirs._ci, rel=0.08)


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


@pytest.mark.parametrize(
    ("name", "n", "cluster_size"),
    [
        ("macro_f1", 80, 1),
        ("macro_f1 sparse", 100, 1),
        ("mcc", 100, 1),
        ("auroc", 100, 1),
        ("ece", 100, 1),
        ("mcc", 80, 4),
    ],
)
def test_coverage_and_size(name: str, n: int, cluster_size: int) -> None:
    found = simulate_corpus(name, n, n_tables=300, cluster_size=cluster_size, seed=5)
    assert found.coverage >= 0.95 - 2.5 * np.sqrt(0.05 * 0.95 / 300)
    assert found.size <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 300)


def test_recipe_coverage_counts_the_seeds() -> None:
    found = simulate_recipe(n_seeds=3, seed_spread=0.04, n_tables=200, seed=5)
    assert found.coverage >= 0.90
    assert found.examples_only < 0.85


@pytest.mark.parametrize("n", [100, 300])
def test_debiased_calibration_error_covers_where_the_plug_in_does_not(n: int) -> None:
    """One model overconfident by 0.1, one calibrated: the plug-in covers 0.60 to 0.70."""
    rng, metric = np.random.default_rng(0), ece()
    debiased = metric.compared_by(np.empty(0))  # type: ignore[misc]

    def draw(size: int) -> list[np.ndarray]:
        rates = rng.beta(5, 2, (2, size))
        correct = (rng.random((2, size)) < rates).astype(float)
        return [metric.statistics(np.clip(rates[i] + 0.1 * (1 - i), 0, 1), correct[i]) for i in range(2)]

    large = draw(400_000)
    truth = debiased.of(large[0]) - debiased.of(large[1])
    results = [compare_corpus(*draw(n), metric, n_resamples=500, rng=rng) for _ in range(120)]
    assert np.mean([result.low <= truth <= result.high for result in results]) >= 0.93
    assert results[0].metric == "squared_calibration_error"


def test_debiased_calibration_error_is_unbiased() -> None:
    rng, metric = np.random.default_rng(1), squared_calibration_error(5)
    values = []
    for _ in range(2_000):
        confidence = rng.random(40)
        values.append(metric.of(metric.statistics(confidence, (rng.random(40) < confidence).astype(float))))
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(2_000)
    # By hand: one bin with gaps 0.5 and −0.5, another with 0.2 and 0.2.
    rows = squared_calibration_error(2).statistics([0.5, 0.5, 0.8, 0.8], [1, 0, 1, 1])
    assert squared_calibration_error(2).of(rows) == pytest.approx(((0.0 - 0.5) / 1 + (0.16 - 0.08) / 1) / 4)


@pytest.mark.parametrize(
    ("name", "n"), [("macro_f1 rare", 150), ("auroc few", 100), ("auroc few", 500), ("perplexity", 100)]
)
def test_intervals_of_one_system_cover(name: str, n: int) -> None:
    """By a symmetric bootstrap: 0.83 for rare classes, 0.71 to 0.76 for ten positives, 0.92 for skewed lengths."""
    rng = np.random.default_rng(2)

    def draw(size: int) -> tuple[CorpusMetric, np.ndarray]:
        if name == "macro_f1 rare":
            shares = np.array([0.03, 0.05, 0.12, 0.3, 0.5])
            target, guess = (rng.choice(5, size=size, p=shares) for _ in range(2))
            return macro_f1(5), macro_f1(5).statistics(target, np.where(rng.random(size) < 0.95, target, guess))
        if name == "auroc few":
            target = (np.arange(size) < (10 if size < 10_000 else size / 10)).astype(int)
            return auroc(), auroc().statistics(rng.normal(size=size) + 2.5 * target, target)
        tokens = np.ceil(rng.lognormal(3, 1, size))
        loss = np.maximum(0.2, 2 + 0.8 * rng.normal(size=size) + 0.3 * np.log(tokens / 20))
        return perplexity(), perplexity().statistics(loss * tokens, tokens)

    metric, large = draw(400_000)
    truth, covered = metric.of(large), []
    for _ in range(200):
        metric, rows = draw(n)
        result = corpus_interval(rows, metric)
        covered.append(result.low <= truth <= result.high)
    assert np.mean(covered) >= 0.93 - 1.5 * np.sqrt(0.07 * 0.93 / 200)


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
