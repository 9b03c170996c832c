from __future__ import annotations

from dataclasses import replace

from mlbaseline.records import Assessment, FineTune
from mlbaseline.report import render_html, render_markdown, render_terminal
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.sections.finetune_costs import finetune_section
from mlbaseline.report.view import Table
from tests.support.comparisons import assessments as given

KNOWN = {"lora": FineTune("lora dora", 9_769_088, 0.191), "full": FineTune("full, ready", 538_000_000, None)}


def assessment() -> Assessment:
    found = given.promote()
    return replace(found, standings=tuple(replace(s, fine_tune=KNOWN.get(s.baseline)) for s in found.standings))


def test_what_a_fine_tune_costs_stands_in_one_table() -> None:
    section = finetune_section(Presenter(assessment()))
    assert section is not None
    (table,) = section.blocks
    assert isinstance(table, Table)
    titles = [column.title for column in table.columns]
    rows = {row.cells[0].text: dict(zip(titles, row.cells, strict=True)) for row in table.rows}
    assert list(rows) == ["lora", "full"]
    lora = rows["lora"]
    assert lora["Method"].text == "lora dora"
    assert lora["Trainable parameters"].text == "2,442,240"
    assert (lora["Weights"].text, lora["Weights"].detail) == ("9.77 MB", "(9,769,088 bytes)")
    assert (lora["Latency p50"].text, lora["Unmerged p50"].text) == ("78.7 ms", "191 ms")
    assert rows["full"]["Unmerged p50"].text == "—"
    assert lora[titles[2]].text == "0.607" and "Accuracy" in titles[2].capitalize()


def test_it_is_in_every_form_of_the_report() -> None:
    found = assessment()
    for text in (
        render_html(found),
        render_markdown(found),
        render_terminal(found, colour=False, width=200),
    ):
        assert "What a fine-tune costs" in text
        assert "9,769,088 bytes" in text


def test_without_fine_tunes_there_is_no_such_section() -> None:
    found = assessment()
    assert finetune_section(Presenter(replace(found, standings=found.standings[:4]))) is None
