from __future__ import annotations

from dataclasses import replace

from mlbaseline.records import BreakEven
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.sections.cost_tables import cost_section
from mlbaseline.report.sections.pareto_fronts import tradeoff_plots
from mlbaseline.report.view import Cell, Table
from tests.support.comparisons import assessments as given


def rows(*break_even: BreakEven) -> list[list[str]]:
    section = cost_section(Presenter(replace(given.promote(), break_even=break_even)))
    assert section is not None
    table = section.blocks[-1]
    assert isinstance(table, Table)
    return [[cell.text for cell in row.cells] for row in table.rows]


def tables() -> dict[str, dict[str, dict[str, Cell]]]:
    """caption ─▶ rung ─▶ column ─▶ cell."""
    section = cost_section(Presenter(given.promote()))
    assert section is not None
    found = [block for block in section.blocks if isinstance(block, Table)]
    return {
        table.caption: {
            row.cells[0].text: dict(zip([column.title for column in table.columns], row.cells, strict=True))
            for row in table.rows
        }
        for table in found
    }


def test_money_and_latency_stand_with_their_intervals() -> None:
    lora = tables()["Money, latency and memory"]["lora"]
    assert lora["USD per 1M queries"] == Cell("1.71", "[1.54, 1.97]")
    assert lora["Priced by"].text == "hardware time"
    assert lora["Latency p50"].detail == "[63.5 ms, 88.9 ms]"
    assert lora["Latency p95"] == Cell("127 ms", "[102 ms, —]")
    assert (lora["Latency p99"].text, lora["Timed"].text) == ("152 ms", "72")
    assert lora["Trained parameters"].text == "2.44 M"
    assert "annotator" not in tables()["Money, latency and memory"]


def test_the_first_token_has_a_column_where_something_was_streamed() -> None:
    promote = given.promote()
    lora, *others = promote.standings
    streamed = replace(lora, cost=replace(lora.cost, first_token_p50_s=0.05))
    section = cost_section(Presenter(replace(promote, standings=(streamed, *others))))
    assert section is not None
    (table,) = (b for b in section.blocks if isinstance(b, Table) and b.caption == "Money, latency and memory")
    column = [column.title for column in table.columns].index("First token p50")
    assert next(row.cells[column].text for row in table.rows if row.cells[0].text == lora.baseline) == "50.0 ms"
    assert "First token p50" not in tables()["Money, latency and memory"]["lora"]


def test_every_rung_stands_before_every_front() -> None:
    found = tables()["On the Pareto front"]
    assert found["full"]["Cost front"].text == "✓ 97%"
    assert found["annotator"]["Latency front"] == Cell("—", "not measured")
    assert {"Memory front", "Trained parameters front"} <= set(found["lora"])


def test_when_a_fine_tune_pays_for_itself() -> None:
    first, second = rows(*given.BREAK_EVEN)
    assert first == ["lora", "few_shot", "0.00801", "1.71", "5.31", "after 2,226 queries"]
    assert second[-1] == "never: a query costs no less than with the prompt"


def test_a_pair_without_a_price_is_left_out() -> None:
    unpriced = BreakEven("lora", "few_shot", None, None, 1e-6, None)
    assert len(rows(*given.BREAK_EVEN, unpriced)) == 2
    section = cost_section(Presenter(replace(given.promote(), break_even=(unpriced,))))
    assert section is not None
    assert not any(isinstance(block, Table) and "pays for itself" in block.caption for block in section.blocks)
    assert cost_section(Presenter(replace(given.promote(), break_even=(), fronts=(), standings=()))) is None


def test_prices_that_are_not_those_measured_say_so() -> None:
    promote = given.promote()
    fronts = tuple(replace(front, beside=front.axis == "usd_per_query") for front in promote.fronts)
    rows = tuple(replace(row, beside=True) for row in given.BREAK_EVEN)
    presenter = Presenter(replace(promote, fronts=fronts, break_even=rows))
    section = cost_section(presenter)
    assert section is not None
    table = section.blocks[-1]
    assert isinstance(table, Table)
    assert "at one speed of the reference workload" in table.notes[-1]
    (plot,) = tradeoff_plots(presenter, money=True)
    assert plot.caption.endswith("At one speed of the reference workload, not as measured.")


def test_a_figure_of_another_machine_is_told_of_as_normalised() -> None:
    promote = given.promote()
    front = next(front for front in promote.fronts if front.axis == "latency_p95_s")
    points = [replace(point, normalised=point.baseline == "full") for point in front.points]
    fronts = [replace(front, points=tuple(points)) if each is front else each for each in promote.fronts]
    rows = tuple(replace(row, normalised=True) for row in given.BREAK_EVEN)
    section = cost_section(Presenter(replace(promote, fronts=tuple(fronts), break_even=rows)))
    assert section is not None
    shown = {block.caption: block for block in section.blocks if isinstance(block, Table)}
    table = shown["On the Pareto front"]
    column = [each.title for each in table.columns].index("Latency front")
    assert {row.cells[0].text for row in table.rows if row.cells[column].detail == "normalised"} == {"full"}
    assert any("Measured on another machine; normalised by the reference workload: full." in n for n in table.notes)
    assert all("normalised" in row.cells[-1].detail for row in shown["When a fine-tune pays for itself"].rows)
