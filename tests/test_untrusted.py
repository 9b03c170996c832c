from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbaseline.errors import DataError
from mlbaseline.untrusted import (
    MAX_DEPTH,
    TimedPattern,
    escape_markdown,
    excerpt,
    map_texts,
    parse_json,
    printable,
    spreadsheet_cell,
)


@given(st.text())
def test_nothing_hidden_is_left(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert printable(shown) == shown
    hidden = [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs") and c not in "\n\t\u200c\u200d"]
    assert not hidden


def test_what_people_write_is_left_as_it_is() -> None:
    text = "Größe: 3 µm\n\tΔ −1 😀 👩‍👩‍👧 नमस्ते"
    assert printable(text) == text


@given(st.text(), st.integers(1, 50))
def test_an_excerpt_is_one_clean_short_line(text: str, limit: int) -> None:
    shown = excerpt(text, limit)
    assert len(shown) <= limit + 2
    assert "\n" not in shown
    assert printable(shown) == shown


def test_a_text_is_cleaned_before_it_is_cut() -> None:
    assert excerpt("abc\x1b[2J" + "d" * 100, 6) == "abc�[2 …"
    assert excerpt("short", 5) == "short"


json_documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_documents)
def test_documents_come_back(document: object) -> None:
    assert parse_json(json.dumps(document)) == document
    assert map_texts(document, str) == document


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "nested"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "nested"),
        ('{"a": NaN}', "NaN"),
        ("[-Infinity]", "Infinity"),
        ("1" * 5_000, "digits"),
        ("{", "Expecting"),
    ],
)
def test_a_document_out_of_bounds_is_no_document(content: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(content)


def test_texts_are_changed_at_every_depth() -> None:
    changed = map_texts({"a key": ["key", {"b": "my key", "n": 1}]}, lambda text: text.replace("key", "…"))
    assert changed == {"a …": ["…", {"b": "my …", "n": 1}]}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_formula_is_shown_as_text(text: str) -> None:
    assert spreadsheet_cell(text) == f"'{text}"


def test_other_cells_are_left_as_they_are() -> None:
    assert spreadsheet_cell("a = b") == "a = b"


def test_a_pattern_without_end_is_ended() -> None:
    pattern = TimedPattern(r"^(a|aa)+$", "task.extract")
    with pytest.raises(DataError, match=r"task.extract: the pattern .* without them"):
        pattern.search("a" * 60 + "b")  # by itself it would take years
    assert pattern.search("aaa") is not None


@pytest.mark.parametrize("text", ["a" * 26, "a" * 40 + "!", "one two: three"])
def test_a_pattern_that_hangs_in_the_module_re(text: str) -> None:
    match = TimedPattern(r"(\w+\s?)*:", "task.extract").search(text)
    assert (match[0] if match else None) == ("one two:" if ":" in text else None)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain words, 3.5 + 2: fine", "plain words, 3.5 + 2: fine"),
        ("# heading", r"\# heading"),
        ("- item", r"\- item"),
        ("1. item", r"\1. item"),
        ("a | b", r"a \| b"),
        ("<b>*x*</b>", r"\<b\>\*x\*\</b\>"),
        ("![i](http://x)", r"\!\[i\](http\://x)"),
    ],
)
def test_markdown_from_data_is_shown_as_it_is(text: str, escaped: str) -> None:
    assert escape_markdown(text) == escaped
