from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlbaseline.errors import SuiteError
from mlbaseline.suite.bounded_yaml import MAX_CHARACTERS, load_bounded
from mlbaseline.suite.reading import parse_suite

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, r"line 5: stands for 66,\d+ keys and values"),
        ("a: &a [1, *a]", "line 1: an alias stands inside what it names"),
        ("a: &a {b: {c: *a}}", "an alias stands inside"),
        ("[" * 3_000, "nested"),
        ("[" * 60 + "]" * 60, "line 1: is nested more than 50"),
        ("n: " + "1" * 5_000, "a value cannot be read"),
        ("n: !!timestamp 2001-99-99", "a value cannot be read"),
        ("n: !!int many", "a value cannot be read"),
        ("? [a, b]\n: c", "a key is a list or mapping"),
        ("a: !!python/object/apply:os.system [echo]", "could not determine a constructor"),
        ("a: \x00", "not valid YAML"),
        ("a: 1\n---\nb: 2", "not valid YAML"),
        ("a" * (MAX_CHARACTERS + 1), "characters, expected at most"),
    ],
)
def test_what_exceeds_a_limit_or_cannot_be_read_is_one_clear_error(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_bounded(text)
    with pytest.raises(SuiteError, match=message):
        parse_suite(text)


def test_aliases_within_the_limits_are_read() -> None:
    assert load_bounded("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}")[1] == {
        "a": {"x": 1},
        "b": {"x": 1},
        "c": {"x": 1, "y": 2},
    }


@pytest.mark.parametrize("text", ['name: "a\\0b"', 'name: "\\ud83d"', '"\\ud83d": x'])
def test_what_no_text_has_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="line 1: holds a NUL or half of a character"):
        load_bounded(text)


def test_a_date_is_a_text() -> None:
    assert load_bounded("a: 2001-99-99\nb: 2001-01-01")[1] == {"a": "2001-99-99", "b": "2001-01-01"}


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(plain)
def test_ordinary_documents_come_back(document: object) -> None:
    assert load_bounded(yaml.safe_dump(document))[1] == document


@given(st.text(alphabet=st.sampled_from("ab:[]{}&*!?|>-'\"#,\n 0123<=.~%@\t")))
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(SuiteError):  # none of them is a whole suite
        parse_suite(text)


@given(
    st.dictionaries(st.sampled_from(["name", "task", "metrics", "seeds", "baselines", "matrix", "gates", "x"]), plain)
)
def test_any_content_is_read_or_refused(content: object) -> None:
    with pytest.raises(SuiteError):
        parse_suite(yaml.safe_dump(content))
