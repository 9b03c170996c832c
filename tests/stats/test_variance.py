"""Variances against brute force and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from mlbaseline.stats.contrast_data import contrast_data
from mlbaseline.stats.summaries import Summary, summarise
from mlbaseline.stats.variance import Clusters, run_variance, seed_variance


def summary_of(values: np.ndarray, labels: np.ndarray | None) -> Summary:
    codes = None if labels is None else Clusters.of(labels).codes
    return summarise(contrast_data(values[:, None], np.ones((1, 1)), codes=codes)).at((0, 0))


def test_clustered_variance_is_cr2_and_its_degrees_of_freedom_bell_mccaffreys() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(7), [1, 2, 3, 5, 8, 13, 21])
    values = rng.normal(size=len(labels))
    ours = summary_of(values, labels)
    n = len(labels)
    residuals, x = values - values.mean(), np.ones((n, 1))
    hat = x @ x.T / n
    pieces, vectors = 0.0, []
    for c in range(7):
        rows = labels == c
        values_h, vectors_h = np.linalg.eigh(np.eye(rows.sum()) - hat[np.ix_(rows, rows)])
        adjust = vectors_h @ np.diag(values_h**-0.5) @ vectors_h.T
        pieces += (x[rows, 0] @ adjust @ residuals[rows]) ** 2
        vectors.append((np.eye(n) - hat)[:, rows] @ adjust @ x[rows, 0])
    assert ours.variance == pytest.approx(pieces / n**2)
    df = []
    for within in (0.0, 1.0):
        omega = np.where(labels[:, None] == labels, within, 0.0) + (1.0 - within) * np.eye(n)
        gram = np.array(vectors) @ omega @ np.array(vectors).T
        df.append(np.trace(gram) ** 2 / np.trace(gram @ gram))
    assert ours.df == pytest.approx(min(df))
    assert ours.df < 6.0


def test_equal_clusters_match_statsmodels() -> None:
    rng = np.random.default_rng(1)
    values, labels = rng.normal(size=60), np.repeat(np.arange(12), 5)
    fit = sm.OLS(values, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": labels, "use_correction": False})
    ours = summary_of(values, labels)
    assert ours.variance == pytest.approx(12 / 11 * float(fit.cov_params()[0, 0]))
    assert ours.df == pytest.approx(11.0)


def test_design_effect_of_full_dependence_is_the_cluster_size() -> None:
    values = np.repeat(np.random.default_rng(2).normal(size=200), 4)
    assert float(summary_of(values, np.repeat(np.arange(200), 4)).together) == pytest.approx(4, rel=0.02)


def test_run_variance_recovers_what_was_drawn() -> None:
    rng = np.random.default_rng(3)
    parts = []
    for _ in range(300):
        scores = rng.normal(0, 0.3, size=(6, 1)) + rng.normal(size=80) + rng.normal(0, 0.5, size=(6, 80))
        parts.append(run_variance(scores, None))
    assert np.mean([p.residual for p in parts]) == pytest.approx(0.25, rel=0.03)
    assert np.mean([p.between - p.residual / 80 for p in parts]) == pytest.approx(0.09, rel=0.1)


def test_clusters_of_one_change_nothing() -> None:
    scores = np.random.default_rng(4).normal(size=(3, 20))
    alone = Clusters.of(np.arange(20))
    plain, clustered = seed_variance([scores], None), seed_variance([scores], alone)
    assert plain is not None
    assert clustered is not None
    assert float(plain.residual) == pytest.approx(float(clustered.residual))
    ours = summary_of(scores[0], np.arange(20))
    assert ours.variance == pytest.approx(summary_of(scores[0], None).variance)
    assert ours.df == pytest.approx(19.0)


def test_checkpoints_have_no_seed_variance() -> None:
    assert seed_variance([np.ones((1, 5)), np.ones((1, 5))], None) is None


def test_loud_seeds_are_not_vouched_for_by_quiet_ones() -> None:
    rng = np.random.default_rng(5)
    loud, quiet = rng.normal(size=(2, 30)), rng.normal(size=(12, 30))
    joint = seed_variance([loud, quiet], None)
    assert joint is not None
    assert 1.0 <= float(joint.df) <= 2.0
