"""Published scores are told apart from what was measured, and the report says why they decide nothing."""

from __future__ import annotations

import pytest

from mlbaseline.report import render_html, render_markdown, render_terminal
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.sections.published_scores import published_section
from mlbaseline.report.sections.rung_table import rung_section
from mlbaseline.report.view import Cell, Table
from tests.support.comparisons import assessments as given


def tables() -> dict[str, Table]:
    section = published_section(Presenter(given.beside_published()))
    assert section is not None
    return {block.caption: block for block in section.blocks if isinstance(block, Table)}


def test_without_published_scores_there_is_no_section() -> None:
    assert published_section(Presenter(given.promote())) is None


def test_the_source_is_said_and_what_is_not_known_of_it() -> None:
    table = tables()["Where they come from"]
    paper, board = ([cell.text for cell in row.cells] for row in table.rows)
    assert paper == ["paper", "accuracy ↑", "0.710", "—", "2,000", "2024-05", "5-shot", "https://example.org/p"]
    assert board[3:7] == ["0.0100", "—", "—", "unknown"]


def test_candidates_are_beside_it_and_unpaired() -> None:
    (row,) = tables()["Candidates beside them, unpaired"].rows
    assert row.cells[5] == Cell("−0.103", "[−0.162, −0.045]")
    assert row.cells[6].text == "<0.001"


def test_it_stands_in_the_ladder_with_its_value_alone() -> None:
    section = rung_section(Presenter(given.beside_published()))
    assert section is not None
    table = section.blocks[0]
    assert isinstance(table, Table)
    titles = [column.title for column in table.columns]
    paper, board = (dict(zip(titles, row.cells, strict=True)) for row in table.rows[-2:])
    assert (paper["Kind"].text, paper["accuracy ↑"]) == ("external", Cell("0.710", "published"))
    assert (board["accuracy ↑"].text, board["macro_f1 ↑"].text) == ("—", "0.600")
    assert paper["Latency p95"].text == paper["Seeds"].text == "—"


@pytest.mark.parametrize("render", [render_html, render_markdown])
def test_the_report_says_why_it_decides_nothing(render: object) -> None:
    assert "They decide nothing" in render(given.beside_published())  # type: ignore[operator]
    assert "Published scores" in render_terminal(given.beside_published(), colour=False, width=120)
