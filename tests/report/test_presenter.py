from __future__ import annotations

import math
from dataclasses import replace

import pytest

from mlbaseline.records import Comparison
from mlbaseline.report.presenter import Presenter, listed
from tests.support.comparisons import assessments as given
from tests.support.comparisons import odd_assessments as odd


def nll(delta: float, half: float = 0.05, **changes: object) -> Comparison:
    row = given.comparison("lora", "zero_shot", metric="nll_nats", delta=delta, low=delta - half, high=delta + half)
    return replace(row, **changes)  # type: ignore[arg-type]


presenter = Presenter(given.promote())


def test_better_follows_the_metrics_own_direction() -> None:
    assert presenter.reading(nll(-0.4)) == "better"
    assert presenter.reading(nll(+0.4)) == "worse"
    assert presenter.reading(given.comparison("lora", "zero_shot")) == "better"
    assert presenter.metric("nll_nats") == "nll_nats ↓"
    assert presenter.metric("accuracy") == "accuracy ↑"


def test_what_the_adjusted_p_value_leaves_open_is_open_however_the_pointwise_interval_lies() -> None:
    assert presenter.reading(nll(-0.4, p_adjusted=0.06)) == "open"
    assert presenter.reading(nll(-0.4, p_adjusted=0.05)) == "better"


def test_without_an_adjusted_p_value_the_interval_decides() -> None:
    assert presenter.reading(nll(-0.4, p_adjusted=math.nan)) == "better"
    assert presenter.reading(nll(-0.04, p_adjusted=math.nan)) == "open"
    assert presenter.reading(nll(math.nan, p_adjusted=math.nan)) == "open"


def test_a_margin_says_what_the_delta_must_do() -> None:
    assert presenter.margin(given.comparison("lora", "zero_shot", margin=-0.03)) == "Δ > −0.030"
    assert presenter.margin(given.comparison("lora", "zero_shot", margin=0.0)) == "Δ > 0"
    assert presenter.margin(nll(-0.4, margin=-0.05)) == "Δ < +0.050"
    assert presenter.margin(given.comparison("lora", "zero_shot", margin=0.0125)) == "Δ > +0.0125"
    assert presenter.margin(given.comparison("lora", "zero_shot", margin=None)) == "—"


def test_a_narrow_interval_keeps_a_digit_of_its_own() -> None:
    row = given.comparison("lora", "full", half=0.00004, delta=0.00123)
    row = replace(row, low=0.00119, high=0.00127)
    assert presenter.delta_text(row) == "+0.00123 [+0.00119, +0.00127]"
    assert presenter.delta_text(given.comparison("lora", "zero_shot")) == "+0.217 [+0.146, +0.288]"


def test_no_difference_is_detectable_where_it_would_have_to_exceed_the_metric() -> None:
    row = given.comparison("lora", "zero_shot")
    assert presenter.detectable(replace(row, mde=0.101)) == "0.101"
    assert presenter.detectable(replace(row, mde=1.4)) == "none"
    assert presenter.detectable(nll(-0.4, mde=1.4)) == "1.400"  # nats have no upper limit
    assert presenter.detectable(replace(row, mde=math.nan)) == "—"


def test_another_level_than_the_assessments_is_named() -> None:
    assert presenter.delta(given.comparison("lora", "full", level=0.9)).detail.endswith("] (90%)")


def test_the_leading_metric_is_the_first_primary_contrasts() -> None:
    assert presenter.metrics[0] == "accuracy"
    row = given.comparison("lora", "full", metric="ece")
    assert Presenter(replace(given.promote(), comparisons=(row,))).metrics[0] == "ece"
    assert Presenter(odd.empty()).metrics == ()


def test_a_slice_that_was_guarded_and_explored_appears_once_as_what_decides() -> None:
    rows = [
        row for row in presenter.sliced if (row.candidate, row.slice, row.slice_value) == ("lora", "topic", "apple")
    ]
    assert [row.role for row in rows] == ["guardrail"]


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ((), ""),
        (("a",), "a"),
        (("a", "b", "c"), "a, b and c"),
        (tuple("abcdefghij"), "a, b, c, d, e, f, g, h and 2 more"),
    ],
)
def test_lists_of_names(names: tuple[str, ...], text: str) -> None:
    assert listed(names) == text
