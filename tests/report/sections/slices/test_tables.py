from __future__ import annotations

from dataclasses import replace

from mlbaseline.records import Assessment
from mlbaseline.report.plots.forest_plot import ForestPlot
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.sections.slices.tables import slice_section
from mlbaseline.report.view import Table
from tests.support.comparisons import assessments as given
from tests.support.comparisons import odd_assessments as odd


def blocks_of(assessment: Assessment) -> tuple[list[ForestPlot], list[Table]]:
    section = slice_section(Presenter(assessment))
    assert section is not None
    blocks = section.blocks
    return [b for b in blocks if isinstance(b, ForestPlot)], [b for b in blocks if isinstance(b, Table)]


def test_each_slice_has_its_deltas_by_contrast_with_the_overall_beside() -> None:
    _, tables = blocks_of(given.promote())
    topic = tables[0]
    assert topic.caption == "Δ accuracy by topic"
    assert [column.title for column in topic.columns][-5:] == [
        "airline (n 118)",
        "apple (n 31)",
        "cars (n 37)",
        "football (n 72)",
        "other (n 42)",
    ]
    lora = topic.rows[0]
    assert [cell.text for cell in lora.cells[:5]] == ["lora", "zero_shot", "recipe", "+0.217", "▲ +0.258"]
    assert lora.cells[4].detail == "[+0.145, +0.371]"


def test_the_tint_follows_the_size_and_the_mark_follows_the_adjusted_test() -> None:
    _, tables = blocks_of(given.hold())
    apple = tables[0].rows[0].cells[5]
    assert (apple.text, apple.tone, apple.heat) == ("▼ −0.121", "worse", -1)
    other = tables[0].rows[0].cells[8]
    assert other.heat == 3
    quiet = tables[0].rows[1].cells[5]
    assert (quiet.text, quiet.tone, quiet.heat) == ("+0.139", "", 1)


def test_lower_is_better_turns_the_tint_round() -> None:
    rows = [replace(row, metric="nll_nats", p_adjusted=1.0) for row in given.by_slice("lora", "zero_shot")]
    _, tables = blocks_of(replace(given.promote(), comparisons=tuple(rows)))
    assert {cell.heat < 0 for cell in tables[0].rows[0].cells[4:]} == {True}


def test_a_contrast_without_a_value_of_the_slice_leaves_a_dash() -> None:
    base = given.promote()
    rows = [row for row in base.comparisons if not (row.candidate == "full" and row.slice_value == "cars")]
    _, tables = blocks_of(replace(base, comparisons=tuple(rows)))
    assert tables[0].rows[1].cells[6].text == "—"


def test_a_forest_per_contrast_with_the_overall_as_reference() -> None:
    forests, _ = blocks_of(given.promote())
    assert [plot.title for plot in forests] == ["lora over zero_shot, by slice", "full over zero_shot, by slice"]
    panel = forests[0].panels[0]
    assert panel.reference is not None
    assert len(panel.rows) == 11
    assert panel.rows[1].label == "apple · 31"


def test_of_a_contrast_with_two_estimands_the_one_that_decides_is_plotted() -> None:
    base = given.promote()
    decide = [replace(row, estimand="checkpoint") for row in base.comparisons if row.role == "primary"]
    recipes = [row for row in base.comparisons if row.role == "primary"]
    both = [replace(row, estimand=estimand) for estimand in ("checkpoint", "recipe") for row in base.comparisons
            if row.slice is not None and row.role == "exploratory"]  # fmt: skip
    forests, tables = blocks_of(replace(base, comparisons=(*decide, *recipes, *both)))
    assert [plot.title for plot in forests] == ["lora over zero_shot, by slice", "full over zero_shot, by slice"]
    assert not any(row.recipe for plot in forests for panel in plot.panels for row in panel.rows)
    assert {row.cells[2].text for row in tables[0].rows} == {"checkpoint", "recipe"}


def test_every_rung_by_slice_is_folded_below() -> None:
    forests, tables = blocks_of(odd.lone())
    assert forests == []
    assert [table.collapsed for table in tables] == [True, True, True]
    assert tables[0].rows[0].cells[0].text == "zero_shot"


def test_no_slices_no_section() -> None:
    assert slice_section(Presenter(odd.empty())) is None
