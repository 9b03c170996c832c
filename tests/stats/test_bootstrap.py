"""The engines against scipy, against each other, and against arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mlbaseline.stats.bootstrap import (
    _POISSON_TABLE,
    bootstrap_distribution,
    choose_engine,
    collapse_rows,
    draw_weights,
)

ENGINES = ("collapse", "gemm", "normal", "multiplier")


def few_levels(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.random(n) < 0.7, rng.integers(0, 4, n), rng.random(n) < 0.05]).astype(float)


def test_percentiles_agree_with_scipy() -> None:
    values = np.random.default_rng(1).exponential(size=(400, 1))
    ours = np.quantile(
        bootstrap_distribution(values, n_resamples=20_000, rng=np.random.default_rng(2)), [0.025, 0.5, 0.975]
    )
    theirs = stats.bootstrap(
        (values[:, 0],), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(3)
    )
    quantiles = np.quantile(theirs.bootstrap_distribution, [0.025, 0.5, 0.975])
    np.testing.assert_allclose(ours, quantiles, atol=4 * theirs.standard_error / np.sqrt(20_000 * 0.025))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("clustered", [False, True])
def test_every_engine_has_the_bootstraps_mean_and_covariance(engine: str, clustered: bool) -> None:
    values = few_levels(1_500)
    clusters = np.arange(1_500) // 3 if clustered else None
    draws = bootstrap_distribution(
        values, n_resamples=20_000, clusters=clusters, rng=np.random.default_rng(5), engine=engine
    )
    rows = values - values.mean(axis=0)
    if clustered:
        rows = rows.reshape(500, 3, -1).sum(axis=1)
    expected = rows.T @ rows / 1_500**2
    scale = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(draws.mean(axis=0), values.mean(axis=0), atol=0.04 * scale.max())
    np.testing.assert_allclose(np.cov(draws.T) / np.outer(scale, scale), expected / np.outer(scale, scale), atol=0.05)


def test_poisson_counts_are_the_multinomial_ones_to_monte_carlo_error() -> None:
    """The collapse engine past 64 patterns against the plain multinomial: the same quantiles of a skewed column."""
    rng = np.random.default_rng(0)
    levels = rng.exponential(size=100)
    values = np.repeat(levels, 40)[:, None]
    poisson = bootstrap_distribution(values, n_resamples=40_000, rng=np.random.default_rng(1))
    counts = np.random.default_rng(2).multinomial(4_000, np.full(100, 0.01), size=40_000)
    at = [0.001, 0.025, 0.5, 0.975, 0.999]
    spread = values.std() / np.sqrt(4_000)
    difference = np.quantile(poisson, at) - np.quantile(counts @ levels / 4_000, at)
    assert np.abs(difference / spread).max() < 0.12
    assert abs(np.abs(difference[1:4] / spread).max()) < 0.05


def test_looked_up_weights_are_poisson() -> None:
    assert _POISSON_TABLE.size == 65_536
    assert _POISSON_TABLE.mean() == 1.0
    assert _POISSON_TABLE.astype(float).var() == 1.0
    shares = np.bincount(_POISSON_TABLE.astype(int)) / 65_536
    np.testing.assert_allclose(shares, stats.poisson.pmf(np.arange(9), 1), atol=3e-5)


@pytest.mark.parametrize("n_units", [7, 999])
def test_small_samples_get_exactly_n_draws(n_units: int) -> None:
    weights = draw_weights(n_units, 50, np.random.default_rng(0))
    assert (weights.sum(axis=1) == n_units).all()


def test_columns_share_their_weights() -> None:
    column = np.random.default_rng(0).normal(size=(2_000, 1))
    for engine in ("gemm", "normal", "multiplier"):
        draws = bootstrap_distribution(
            np.hstack([column, 3 * column + 1, -column]), n_resamples=200, rng=np.random.default_rng(1), engine=engine
        )
        np.testing.assert_allclose(draws[:, 1], 3 * draws[:, 0] + 1, atol=2e-3 * column.std())
        np.testing.assert_allclose(draws[:, 2], -draws[:, 0], atol=1e-3 * column.std())


def test_counts_stay_exact_in_the_matrix_product() -> None:
    """A resample without any of the rare events has a mean of exactly 0, as smoothed BLEU must see."""
    values = np.zeros((5_000, 2))
    values[:2, 0] = 1.0
    values[:, 1] = np.arange(5_000) % 97
    draws = bootstrap_distribution(values, n_resamples=400, rng=np.random.default_rng(0), engine="gemm")
    assert (draws[:, 0] == 0).mean() == pytest.approx(np.exp(-2), abs=0.08)
    assert (draws[:, 0] >= 0).all()


def test_rows_in_order_do_not_inflate_the_bins() -> None:
    values = np.sort(np.random.default_rng(0).normal(size=50_000))[:, None]
    draws = bootstrap_distribution(values, n_resamples=4_000, rng=np.random.default_rng(1), engine="multiplier")
    assert draws.std() == pytest.approx(values.std() / np.sqrt(50_000), rel=0.04)


def test_engine_follows_the_shape() -> None:
    assert choose_engine(100_000, 450, 10_000) == "gemm"
    assert choose_engine(1_000_000, 10, 10_000) == "normal"
    assert choose_engine(1_000_000, 450, 10_000) == "multiplier"


@given(st.integers(1, 60), st.integers(1, 4), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_collapsed_rows_are_the_rows(n: int, k: int, seed: int) -> None:
    rows = np.random.default_rng(seed).integers(-1, 2, size=(n, k)).astype(float)
    collapsed = collapse_rows(rows, limit=n)
    distinct, counts = np.unique(rows, axis=0, return_counts=True)
    if collapsed is None:
        assert len(distinct) > max(2, n // 2)
        return
    order = np.lexsort(collapsed[0].T[::-1])
    np.testing.assert_array_equal(collapsed[0][order], distinct)
    np.testing.assert_array_equal(collapsed[1][order], counts)


def test_collapse_gives_up_on_scores_that_hardly_repeat() -> None:
    assert collapse_rows(np.random.default_rng(0).normal(size=(5_000, 2)), limit=300) is None
    with pytest.raises(ValueError, match="hardly repeat"):
        bootstrap_distribution(np.random.default_rng(0).normal(size=(5_000, 1)), n_resamples=10, engine="collapse")


@pytest.mark.parametrize("value", [0.0, 0.3, -2.0])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_constant_stays_itself(value: float, engine: str) -> None:
    draws = bootstrap_distribution(np.full((30, 2), value), n_resamples=50, rng=np.random.default_rng(0), engine=engine)
    np.testing.assert_allclose(draws, value, atol=1e-6)


def test_duplicating_within_clusters_changes_nothing() -> None:
    values = np.random.default_rng(0).normal(size=(80, 2))
    single = bootstrap_distribution(values, n_resamples=500, rng=np.random.default_rng(1))
    labels = np.repeat([f"passage {i}" for i in range(80)], 3)
    order = np.random.default_rng(2).permutation(240)
    copied = bootstrap_distribution(
        np.repeat(values, 3, axis=0)[order], clusters=labels[order], n_resamples=500, rng=np.random.default_rng(1)
    )
    np.testing.assert_allclose(np.sort(copied.std(axis=0)), np.sort(single.std(axis=0)), rtol=0.12)
    one = bootstrap_distribution(values, clusters=np.zeros(80), n_resamples=5, rng=np.random.default_rng(1))
    np.testing.assert_allclose(one, np.tile(values.mean(axis=0), (5, 1)), atol=1e-6)


@pytest.mark.parametrize(
    ("values", "clusters", "message"),
    [
        (np.empty((0, 2)), None, "at least one row"),
        (np.zeros(5), None, "at least one row"),
        (np.array([[1.0], [np.nan]]), None, r"column\(s\) \[0\]"),
        (np.array([[1.0, 2.0], [0.0, np.inf]]), None, r"column\(s\) \[1\]"),
        (np.zeros((3, 1)), [1, 2], r"shape \(3,\)"),
        (np.zeros((2, 1)), [1.0, np.nan], "NaN"),
    ],
)
def test_bad_input_is_named(values: np.ndarray, clusters: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap_distribution(values, n_resamples=10, clusters=clusters)  # type: ignore[arg-type]
