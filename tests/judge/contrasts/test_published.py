"""Published scores stand beside the candidates: unpaired, with the error that is known of them, deciding nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlbaseline.judge.assessment import assess
from mlbaseline.judge.contrasts.published import bounding_n
from mlbaseline.judge.ladder import build_ladder
from mlbaseline.metrics import add_scores
from mlbaseline.records import Assessment, PublishedScore
from mlbaseline.stats import compare_corpus, compare_published, macro_f1
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import parse_suite
from tests.support.comparisons.judged import LABELS, REGISTRATION, evaluation, table, task_data
from tests.support.ladders.suites import ONE_KIND, yes_no_suite

N = 200
DATA = task_data(N)
RIGHT = np.arange(N) % 5 > 0
PAPER = PublishedScore("paper", "accuracy", 0.75, 1000, None, "a paper", None, None, "run")

SUITE = yes_no_suite(
    """
metrics: [accuracy, macro_f1, nll_nats]
baselines:
  a: {kind: trivial, strategy: uniform}
  b: {kind: trivial, strategy: uniform}
  paper: {kind: external, metric: accuracy, value: 0.75, n: 1000, source: a paper}
matrix:
  primary: [{candidate: b, over: [a]}]
"""
    + ONE_KIND,
    n=N,
)


def suite() -> Suite:
    return parse_suite(SUITE, root=Path())


def assessed(*published: PublishedScore) -> Assessment:
    tables = [table(DATA, np.arange(N) % 2 > 0), table(DATA, RIGHT, baseline="b")]
    ladder = build_ladder(suite(), [evaluation(add_scores(t, LABELS, suite().metrics)) for t in tables])
    return assess(ladder, REGISTRATION, {}, {}, published=published)


def test_a_candidate_is_compared_unpaired_with_the_published_scores_own_error() -> None:
    (row,) = assessed(PAPER).unpaired
    expected = compare_published(RIGHT.astype(float), 0.75, n=1000)
    assert (row.candidate, row.published, row.metric, row.n) == ("b", "paper", "accuracy", N)
    assert (row.delta, row.low, row.high) == (expected.delta, expected.low, expected.high)
    assert row.candidate_mean == 0.8


def test_the_standard_error_says_more_than_n() -> None:
    wide, narrow, exact = (
        assessed(replace(PAPER, n=n, standard_error=error)).unpaired[0]
        for n, error in ((1000, 0.1), (1000, None), (None, None))
    )
    assert wide.high - wide.low > narrow.high - narrow.low > exact.high - exact.low
    assert "taken as exact" in exact.reason


def test_a_corpus_metric_by_its_linear_terms() -> None:
    (row,) = assessed(replace(PAPER, metric="macro_f1", n=None)).unpaired
    assert row.candidate_mean == pytest.approx(0.8, abs=0.02)
    metric = macro_f1(2)
    position = {"no": 0, "yes": 1}
    target = np.array([position[e.target] for e in DATA.examples])
    said = np.where(RIGHT, target, 1 - target)
    ours = metric.statistics(target, said)
    average = np.broadcast_to(ours.mean(axis=0), ours.shape)  # a system without variance of its own
    against = compare_corpus(ours, average, metric, rng=np.random.default_rng(0))
    assert row.high - row.low == pytest.approx(against.high - against.low, rel=0.1)


def test_n_bounds_no_error_where_scores_are_no_shares() -> None:
    (row,) = assessed(replace(PAPER, metric="nll_nats", value=0.5)).unpaired
    assert "taken as exact" in row.reason


@pytest.mark.parametrize(
    ("metric", "value", "n"),
    [
        ("accuracy", 0.6, 1000),
        ("exact_match", 0.6, 1000),
        ("token_f1", 0.6, 1000),
        ("brier", 0.6, None),
        ("nll_nats", 0.6, None),
        ("macro_f1", 0.6, None),
        ("exact_match", 61.0, None),
    ],
)
def test_n_counts_for_every_mean_of_scores_from_0_to_1(metric: str, value: float, n: int | None) -> None:
    assert bounding_n(replace(PAPER, metric=metric, value=value)) == n


def test_it_decides_nothing() -> None:
    with_it, without = assessed(replace(PAPER, value=1.0, n=10**6)), assessed()
    assert with_it.unpaired[0].high < 0
    assert with_it.verdict == without.verdict
    assert with_it.comparisons == without.comparisons
    assert with_it.verdict.decision == "promote"
