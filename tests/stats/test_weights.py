"""Weighted means against matrices, statsmodels and textbook formulas of surveys."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from mlbaseline.stats import ExampleWeights, compare_paired, estimate_mean, joint_intervals, post_stratification
from mlbaseline.stats.contrast_data import contrast_data
from mlbaseline.stats.summaries import Summary, summarise
from mlbaseline.stats.variance import run_variance
from mlbaseline.stats.weights import as_weights

RNG = np.random.default_rng(0)
N = 60
VALUES, WEIGHTS = RNG.normal(size=N), RNG.lognormal(0.0, 0.7, N)
CLUSTERS = np.sort(RNG.integers(0, 12, N))
GROUPS = np.array(["a", "b", "c"])[RNG.choice(3, size=N, p=[0.6, 0.25, 0.15])]
MIX = {"a": 0.2, "b": 0.3, "c": 0.5}


def summary_of(weights: ExampleWeights | None, clusters: np.ndarray | None = None) -> Summary:
    return summarise(contrast_data(VALUES[:, None], np.ones((1, 1)), codes=clusters, weights=weights)).at((0, 0))


def by_matrices(weights: np.ndarray, design: np.ndarray, contrast: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Estimate, CR2 variance and Bell–McCaffrey degrees of freedom of a contrast of weighted least squares."""
    root = np.sqrt(weights)
    x, y = design * root[:, None], VALUES * root
    bread = np.linalg.inv(x.T @ x)
    hat, coefficients = x @ bread @ x.T, bread @ x.T @ y
    residuals, load = y - x @ coefficients, x @ bread @ contrast
    total, vectors = 0.0, []
    for c in np.unique(clusters):
        rows = clusters == c
        spectrum, basis = np.linalg.eigh(np.eye(rows.sum()) - hat[np.ix_(rows, rows)])
        adjusted = (basis @ np.diag(spectrum**-0.5) @ basis.T) @ load[rows]
        total += (adjusted @ residuals[rows]) ** 2
        vectors.append((np.eye(N) - hat)[:, rows] @ adjusted)
    df = []
    for within in (0.0, 1.0):
        omega = np.where(clusters[:, None] == clusters, within, 0.0) + (1.0 - within) * np.eye(N)
        gram = np.array(vectors) @ (omega * np.outer(root, root)) @ np.array(vectors).T
        df.append(np.trace(gram) ** 2 / np.trace(gram @ gram))
    return np.array([contrast @ coefficients, total, min(df)])


@pytest.mark.parametrize("clusters", [None, CLUSTERS], ids=["examples", "clusters"])
@pytest.mark.parametrize("strata", [False, True], ids=["weights", "mix"])
def test_variance_is_cr2_of_weighted_least_squares(strata: bool, clusters: np.ndarray | None) -> None:
    weights = post_stratification(GROUPS, MIX) if strata else as_weights(WEIGHTS, N)
    assert weights is not None
    ours = summary_of(weights, clusters)
    design = (GROUPS[:, None] == np.array(list(MIX))).astype(float) if strata else np.ones((N, 1))
    contrast = np.array(list(MIX.values())) if strata else np.ones(1)
    units = np.arange(N) if clusters is None else clusters
    expected = by_matrices(weights.values, design, contrast, units)
    assert [float(ours.mean), float(ours.variance), float(ours.df)] == pytest.approx(expected.tolist())


def test_weights_of_examples_match_statsmodels() -> None:
    fit = sm.WLS(VALUES, np.ones(N), weights=WEIGHTS).fit(cov_type="HC2")
    ours = estimate_mean(VALUES, weights=WEIGHTS)
    assert ours.value == pytest.approx(fit.params[0])
    assert float(summary_of(as_weights(WEIGHTS, N)).variance) == pytest.approx(fit.bse[0] ** 2)
    assert ours.effective_n == pytest.approx(WEIGHTS.sum() ** 2 / (WEIGHTS**2).sum())


def test_post_stratification_has_the_variance_of_a_stratified_sample() -> None:
    ours = summary_of(post_stratification(GROUPS, MIX))
    parts = {name: VALUES[name == GROUPS] for name in MIX}
    assert float(ours.mean) == pytest.approx(sum(MIX[name] * part.mean() for name, part in parts.items()))
    variance = sum(MIX[name] ** 2 * part.var(ddof=1) / len(part) for name, part in parts.items())
    assert float(ours.variance) == pytest.approx(variance)


def test_equal_weights_change_nothing() -> None:
    other = RNG.normal(size=N)
    assert compare_paired(VALUES, other, weights=np.full(N, 3.0)) == compare_paired(VALUES, other)


def test_the_unit_of_weights_does_not_matter() -> None:
    one, other = (compare_paired(VALUES, 0.0 * VALUES, weights=unit * WEIGHTS) for unit in (1.0, 250.0))
    assert (one.delta, one.low, one.p_value) == pytest.approx((other.delta, other.low, other.p_value))


def test_a_cell_of_a_joint_table_is_the_pair() -> None:
    scores = (RNG.random((N, 2)) < 0.7).astype(float)
    for weights in (WEIGHTS, post_stratification(GROUPS, MIX)):
        joint = joint_intervals(scores, [[1.0, -1.0]], slices=(GROUPS == "a")[:, None], weights=weights)
        pair = compare_paired(scores[:, 0], scores[:, 1], weights=weights)
        assert (joint.estimate[0, 0], joint.low[0, 0], joint.high[0, 0]) == pytest.approx(
            (pair.delta, pair.low, pair.high)
        )
        values = weights.values if isinstance(weights, ExampleWeights) else weights
        inside = compare_paired(*scores[GROUPS == "a"].T, weights=values[GROUPS == "a"])
        assert joint.estimate[1, 0] == pytest.approx(inside.delta)
        assert joint.low[1, 0] == pytest.approx(inside.low, abs=0.03)


def test_heavier_examples_make_a_wider_interval() -> None:
    scores = (RNG.random(400) < 0.6).astype(float)
    widths = []
    for sigma in (0.01, 0.5, 1.0):
        found = estimate_mean(scores, weights=np.random.default_rng(1).lognormal(0.0, sigma, 400))
        widths.append(found.high - found.low)
    assert widths == sorted(widths)


def test_run_variance_with_weights_recovers_what_was_drawn() -> None:
    rng, parts = np.random.default_rng(3), []
    weights = as_weights(rng.lognormal(0.0, 0.4, 80), 80)
    assert weights is not None
    for _ in range(300):
        scores = rng.normal(0, 0.3, size=(6, 1)) + rng.normal(size=80) + rng.normal(0, 0.5, size=(6, 80))
        parts.append(run_variance(scores, None, weights.values))
    design_effect = 80 / weights.effective_n
    assert np.mean([p.residual for p in parts]) == pytest.approx(0.25 * design_effect, rel=0.05)
    assert np.mean([p.between - p.residual / 80 for p in parts]) == pytest.approx(0.09, rel=0.1)


@pytest.mark.parametrize("mixed", [False, True], ids=["weights", "mix"])
def test_intervals_hold_their_level(mixed: bool) -> None:
    """The full grid: docs/statistics/calibration-paired.md."""
    rng, held = np.random.default_rng(7), []
    for _ in range(400):
        heavy = rng.random(200) < 0.3
        candidate, baseline = (rng.random(200) < np.where(heavy, 0.5, p) for p in (0.9, 0.8))
        mix = post_stratification(heavy, {"True": 0.6, "False": 0.4})
        weights = mix if mixed else np.where(heavy, 2.0, 4 / 7)
        found = compare_paired(candidate.astype(float), baseline.astype(float), weights=weights)
        held.append(found.low <= 0.04 <= found.high)
    assert 0.92 <= np.mean(held) <= 0.985


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(N - 1), "one for each of the 60"),
        (np.where(np.arange(N) == 3, 0.0, 1.0), "above 0"),
        (np.where(np.arange(N) == 3, np.nan, 1.0), "finite"),
        (post_stratification(np.where(np.arange(N) == 3, "one", "many"), {"one": 0.5, "many": 0.5}), "two independent"),
    ],
)
def test_weights_that_cannot_be(weights: np.ndarray | ExampleWeights, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare_paired(VALUES, 0.0 * VALUES, weights=weights)


@pytest.mark.parametrize("mix", [{"a": 0.5, "b": 0.5}, {**MIX, "d": 0.1}, {"a": 0.5, "b": 0.5, "c": 0.5}])
def test_a_mix_that_cannot_be(mix: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="mix: expected"):
        post_stratification(GROUPS, mix)


def test_methods_that_count_examples_are_refused() -> None:
    for method in ("score", "bootstrap_t"):
        with pytest.raises(ValueError, match="weights"):
            compare_paired(VALUES > 0, VALUES > 1, weights=WEIGHTS, method=method)  # type: ignore[arg-type]
