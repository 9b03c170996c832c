"""A table for a paper: what it shows agrees with the assessment, and each format can be read."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from mlbaseline.records import Assessment, Estimand, Registered, Role
from mlbaseline.report import TableFormat, render_paper_table
from tests.support.comparisons import assessments as given
from tests.support.comparisons import odd_assessments as odd


def render(table_format: TableFormat, assessment: Assessment | None = None, *, correction: str = "holm") -> str:
    return render_paper_table(assessment or given.promote(), table_format, correction=correction)


def latex_rows(text: str) -> list[list[str]]:
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix(r"\\"))]
        for line in body.splitlines()
        if line.strip().endswith(r"\\")
    ]


def test_latex_has_a_row_for_each_rung_and_a_column_for_each_metric() -> None:
    text = render(TableFormat.LATEX)
    header, *lines = latex_rows(text)
    rows, intervals = lines[::2], lines[1::2]  # four metrics: too wide for intervals beside their values
    assert header == ["Rung", "Seeds", r"accuracy $\uparrow$", r"macro\_f1 $\uparrow$", r"nll\_nats $\downarrow$",
                      r"ece $\downarrow$"]  # fmt: skip
    assert [row[0] for row in rows] == [name.replace("_", r"\_") for name in given.RUNGS]
    assert {len(line) for line in lines} == {6}
    assert {interval[0] for interval in intervals} == {""}
    assert r"\begin{tabular}{lrllll}" in text
    assert text.count("{") == text.count("}")


def test_marks_name_the_baselines_that_a_score_beats() -> None:
    rows = latex_rows(render(TableFormat.LATEX))
    at = next(number for number, row in enumerate(rows) if row[0] == "lora")
    assert rows[at][1] == "3"
    assert (rows[at][2], rows[at + 1][2]) == (r"0.607\textsuperscript{a,b}", r"{\scriptsize [0.551, 0.663]}")
    assert rows[at][4] == r"0.884\textsuperscript{(b),(c)}"  # exploratory
    caption = render(TableFormat.LATEX)
    assert r"a: majority, b: zero\_shot and c: few\_shot" in caption
    assert "Holm's correction over the primary family" in caption


def test_intervals_of_two_metrics_stand_beside_their_values() -> None:
    base = given.promote()
    standings = tuple(
        replace(s, metrics={name: s.metrics[name] for name in ("accuracy", "macro_f1") if name in s.metrics})
        for s in base.standings
    )
    few = replace(base, standings=standings, metrics={"accuracy": True, "macro_f1": True}, comparisons=(), published=())
    row = next(row for row in latex_rows(render(TableFormat.LATEX, few)) if row[0] == "lora")
    assert row[2] == r"0.607 {\scriptsize [0.551, 0.663]}"


def test_the_best_of_each_metric_is_bold_ties_included() -> None:
    base = given.promote()
    same = replace(next(s for s in base.standings if s.baseline == "full"), baseline="twin")
    text = render(TableFormat.MARKDOWN, replace(base, standings=(*base.standings, same)))
    assert text.count("**0.622**") == 2
    assert text.count("**0.861**") == 2  # of a loss the smallest


def test_people_are_not_the_best_system_and_their_n_is_their_own() -> None:
    base = given.promote()
    accuracy = replace(given.estimate(0.842, 0.056), n=272)
    people = replace(next(s for s in base.standings if s.kind == "human"), metrics={"accuracy": accuracy})
    systems = tuple(s for s in base.standings if s.kind != "human")
    text = render(TableFormat.MARKDOWN, replace(base, standings=(*systems, people)))
    assert "| 0.842 " in text  # not bold
    assert "n = 300 test examples" in text
    assert r"people aside (annotator: n = 272)" in text


def test_the_caption_says_n_seeds_and_tests() -> None:
    text = render(TableFormat.MARKDOWN)
    assert "n = 300 test examples, up to 3 seeds a rung" in text
    assert "two-sided paired tests, adjusted p at most 0.05" in text
    assert "Romano and Wolf" in render(TableFormat.MARKDOWN, correction="romano_wolf")
    late = replace(given.promote(), registration=replace(given.REGISTRATION, status=Registered.AFTER))
    assert "registered after the first evaluation" in render(TableFormat.MARKDOWN, late)


def test_a_mark_is_by_the_recipe_where_there_is_one() -> None:
    base = given.promote()
    rows = [row for row in base.comparisons if row.role == Role.PRIMARY and row.candidate == "lora"]
    checkpoints = [replace(row, estimand=Estimand.CHECKPOINT) for row in rows]
    unclear = [replace(row, p_adjusted=0.2) for row in rows]
    text = render(TableFormat.MARKDOWN, replace(base, comparisons=(*checkpoints, *unclear)))
    assert "<sup>" not in text


def test_markdown_is_one_table() -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(render(TableFormat.MARKDOWN, odd.hostile()))
    assert sum(token.type == "table_open" for token in tokens) == 1
    assert not any(token.type == "html_block" for token in tokens)


def test_published_scores_have_a_row_and_no_marks() -> None:
    text = render(TableFormat.MARKDOWN, given.beside_published())
    row = next(line for line in text.splitlines() if line.startswith("| paper "))
    assert "0.710 (published)" in row
    assert "not paired" in text


def test_csv_has_unrounded_numbers_and_names() -> None:
    rows = list(csv.DictReader(io.StringIO(render(TableFormat.CSV))))
    lora = next(row for row in rows if (row["rung"], row["metric"]) == ("lora", "accuracy"))
    assert float(lora["value"]) == 0.607
    assert float(lora["low"]) == pytest.approx(0.551)
    assert lora["better_than"] == "majority;zero_shot"
    assert (lora["n"], lora["seeds"], lora["seed_std"]) == ("300", "3", "0.014")
    nll = next(row for row in rows if (row["rung"], row["metric"]) == ("lora", "nll_nats"))
    assert (nll["better_than"], nll["better_than_exploratory"]) == ("", "zero_shot;few_shot")


def test_csv_has_published_scores_too() -> None:
    rows = list(csv.DictReader(io.StringIO(render(TableFormat.CSV, given.beside_published()))))
    paper = next(row for row in rows if row["rung"] == "paper")
    assert (paper["kind"], paper["metric"], paper["value"], paper["n"]) == ("external", "accuracy", "0.71", "2000")
    assert paper["low"] == paper["seeds"] == paper["better_than_exploratory"] == ""


@pytest.mark.parametrize("name", odd.ALL)
@pytest.mark.parametrize("table_format", TableFormat)
def test_every_assessment_can_be_rendered(name: str, table_format: TableFormat) -> None:
    text = render(table_format, odd.ALL[name]())
    assert text.endswith("\n")
    assert "\x1b" not in text
