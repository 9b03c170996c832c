from __future__ import annotations

from dataclasses import replace

from mlbaseline.records import Assessment, Role
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.sections.contrasts import contrast_forest, contrast_sections
from mlbaseline.report.view import Cell, Table
from tests.support.comparisons import assessments as given
from tests.support.comparisons import odd_assessments as odd


def tables_of(assessment: Assessment) -> dict[str, list[Table]]:
    sections = contrast_sections(Presenter(assessment))
    return {section.key: [block for block in section.blocks if isinstance(block, Table)] for section in sections}


def cells(table: Table, position: int) -> dict[str, Cell]:
    return dict(zip((column.title for column in table.columns), table.rows[position].cells, strict=True))


def test_roles_stand_apart_and_registered_ones_come_first() -> None:
    assert list(tables_of(given.promote())) == ["primary", "guardrail", "exploratory"]


def test_checkpoints_and_recipes_never_share_a_table() -> None:
    checkpoint, recipe = tables_of(given.promote())["exploratory"]
    assert checkpoint.caption.startswith("Checkpoints")
    assert recipe.caption.startswith("Recipes")
    assert len(checkpoint.rows) == 3
    assert len(recipe.rows) == 3


def test_a_registered_contrast_says_everything_it_was_judged_by() -> None:
    row = cells(tables_of(given.promote())["primary"][0], 0)
    assert row["Candidate"].text == "lora"
    assert row["Baseline"].text == "majority"
    assert row["Outcome"] == Cell("✓ pass", tone="better")
    assert row["Δ"] == Cell("+0.190", "[+0.119, +0.261]", "better")
    assert row["Δ, simultaneous"].text == "[+0.103, +0.277]"
    assert row["p, adjusted"] == Cell("<0.001", "(raw <0.001)")
    assert row["Margin"].text == "Δ > 0"
    assert row["MDE"].text == "0.102"
    assert row["Means"] == Cell("0.607", "vs 0.417")
    assert row["Gained / lost"].text == "92 / 35"
    assert row["n (seeds)"] == Cell("300", "(3 / 1)")


def test_a_contrast_that_passes_in_steps_alone_says_why() -> None:
    def notes(**changes: float) -> str:
        assessment = given.promote()
        rows = [replace(row, **changes) if row.role is Role.PRIMARY else row for row in assessment.comparisons]
        return " ".join(tables_of(replace(assessment, comparisons=tuple(rows)))["primary"][0].notes)

    assert "a test in steps" not in notes()
    assert "a test in steps" in notes(simultaneous_low=-0.01)


def test_guardrails_name_their_slice() -> None:
    table = tables_of(given.hold())["guardrail"][0]
    failed = [row for row in table.rows if row.cells[2].text == "✕ fail"]
    assert [row.cells[3].text for row in failed] == ["topic: apple"]


def test_exploratory_contrasts_have_a_reading_and_no_outcome() -> None:
    row = cells(tables_of(given.promote())["exploratory"][1], 2)
    assert row["Reading"].text == "none shown"
    assert "Outcome" not in row
    assert "Margin" not in row


def test_many_exploratory_contrasts_are_folded_and_registered_ones_never_are() -> None:
    tables = tables_of(odd.many())
    assert [table.collapsed for table in tables["exploratory"]] == [True]
    assert len(tables["exploratory"][0].rows) == 200
    assert not tables["primary"][0].collapsed


def test_clusters_are_shown_where_there_are_any() -> None:
    base = given.promote()
    row = replace(base.comparisons[0], n_clusters=40)
    table = tables_of(replace(base, comparisons=(row,)))["primary"][0]
    assert cells(table, 0)["Clusters"].text == "40"


def test_the_forest_shows_the_registered_contrasts_by_metric() -> None:
    plot = contrast_forest(Presenter(given.promote()))
    assert plot is not None
    (panel,) = plot.panels
    assert len(panel.rows) == 9
    assert panel.rows[0].label == "lora over majority"
    assert panel.rows[-1].threshold == -0.03
    assert "lora over majority, overall: +0.190 [+0.119, +0.261]" in plot.alt


def test_a_lower_is_better_panel_runs_backwards_with_its_margin_turned_round() -> None:
    row = given.comparison("lora", "full", metric="nll_nats", delta=-0.1, low=-0.2, high=0.0, margin=0.05)
    plot = contrast_forest(Presenter(replace(given.promote(), comparisons=(row,))))
    assert plot is not None
    assert plot.panels[0].inverted
    assert plot.panels[0].rows[0].threshold == -0.05


def test_without_registered_contrasts_the_forest_shows_exploratory_ones_and_says_so() -> None:
    base = odd.many()
    rows = tuple(row for row in base.comparisons if row.role == "exploratory")
    plot = contrast_forest(Presenter(replace(base, comparisons=rows)))
    assert plot is not None
    assert plot.caption.startswith("Exploratory contrasts")
    assert "first 24 of 200" in plot.caption
    assert contrast_forest(Presenter(odd.empty())) is None


def test_registered_contrasts_say_whether_they_confirm_something() -> None:
    early, late = (contrast_sections(Presenter(made()))[0].blocks[0] for made in (given.promote, given.hold))
    clock = "by the clock of the machine that ran it"
    assert f"the first evaluation of the task (2026-01-01 10:00 UTC {clock}), so they are confirmatory" in str(early)
    assert "only after the first evaluation of the task" in str(late)
    assert "not confirmatory" in str(late)


def test_the_report_says_when_a_server_noted_the_rules() -> None:
    base = given.promote()
    noted = replace(base, registration=replace(base.registration, noted_ms=base.registration.first_started_ms - 60_000))
    text = str(contrast_sections(Presenter(noted))[0].blocks[0])
    assert "ran it; the tracking server noted the first rules at 2026-01-01 09:59 UTC by its own), so they" in text


def test_each_contrast_has_its_own_status() -> None:
    late = given.hold()
    first, *others = late.comparisons
    mixed = replace(late, comparisons=(replace(first, registered="before"), *others))
    section = contrast_sections(Presenter(mixed))[0]
    assert "partly before the first evaluation of the task" in str(section.blocks[0])
    table = section.blocks[1]
    assert isinstance(table, Table)
    position = [column.title for column in table.columns].index("Status")
    statuses = [f"{row.cells[position].text} {row.cells[position].detail}".strip() for row in table.rows]
    assert statuses == ["confirmatory", *["exploratory (registered after)"] * (len(table.rows) - 1)]


def test_a_metric_that_is_compared_in_another_form_says_so() -> None:
    def notes(assessment: Assessment) -> str:
        return str([table.notes for tables in tables_of(assessment).values() for table in tables])

    assessment = given.promote()
    assert "compared as" not in notes(assessment)
    by_ece = tuple(replace(row, metric="ece") for row in assessment.comparisons)
    assert "ece is compared as squared calibration error" in notes(replace(assessment, comparisons=by_ece))


def test_weighted_rows_stand_beside_plain_ones_and_say_what_they_are_weighted_by() -> None:
    assessment = given.promote()
    first, *others = assessment.comparisons
    weighted = replace(first, effective_n=212.4, plain_delta=0.15, plain_low=0.08, plain_high=0.22)
    assessment = replace(assessment, comparisons=(weighted, *others), weighted="to the mix of topic: a 0.4, b 0.6")
    table = tables_of(assessment)["primary"][0]
    assert cells(table, 0)["Plain Δ"] == Cell("+0.150", "[+0.080, +0.220]")
    assert cells(table, 0)["Worth"].text == "212"
    assert any("weighted to the mix of topic: a 0.4, b 0.6" in note for note in table.notes)
    assert "Plain Δ" not in cells(tables_of(given.promote())["primary"][0], 0)
