"""Intervals stay within what a metric can be."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given as for_all
from hypothesis import strategies as st

from mlbaseline.metrics import METRICS
from mlbaseline.records import Assessment, Estimate
from mlbaseline.report import render_markdown
from mlbaseline.report.bounds import clip_intervals
from tests.support.comparisons import assessments as given

NUMBERS = st.floats(allow_nan=False, width=32)


def with_estimate(metric: str, low: float, high: float) -> Assessment:
    base = given.promote()
    estimate = Estimate(0.5, low, high, 0.95, 3, 3, 2, "t")
    return replace(base, standings=(replace(base.standings[0], metrics={metric: estimate}),))


@for_all(st.sampled_from(sorted(METRICS)), NUMBERS, NUMBERS)
def test_a_finite_bound_is_cut_to_the_metrics_own(metric: str, low: float, high: float) -> None:
    (standing,) = clip_intervals(with_estimate(metric, low, high)).standings
    for before, after in ((low, standing.metrics[metric].low), (high, standing.metrics[metric].high)):
        if math.isinf(before):
            assert after == before
        else:
            assert METRICS[metric].lowest <= after <= METRICS[metric].highest


def test_what_is_not_known_stays_so() -> None:
    estimate = clip_intervals(with_estimate("accuracy", math.nan, math.inf)).standings[0].metrics["accuracy"]
    assert math.isnan(estimate.low)
    assert estimate.high == math.inf


def test_differences_reach_from_worst_to_best_at_most() -> None:
    row = given.comparison("lora", "zero_shot", low=-0.408, high=1.198, simultaneous_low=-1.7, simultaneous_high=1.9)
    clipped = clip_intervals(replace(given.promote(), comparisons=(row,))).comparisons[0]
    assert (clipped.low, clipped.high, clipped.simultaneous_low, clipped.simultaneous_high) == (-0.408, 1, -1, 1)
    assert (clipped.delta, clipped.p_value, clipped.outcome) == (row.delta, row.p_value, row.outcome)


def test_likelihoods_have_no_upper_bound() -> None:
    row = given.comparison("lora", "zero_shot", metric="nll_nats", low=-9.0, high=12.0)
    assert clip_intervals(replace(given.promote(), comparisons=(row,))).comparisons[0].high == 12


def test_the_report_shows_no_accuracy_above_one() -> None:
    text = render_markdown(with_estimate("accuracy", -0.181, 1.205))
    assert "0.00, 1.00" in text or "0.000, 1.000" in text
    assert "1.205" not in text
