"""What was explored of slices, as a reader sees it: which, how surely, and how it was looked for."""

from __future__ import annotations

from dataclasses import replace

from mlbaseline.records import PooledSlice, SlicePooling
from mlbaseline.report.markdown import render_markdown
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.sections.next_steps import next_steps_section
from mlbaseline.report.sections.slices.exploration import exploration_blocks
from mlbaseline.report.sections.slices.searches import search_blocks
from mlbaseline.report.sections.slices.tables import slice_section
from mlbaseline.report.view import Table
from mlbaseline.report.view_builder import build_view
from tests.support.comparisons import assessments as given


def tables() -> dict[str, Table]:
    return {
        block.caption: block for block in exploration_blocks(Presenter(given.explored())) if isinstance(block, Table)
    }


def texts(table: Table, row: int) -> list[str]:
    return [f"{cell.text} {cell.detail}".strip() for cell in table.rows[row].cells]


def test_the_worst_slice_comes_with_its_simultaneous_interval() -> None:
    table = tables()["Worst slice of every primary contrast"]
    assert texts(table, 0) == [
        *("lora", "zero_shot", "accuracy ↑", "topic: cars", "37", "▼ −0.14 [−0.26, −0.01]", "0.031", "2"),
    ]
    assert "simultaneous" in table.notes[0]
    assert table.notes[1] == "Too small to be tested, with fewer than 20 examples: topic: tennis (7)."


def test_the_search_says_where_it_looked_and_what_other_examples_say() -> None:
    table = tables()["Search for slices where the candidate is worse"]
    assert texts(table, 0)[3:] == ["topic: cars", "−0.20 (n 20)", "37", "−0.14 [−0.25, −0.02]", "0.012", "▼ worse"]
    assert len(table.rows) == 1
    assert table.notes[1] == "Nothing that looks worse: full over majority."
    assert table.notes[0].startswith("Searched on dev, up to 73 slices")
    folded = tables()["Slices found and not confirmed, or cut by the loss of another rung"]
    assert folded.collapsed
    assert texts(folded, 0)[3:] == ["tokens in: > 31", "−0.10 (n 40)", "44", "+0.01 [−0.10, +0.12]", "0.710", "no"]


def test_of_many_confirmed_slices_the_top_names_those_of_the_suite_and_counts_the_rest() -> None:
    explored = given.explored()
    assert explored.slices is not None
    search = explored.slices.searches[0]
    by_loss = (("loss of majority (nats)", "≤ 0.2"),)
    places = [by_loss, (("latency (s)", "> 0.5"),), (("topic", "bikes"),), (("topic", "cars"),), (("length", "q1"),)]
    deltas = (-0.5, -0.4, -0.1, -0.3, -0.2)
    found = [replace(search.found[0], where=place, delta=each) for place, each in zip(places, deltas, strict=True)]
    searches = (replace(search, found=tuple(found)),)
    assessment = replace(explored, slices=replace(explored.slices, searches=searches))
    (fact,) = [fact for fact in build_view(assessment).facts if fact.label == "Slices found worse"]
    named = [f"lora over zero_shot on {place}" for place in ("topic: cars", "length: q1", "topic: bikes")]
    assert fact.text == f"{', '.join(named)}, 1 more and 1 cut by the loss of another rung"
    shown, folded = (
        block for block in search_blocks(Presenter(assessment), assessment.slices) if isinstance(block, Table)
    )
    assert [len(shown.rows), len(folded.rows)] == [4, 1]
    assert "loss of majority" not in str(next_steps_section(Presenter(assessment)))


def test_gaps_of_both_and_their_difference() -> None:
    row = texts(tables()["Gaps between slices"], 0)
    assert row[4:] == [
        "0.21 [0.04, 0.43] apple − cars",
        "0.16 [0.00, 0.40] cars − apple",
        "+0.05 [+0.01, +0.30]",
        "▼ more uneven",
    ]


def test_where_two_slices_meet() -> None:
    table = tables()["Where two slices meet"]
    assert table.collapsed
    assert texts(table, 0)[3] == "topic: cars and length: q3"


def test_a_loss_is_worst_where_it_grew_most() -> None:
    base = given.explored()
    assert base.slices is not None
    deltas = tuple(replace(row, metric="nll_nats") for row in base.slices.deltas)
    found = exploration_blocks(Presenter(replace(base, slices=replace(base.slices, deltas=deltas))))
    assert isinstance(found[0], Table)
    assert texts(found[0], 0)[3] == "topic: apple"


def test_a_slice_that_is_too_small_stands_greyed_in_the_heat_map() -> None:
    section = slice_section(Presenter(given.explored()))
    assert section is not None
    heat = next(b for b in section.blocks if isinstance(b, Table) and b.caption == "Δ accuracy by topic")
    assert heat.columns[-1].title == "tennis (n 7)"
    assert {(row.cells[-1].text, row.cells[-1].detail) for row in heat.rows} == {("—", "too small")}


def test_markdown_has_them_all() -> None:
    text = render_markdown(given.explored())
    for caption in tables():
        assert caption in text
    assert exploration_blocks(Presenter(given.promote())) == []


def test_a_confirmed_slice_is_named_at_the_top_and_among_the_next_steps() -> None:
    view = build_view(given.explored())
    (fact,) = [fact for fact in view.facts if fact.label == "Slices found worse"]
    assert (fact.text, fact.tone) == ("lora over zero_shot on topic: cars", "worse")
    assert "Register a guardrail there" in render_markdown(given.explored())
    base = given.explored()
    assert base.slices is not None
    none = replace(base, slices=replace(base.slices, searches=base.slices.searches[1:]))
    (fact,) = [fact for fact in build_view(none).facts if fact.label == "Slices found worse"]
    assert (fact.text, fact.tone) == ("none, of up to 70 looked at", "")


def test_where_no_guardrail_can_be_registered_the_examples_are_read() -> None:
    base = given.explored()
    assert base.slices is not None
    searches = tuple(
        replace(search, found=tuple(replace(one, where=(("latency (s)", "> 0.5"),)) for one in search.found))
        for search in base.slices.searches
    )
    text = render_markdown(replace(base, slices=replace(base.slices, searches=searches)))
    assert "Read them: mlbaseline examples SUITE --candidate lora" in text
    assert "Register a guardrail there" not in text


def test_pooled_slices_are_called_a_description() -> None:
    explored = given.explored()
    assert explored.slices is not None
    value = PooledSlice("cars", 7, -0.4, -0.1, -0.25, 0.05, 0.312)
    pooling = SlicePooling("lora", "zero_shot", "accuracy", "topic", 0.02, 0.1, (value,))
    assessment = replace(explored, slices=replace(explored.slices, poolings=(pooling,)))
    blocks = [block for block in exploration_blocks(Presenter(assessment)) if isinstance(block, Table)]
    table = next(block for block in blocks if block.caption == "Slices, partially pooled")
    assert texts(table, 0) == [
        *("lora", "zero_shot", "accuracy ↑", "topic: cars", "7", "−0.40", "−0.10 [−0.25, +0.05]", "31%"),
    ]
    assert table.notes[0].startswith("A description, no test")
