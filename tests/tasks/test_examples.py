from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlbaseline.errors import DataError
from tests.support.ladders.written_data import load, load_rows, make_suite, rows_of, write_jsonl

ALL = {"test": 1.0}
OWN = {"choices": None, "columns": {"target": "label", "choices": ["a", "b"]}, "split": ALL, "prompt": "{q}"}


def message_of(folder: Path, rows: list[dict[str, Any]], **task: Any) -> str:
    with pytest.raises(DataError) as caught:
        load_rows(folder, rows, **task)
    return str(caught.value)


def test_all_missing_columns_at_once(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "data.jsonl", rows_of(8))
    suite = make_suite(
        tmp_path,
        columns={"target": "sentiment", "id": "key", "cluster": "user", "body": "tweet"},
        prompt="{txt} {body}",
        slices={"length": {"column": "chars", "quantiles": 2}},
        baselines={"annotator": {"kind": "human", "agreement": "share"}},
    )
    with pytest.raises(DataError) as caught:
        load(suite)
    message = str(caught.value)
    for problem in (
        "prompt: {txt} is neither a column nor a field; there are: 'body', 'label', 'text'; did you mean 'text'?",
        "task.columns.target: no column 'sentiment' in data.jsonl; there are: 'text', 'label'",
        "task.columns.id: no column 'key'",
        "task.columns.cluster: no column 'user'",
        "task.columns.body: no column 'tweet'",
        "task.slices.length.column: no column 'chars'",
        "baselines.annotator.agreement: no column 'share'",
    ):
        assert problem in message


def test_a_header_that_was_read_as_one_column_names_its_delimiter(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("body;label\na;no\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        load(make_suite(tmp_path, data={"source": "data.csv"}, columns={"target": "label", "text": "body"}))
    written = yaml.safe_load(str(caught.value).partition("one column; write `")[2].partition("`")[0])
    assert written == {"delimiter": ";"}


@pytest.mark.parametrize("header", ["body ", "\u00a0body", "Body", "bo\u200bdy"])
def test_an_unusual_header_is_quoted_and_suggested(tmp_path: Path, header: str) -> None:
    """What stands after "written" is YAML for the column."""
    write_jsonl(tmp_path / "data.jsonl", [{header: f"a {n}", "label": "no"} for n in range(8)])
    with pytest.raises(DataError) as caught:
        load(make_suite(tmp_path, columns={"target": "label", "text": "body"}))
    message = str(caught.value)
    assert f"no column 'body' in data.jsonl; there are: {header!r}, 'label'; did you mean {header!r}?" in message
    if header != "Body":
        assert yaml.safe_load(message.rpartition(" In the suite it is written ")[2]) == header


def test_a_missing_choice_column(tmp_path: Path) -> None:
    message = message_of(tmp_path, [{"q": "x", "a": "1", "label": 0}], **OWN)
    assert "task.columns.choices.1: no column 'b' in data.jsonl; there are: 'q', 'a', 'label'" in message


@pytest.mark.parametrize("prompt", ["{text.__class__}", "{text[0]}", "{nothing}"])
def test_a_placeholder_without_a_column(tmp_path: Path, prompt: str) -> None:
    expected = re.escape(f"prompt: {prompt} is neither a column nor a field; there are: 'label', 'text'")
    assert re.search(expected, message_of(tmp_path, rows_of(8), prompt=prompt))


@pytest.mark.parametrize("prompt", ["{text!r}", "{text:>9}", "{"])
def test_a_prompt_that_is_no_template(tmp_path: Path, prompt: str) -> None:
    assert "prompt: " in message_of(tmp_path, rows_of(8), prompt=prompt)


def test_a_prompt_that_shows_the_target_or_nothing(tmp_path: Path) -> None:
    assert "{label} shows the model the target" in message_of(tmp_path, rows_of(8), prompt="{text} {label}")
    columns = {"target": "label", "answer": "label"}
    assert "{answer} shows the model the target" in message_of(tmp_path, rows_of(8), prompt="{answer}", columns=columns)
    assert "names no field" in message_of(tmp_path, rows_of(8), prompt="Answer:")


def test_a_field_renames_a_column(tmp_path: Path) -> None:
    rows = [{"tweet body": f"t{i}", "label": "no"} for i in range(4)]
    columns = {"target": "label", "text": "tweet body"}
    (first, *_) = load_rows(tmp_path, rows, columns=columns).splits["test"].examples
    assert first.fields["text"] == first.fields["tweet body"]


def test_rows_without_target_or_prompt_are_dropped_and_counted(tmp_path: Path) -> None:
    rows = [*rows_of(6), {"text": "a", "label": ""}, {"text": "b"}, {"text": " \n", "label": "no"}, {"label": "yes"}]
    task = load_rows(tmp_path, rows, split=ALL)
    assert len(task.splits["test"].examples) == 6
    assert (task.counts["dropped_without_target"], task.counts["dropped_empty_prompt"]) == (2, 2)
    assert task.counts["rows_read"] == 10
    assert task.notes[:2] == (
        "data.jsonl: left out 2 rows without a target: row 7, 8",
        "data.jsonl: left out 2 rows with nothing in a column that the prompt shows: row 9, 10",
    )
    assert task.files == {"source": "data.jsonl: jsonl, UTF-8, 10 rows"}


def test_a_target_outside_the_choices_names_value_row_and_choices(tmp_path: Path) -> None:
    rows = [*rows_of(4), {"text": "x", "label": "yep"}]
    assert message_of(tmp_path, rows) == "data: data.jsonl, row 5: target 'yep' is none of the choices ['no', 'yes']"


def test_targets_that_differ_in_case_or_space_are_one_error_with_the_key_that_maps_them(tmp_path: Path) -> None:
    odd = ["Yes", "yes ", "\u00a0no", "Yes"]
    rows = [*rows_of(4), *({"text": f"x{n}", "label": label} for n, label in enumerate(odd))]
    message = message_of(tmp_path, rows)
    assert message.startswith(
        "data: targets differ from the choices ['no', 'yes'] in case or white space: 'Yes' (2 rows"
    )
    assert "'\\xa0no' (1 row, first data.jsonl, row 7); correct the file, or write into `task`: " in message
    key = yaml.safe_load(message.rpartition("into `task`: ")[2])
    assert key == {"target_map": {"Yes": "yes", "yes ": "yes", "\u00a0no": "no"}}
    examples = load_rows(tmp_path, rows, split=ALL, **key).splits["test"].examples
    assert sorted(e.target for e in examples if str(e.fields["text"]).startswith("x")) == ["no", "yes", "yes", "yes"]


def test_many_targets_outside_the_choices_are_counted(tmp_path: Path) -> None:
    message = message_of(tmp_path, [{"text": f"t{i}", "label": "maybe"} for i in range(9)])
    assert message.count("'maybe'") == 3
    assert "and 6 rows more" in message


def test_numbers_match_choices_as_text(tmp_path: Path) -> None:
    rows = [{"text": f"t{i}", "label": float(i % 2)} for i in range(6)]
    task = load_rows(tmp_path, rows, choices=["0", "1"], split=ALL)
    assert {example.target for example in task.splits["test"].examples} == {"0", "1"}


# ---- ids ------------------------------------------------------------------------------------------------------------


def test_ids_are_those_of_the_column(tmp_path: Path) -> None:
    rows = [{**row, "key": i} for i, row in enumerate(rows_of(6))]
    task = load_rows(tmp_path, rows, columns={"target": "label", "id": "key"}, split=ALL)
    assert sorted(example.id for example in task.splits["test"].examples) == list("012345")


def test_ids_must_be_unique(tmp_path: Path) -> None:
    rows = [{**row, "key": i // 2} for i, row in enumerate(rows_of(6))]
    message = message_of(tmp_path, rows, columns={"target": "label", "id": "key"})
    assert "3 ids stand at more than one row (first: 0, 1, 2)" in message


def test_ids_must_be_unique_over_all_files(tmp_path: Path) -> None:
    for name in ("train", "test"):
        write_jsonl(tmp_path / f"{name}.jsonl", [{"text": name, "label": "no", "key": "k1"}])
    data = {"train": "train.jsonl", "test": "test.jsonl"}
    suite = make_suite(tmp_path, data=data, split=None, columns={"target": "label", "id": "key"})
    with pytest.raises(DataError, match="1 ids stand at more than one row"):
        load(suite)


def test_an_empty_id_names_the_row(tmp_path: Path) -> None:
    rows = [{**row, "key": i or None} for i, row in enumerate(rows_of(4))]
    message = message_of(tmp_path, rows, columns={"target": "label", "id": "key"})
    assert "data.jsonl, row 1: column 'key' is to name the examples, and is empty here" in message


def test_ids_by_content_outlive_a_new_wording_and_other_columns(tmp_path: Path) -> None:
    def ids(rows: list[dict[str, Any]], prompt: str) -> list[str]:
        return [example.id for example in load_rows(tmp_path, rows, prompt=prompt).splits["test"].examples]

    before = ids(rows_of(20), "{text} =>")
    assert before == ids(rows_of(20, more="x"), "Say yes or no: {text}\n")
    assert all(len(id) == 16 for id in before)
    assert before != ids([{**row, "text": row["text"] + "!"} for row in rows_of(20)], "{text} =>")


# ---- choices of their own -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("targets", [[0, 1, 1], ["0", "1", "1"], [0.0, 1.0, 1.0], ["red", "blue", "one"]])
def test_own_choices_with_targets_by_position_or_text(tmp_path: Path, targets: list[Any]) -> None:
    choices = [("red", "green"), ("red", "blue"), ("none", "one")]
    rows = [
        {"q": f"q{i}", "a": a, "b": b, "label": target}
        for i, ((a, b), target) in enumerate(zip(choices, targets, strict=True))
    ]
    data = load_rows(tmp_path, rows, **OWN).splits["test"]
    assert data.labels == ("0", "1")
    assert {e.fields["q"]: (e.target, e.choices) for e in data.examples} == {
        "q0": ("0", choices[0]),
        "q1": ("1", choices[1]),
        "q2": ("1", choices[2]),
    }


def test_choices_that_are_digits_are_read_as_the_whole_column_says(tmp_path: Path) -> None:
    rows = [
        {"q": "1 + 1", "a": "1", "b": "2", "label": "2"},
        {"q": "2 - 1", "a": "1", "b": "0", "label": "1"},
    ]
    data = load_rows(tmp_path, rows, **OWN).splits["test"]
    assert {e.fields["q"]: e.target for e in data.examples} == {"1 + 1": "1", "2 - 1": "0"}, "texts: 2 is no position"


def test_targets_that_may_be_both_are_refused(tmp_path: Path) -> None:
    message = message_of(tmp_path, [{"q": "2 - 1", "a": "1", "b": "0", "label": "1"}], **OWN)
    assert "valid both as positions and as texts" in message
    assert "target '1' of ['1', '0']" in message


def test_an_own_target_outside_the_choices(tmp_path: Path) -> None:
    rows = [{"q": "a", "a": "x", "b": "y", "label": "x"}, {"q": "b", "a": "x", "b": "y", "label": "z"}]
    assert "row 2: target 'z' is none of the choices ['x', 'y']" in message_of(tmp_path, rows, **OWN)
    rows = [{"q": "a", "a": "x", "b": "y", "label": 1}, {"q": "b", "a": "x", "b": "y", "label": 2}]
    assert "row 2: target 2 is none of the choices ['0', '1']" in message_of(tmp_path, rows, **OWN)


def test_a_row_with_an_empty_choice_is_dropped_and_counted(tmp_path: Path) -> None:
    rows = [{"q": "a", "a": "x", "b": "y", "label": 0}, {"q": "b", "a": "x", "b": "", "label": 0}]
    task = load_rows(tmp_path, rows, **OWN)
    assert (len(task.splits["test"].examples), task.counts["dropped_empty_choice"]) == (1, 1)


def test_the_same_question_with_other_choices_is_no_duplicate(tmp_path: Path) -> None:
    rows = [{"q": "a", "a": "x", "b": "y", "label": 0}, {"q": "a", "a": "x", "b": "z", "label": 0}]
    assert len(load_rows(tmp_path, rows, **OWN).splits["test"].examples) == 2


OPEN = {"kind": "generate", "choices": None, "columns": {"target": "answers"}, "split": ALL}


def test_a_list_holds_every_accepted_answer(tmp_path: Path) -> None:
    found = [["Paris", "paris", "the city"], "Rome", 42, ["x", "x"]]
    rows = [{"text": f"q{i}", "answers": answers} for i, answers in enumerate(found)]
    data = load_rows(tmp_path, rows, **OPEN).splits["test"]
    accepted = {e.fields["text"]: e.accepted for e in data.examples}
    assert accepted == {"q0": ("Paris", "paris", "the city"), "q1": ("Rome",), "q2": ("42",), "q3": ("x",)}
    assert data.labels == ()
    fewer = load_rows(tmp_path, [{**rows[0], "answers": ["Paris", "paris"]}, *rows[1:]], **OPEN).splits["test"]
    assert fewer.digest != data.digest


@pytest.mark.parametrize("answers", [[], [""], [["a"]], {"a": 1}])
def test_what_is_no_answer_is_said(tmp_path: Path, answers: Any) -> None:
    rows = [{"text": "q", "answers": answers}, {"text": "r", "answers": "fine"}]
    assert "row 1: target" in message_of(tmp_path, rows, **OPEN)


def test_a_text_alone_is_all_that_perplexity_asks_for(tmp_path: Path) -> None:
    columns = {"text": "body", "id": "key"}
    rows = [{"key": f"k{i}", "body": f"text {i}"} for i in range(3)]
    task = {"kind": "perplexity", "choices": None, "prompt": None, "columns": columns, "split": ALL}
    found = load_rows(tmp_path, rows, baselines={"u": {"kind": "trivial", "strategy": "uniform"}}, **task)
    assert {(e.id, e.target, e.fields["text"]) for e in found.splits["test"].examples} == {
        (f"k{i}", f"text {i}", f"text {i}") for i in range(3)
    }
