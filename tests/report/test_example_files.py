"""Every example in a file: nothing lost, nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from rich.cells import cell_len

from mlbaseline.records import Change, ExamplePair
from mlbaseline.report import examples_csv, examples_jsonl, examples_text
from tests.support.comparisons import assessments as given
from tests.support.comparisons import odd_assessments as odd


def the_pair() -> ExamplePair:
    shown = given.promote().examples
    assert shown is not None
    return shown.pairs[0]


def read_csv(pair: ExamplePair) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(examples_csv(pair))))


def test_a_row_for_each_example_with_both_answers() -> None:
    rows = read_csv(the_pair())
    assert [row["change"] for row in rows] == ["won", "won", "lost", "both_wrong"]
    first = rows[0]
    assert (first["example_id"], first["input"], first["target"]) == ("id-0001", "a tweet 1", "positive")
    assert (first["candidate.prediction"], first["baseline.prediction"]) == ("positive", "negative")
    assert [first[f"candidate.accuracy.seed_{seed}"] for seed in range(3)] == ["1.0", "0.0", "0.0"]
    assert first["baseline.probability.negative"] == "0.8"
    assert rows[1]["input"] == "two\nlines of tweet 2"
    assert rows[2]["input"] == ""


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_taken_for_a_formula(text: str) -> None:
    pair = the_pair()
    hostile = replace(pair.examples[0], input=text, target=text, example_id=text)
    hostile = replace(hostile, candidate=replace(hostile.candidate, prediction=text, error=text))
    (row,) = read_csv(replace(pair, examples=(hostile,)))
    for column in ("example_id", "input", "target", "candidate.prediction", "candidate.error"):
        assert row[column] == f"'{text}"


def test_a_negative_difference_stays_a_number() -> None:
    assert read_csv(the_pair())[2]["difference"] == "-1.0"


def test_lines_of_json_hold_the_same_and_texts_as_they_are() -> None:
    pair = the_pair()
    hostile = replace(pair.examples[0], input="=1+1")
    lines = examples_jsonl(replace(pair, examples=(hostile, *pair.examples[1:]))).splitlines()
    documents = [json.loads(line) for line in lines]
    assert len(documents) == 4
    assert documents[0]["input"] == "=1+1"
    assert (documents[0]["candidate_rung"], documents[0]["metric"]) == ("lora", "accuracy")
    assert documents[2]["input"] is None


def test_a_pair_without_examples_is_a_header_alone() -> None:
    none = replace(the_pair(), examples=())
    assert read_csv(none) == []
    assert examples_jsonl(none) == ""
    shown = examples_text(none, colour=False, width=100)
    assert "No example is one of these." in shown
    assert "Change" not in shown


@pytest.mark.parametrize("width", [60, 100])
@pytest.mark.parametrize("name", ["promote", "hostile"])
def test_the_terminal_shows_the_first_ones_within_its_width(name: str, width: int) -> None:
    shown = odd.ALL[name]().examples
    assert shown is not None
    text = examples_text(shown.pairs[0], colour=False, width=width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert all(mark.isprintable() or mark == "\n" for mark in text)
    assert "Exploratory" in text


def test_the_terminal_says_how_many_are_left_out() -> None:
    pair = the_pair()
    many = replace(pair, examples=tuple(given.example(i, Change.WON, "positive", "neutral") for i in range(45)))
    assert "and 15 more" in examples_text(many, colour=False, width=100)


def test_losses_stand_beside_many_wins() -> None:
    changes = [Change.WON] * 40 + [Change.LOST] * 20
    examples = tuple(given.example(i, change, "positive", "neutral") for i, change in enumerate(changes))
    lines = examples_text(replace(the_pair(), examples=examples), colour=False, width=100).splitlines()
    assert [sum(line.startswith(mark) for line in lines) for mark in ("▲ won", "▼ lost")] == [15, 15]
