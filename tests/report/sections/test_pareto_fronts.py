"""The fronts as plots and cells: who is on one, how sure that is, and who is left out and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlbaseline.records import Assessment, Front
from mlbaseline.report.plots.render import render_plot
from mlbaseline.report.plots.tradeoff_plot import TradeoffPlot
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.sections.pareto_fronts import front_cell, front_columns, tradeoff_plots
from mlbaseline.report.view import Cell
from tests.support.comparisons import assessments as given
from tests.support.comparisons import odd_assessments as odd


def cost_plot(assessment: Assessment) -> TradeoffPlot:
    (plot,) = tradeoff_plots(Presenter(assessment), money=True)
    return plot


def front_of(assessment: Assessment, axis: str = "usd_per_query") -> Front:
    return next(front for front in assessment.fronts if front.axis == axis)


def test_points_stand_at_their_cost_with_both_intervals() -> None:
    plot = cost_plot(given.promote())
    lora = next(point for point in plot.points if point.name == "lora")
    assert (plot.name, plot.x_axis) == ("pareto", "USD per 1M queries")
    assert (lora.x, lora.x_low, lora.x_high) == pytest.approx((1.71, 1.539, 1.9665))
    assert (lora.y, lora.low, lora.high) == pytest.approx((0.607, 0.551, 0.663))
    assert [point.name for point in plot.points if point.front] == ["keyword", "full"]


def test_the_caption_names_the_front_the_unsure_and_the_unpriced() -> None:
    caption = cost_plot(given.promote()).caption
    assert caption.startswith("On the front, by the estimates: keyword and full.")
    assert "resampled: majority (12%), uniform (12%)" in caption
    assert "Without a price, so outside the front: annotator." in caption


def test_latency_and_memory_say_what_they_were_measured_on_and_money_does_not() -> None:
    latency, memory, parameters = tradeoff_plots(Presenter(given.promote()), money=False)
    assert [plot.name for plot in (latency, memory, parameters)] == [
        "pareto-latency", "pareto-memory", "pareto-parameters",
    ]  # fmt: skip
    assert latency.caption.endswith("All on AMD EPYC 7R13.")
    assert "EPYC" not in parameters.caption + cost_plot(given.promote()).caption
    lora = next(point for point in latency.points if point.name == "lora")
    assert (lora.x, lora.x_low, lora.x_high) == (pytest.approx(127.0), pytest.approx(101.6), None)


def test_the_front_of_a_metric_where_lower_is_better() -> None:
    base = given.promote()
    primary = replace(base.comparisons[0], metric="nll_nats")
    plot = cost_plot(given.fronted(replace(base, comparisons=(primary,))))
    assert plot.inverted
    assert [point.name for point in plot.points if point.front] == ["zero_shot", "full"]


def test_without_any_price_computation_time_stands_in() -> None:
    base = given.promote()
    seconds = replace(front_of(base), axis="compute_s_per_query", hardware="a chip")
    plot = cost_plot(replace(base, fronts=(seconds,)))
    assert "no prices" in plot.x_axis
    assert "All on a chip." in plot.caption


def test_a_front_without_a_candidate_is_not_shown() -> None:
    base = given.promote()
    latency = front_of(base, "latency_p95_s")
    points = (replace(p, x=None) if p.baseline in ("lora", "full") else p for p in latency.points)
    presenter = Presenter(replace(base, fronts=(front_of(base), replace(latency, points=tuple(points)))))
    assert tradeoff_plots(presenter, money=False) == ()
    assert [title for title, _ in front_columns(presenter)] == ["Cost"]


@pytest.mark.parametrize(
    ("probability", "text"), [(1.0, "✓ 100%"), (0.999, "✓ >99%"), (0.3, "✓ 30%"), (0.001, "✓ <1%"), (0.0, "✓ 0%")]
)
def test_a_share_is_never_rounded_to_certainty(probability: float, text: str) -> None:
    front = front_of(given.promote())
    points = tuple(replace(point, probability=probability) for point in front.points)
    assert front_cell(replace(front, points=points), "full").text == text
    assert front_cell(front, "nobody") == Cell("—")


def test_no_fronts_no_plots() -> None:
    assert tradeoff_plots(Presenter(replace(given.promote(), fronts=())), money=True) == ()
    assert tradeoff_plots(Presenter(odd.empty()), money=False) == ()


@pytest.mark.parametrize("name", odd.ALL)
def test_every_front_can_be_drawn(name: str) -> None:
    presenter = Presenter(odd.ALL[name]())
    for plot in (*tradeoff_plots(presenter, money=True), *tradeoff_plots(presenter, money=False)):
        drawn = render_plot(plot)
        assert drawn.startswith("<svg")
        assert "nan" not in drawn.lower().replace("nano", "")


def test_where_nothing_is_trained_trained_parameters_have_no_front() -> None:
    base = given.promote()
    front = front_of(base, "trainable_params")
    zero = replace(front, points=tuple(replace(point, x=0.0) for point in front.points))
    others = tuple(front for front in base.fronts if front.axis != "trainable_params")
    presenter = Presenter(replace(base, fronts=(*others, zero)))
    assert "pareto-parameters" not in [plot.name for plot in tradeoff_plots(presenter, money=False)]
    assert "Trained parameters" not in dict(front_columns(presenter))


def test_plot_and_tables_price_the_same_number_of_queries() -> None:
    base = given.promote()
    front = front_of(base)
    moved = replace(front, points=tuple(replace(p, x=None if p.x is None else p.x * 100) for p in front.points))
    plot = cost_plot(replace(base, fronts=(moved,)))
    assert plot.x_axis == "USD per 1M queries"  # as the ladder has it; by its own prices, it would be 1,000
