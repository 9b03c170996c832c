from __future__ import annotations

from dataclasses import replace

import pytest

from mlbaseline.records import Assessment
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.sections.rung_table import rung_section
from mlbaseline.report.terminal import render_terminal
from mlbaseline.report.view import Cell, Table
from tests.support.comparisons import assessments as given
from tests.support.comparisons import odd_assessments as odd


def table_of(assessment: Assessment) -> tuple[Table, dict[str, dict[str, Cell]]]:
    section = rung_section(Presenter(assessment))
    assert section is not None
    table = section.blocks[0]
    assert isinstance(table, Table)
    titles = [column.title for column in table.columns]
    return table, {row.cells[0].text: dict(zip(titles, row.cells, strict=True)) for row in table.rows}


def measured_on(base: Assessment, **facts: dict[str, str]) -> Assessment:
    """Let rungs be measured elsewhere. facts: rung ─▶ what is different there."""
    standings = (replace(s, measured_on={**s.measured_on, **facts.get(s.baseline, {})}) for s in base.standings)
    return replace(base, standings=tuple(standings))


def test_a_rung_shows_quality_with_interval_seeds_cost_and_latency() -> None:
    table, rungs = table_of(given.promote())
    lora = rungs["lora"]
    assert lora["accuracy ↑"] == Cell("0.607", "[0.551, 0.663]")
    assert lora["nll_nats ↓"].text == "0.884"
    assert lora["Seeds"] == Cell("3", "(std 0.014)")
    assert lora["USD per 1M queries"].text == "1.71"
    assert lora["Latency p95"].text == "127 ms"
    assert lora["On the front"] == Cell("12%")
    assert rungs["full"]["On the front"] == Cell("✓ 97%", tone="better")
    assert rungs["annotator"]["On the front"] == Cell("—", "not measured")
    assert lora["Training"] == Cell("4 min 48 s", "(USD 0.00801)")
    assert "300" in table.caption


def test_what_no_rung_has_takes_no_column() -> None:
    base = given.promote()
    costs = (replace(s.cost, usd_per_query=None, latency_p95_s=None) for s in base.standings)
    standings = tuple(replace(s, cost=cost) for s, cost in zip(base.standings, costs, strict=True))
    table, rungs = table_of(replace(base, standings=standings))
    assert not {"USD per 1M queries", "Latency p95"} & rungs["lora"].keys()
    assert any("No rung has a price" in note for note in table.notes)


def test_free_is_zero_and_unpriced_is_a_dash() -> None:
    _, rungs = table_of(given.promote())
    assert rungs["majority"]["USD per 1M queries"].text == "0"
    assert rungs["annotator"]["USD per 1M queries"].text == "—"
    assert rungs["majority"]["nll_nats ↓"].text == "—"


def test_latencies_that_may_not_be_compared_are_marked() -> None:
    base = given.promote()
    table, rungs = table_of(base)
    assert rungs["lora"]["Latency p95"].detail == "" and not any("same mark" in note for note in table.notes)
    marked = measured_on(base, lora={"hardware.cpu": "another"})
    table, rungs = table_of(marked)
    assert rungs["zero_shot"]["Latency p95"].detail == "machine 1"
    assert rungs["lora"]["Latency p95"] == Cell("127 ms", "machine 2")
    assert rungs["annotator"]["Latency p95"] == Cell("—"), "what was not timed was timed nowhere"
    assert any("same mark" in note for note in table.notes)
    assert "127 ms machine 2" in render_terminal(marked, colour=False, width=160)
    batches = [{"engine.batch_tokens": tokens} for tokens in ("4096", "1024")]
    _, rungs = table_of(measured_on(base, zero_shot=batches[0], lora=batches[1]))
    assert rungs["lora"]["Latency p95"].detail == "batches 2"


def test_the_verdicts_winner_is_marked() -> None:
    table, _ = table_of(given.promote())
    assert [row.cells[0].text for row in table.rows if row.emphasis] == ["full"]


def test_error_rates_have_a_column_once_there_are_errors() -> None:
    table, _ = table_of(given.promote())
    assert "Errors" not in [column.title for column in table.columns]
    assert any("No rung has error rows" in note for note in table.notes)
    table, rungs = table_of(given.hold())
    assert rungs["endpoint"]["Errors"] == Cell("0.7%", tone="worse")
    assert not any("No rung has error rows" in note for note in table.notes)


def test_rungs_on_different_numbers_of_examples_say_so() -> None:
    base = given.promote()
    small = replace(base.standings[0], metrics={"accuracy": replace(given.estimate(0.4, 0.1), n=120)})
    _, rungs = table_of(replace(base, standings=(small, *base.standings[1:])))
    assert (rungs["majority"]["n"].text, rungs["lora"]["n"].text) == ("120", "300")


@pytest.mark.parametrize("assessment", [odd.empty(), replace(given.promote(), standings=())])
def test_no_rungs_no_ladder(assessment: Assessment) -> None:
    assert rung_section(Presenter(assessment)) is None
