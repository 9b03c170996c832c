"""Examples can be read one by one: what was asked, what is right, and what both sides answered."""

from __future__ import annotations

from dataclasses import replace

from mlbaseline.records import Change, ExampleAnswer, ExampleReport
from mlbaseline.report import render_markdown, render_summary, render_terminal
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.sections.example_lists import example_section
from mlbaseline.report.view import ExampleList, TextPart
from tests.support.comparisons import assessments as given


def lists() -> list[ExampleList]:
    section = example_section(Presenter(given.promote()))
    assert section is not None
    return [block for block in section.blocks if isinstance(block, ExampleList)]


def test_a_list_for_each_pair_with_counts_over_all_examples() -> None:
    first, second = lists()
    assert (first.caption, second.caption) == ("lora over zero_shot", "full over majority")
    assert first.summary == (
        "92 won, 35 lost, 81 both wrong, 92 both right (of 300, by accuracy); "
        "lora gets 17 right with some seeds and wrong with others"
    )
    assert first.groups == ("▲ won (2 of 92)", "▼ lost (1 of 35)", "both wrong (1 of 81)")
    assert first.slices == ("topic: apple", "length: q1", "topic: cars")


def test_an_example_has_input_target_and_both_answers() -> None:
    won, _, lost, _ = lists()[0].items
    assert (won.label, won.tone, won.example_id, won.input, won.target) == (
        *("▲ won", "better", "id-0001", "a tweet 1", "positive"),
    )
    ours, theirs = won.answers
    assert (ours.rung, ours.text) == ("lora", "positive")
    assert ours.note == "score 1; probability positive 0.80, negative 0.10, neutral 0.10; by seed 1, 0, 0"
    assert (theirs.rung, theirs.text) == ("zero_shot", "negative")
    assert (lost.input, lost.tone) == ("", "worse")
    assert won.slices == (0, 1)


def test_words_that_differ_are_marked_in_longer_answers() -> None:
    base = given.example(1, Change.WON, "positive", "negative")
    ours, theirs = ExampleAnswer("the red fox runs", 1.0, (1.0,)), ExampleAnswer("the fox ran", 0.4, (0.4,))
    pair = given.pair("lora", "zero_shot", replace(base, candidate=ours, baseline=theirs))
    section = example_section(Presenter(replace(given.promote(), examples=ExampleReport((), (pair,)))))
    assert section is not None
    block = section.blocks[1]
    assert isinstance(block, ExampleList)
    mine, other = block.items[0].answers
    assert mine.parts == (TextPart("the "), TextPart("red ", True), TextPart("fox "), TextPart("runs", True))
    assert other.parts == (TextPart("the "), TextPart("fox "), TextPart("ran", True))


def test_they_are_labelled_exploratory() -> None:
    section = example_section(Presenter(given.promote()))
    assert section is not None
    assert str(section.blocks[0]).startswith("Exploratory")


def test_markdown_has_them_folded_and_the_short_forms_not_at_all() -> None:
    assessment = given.promote()
    assert "id-0001" in render_markdown(assessment)
    assert "id-0001" not in render_summary(assessment)
    assert "id-0001" not in render_terminal(assessment, colour=False, width=100)


def test_without_examples_there_is_no_section() -> None:
    assert example_section(Presenter(replace(given.promote(), examples=None))) is None
