from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbaseline import formats

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("half_widths", "decimals"),
    [([0.056, 0.051], 3), ([0.0042], 4), ([0.5], 2), ([12.0], 0), ([1e-12], 6), ([], 3), ([NAN, INF, None, 0.0], 3)],
)
def test_decimals_show_the_uncertainty_with_two_digits(half_widths: list[float], decimals: int) -> None:
    assert formats.decimals_for(half_widths) == decimals


def test_one_thing_is_no_plural() -> None:
    assert [formats.counted(n, "row") for n in (0, 1, 1200)] == ["0 rows", "1 row", "1,200 rows"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.11349, "+0.113"),
        (-0.042, "−0.042"),
        (-0.0001, "0.000"),
        (0.0, "0.000"),
        (None, "—"),
        (NAN, "—"),
        (INF, "+∞"),
        (-INF, "−∞"),
        (1234.5, "+1,234.500"),
        (-4e12, "−4.00×10¹²"),
    ],
)
def test_signed_numbers(value: float | None, text: str) -> None:
    assert formats.fixed(value, 3, sign=True) == text


def test_an_interval_with_one_open_end_is_shown_and_an_unknown_one_is_not() -> None:
    assert formats.interval(-INF, 0.1, 2, sign=True) == "[−∞, +0.10]"
    assert formats.interval(NAN, None) == "—"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.03417, "0.0342"), (12.34, "12.3"), (999.6, "1,000"), (3.4e-6, "3.40×10⁻⁶"), (0, "0"), (-0.5, "−0.500")],
)
def test_significant_digits(value: float, text: str) -> None:
    assert formats.significant(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3.1e-6, "3.10 µs"),
        (0.142, "142 ms"),
        (0.9999, "1.00 s"),
        (1.24, "1.24 s"),
        (99.97, "1 min 40 s"),
        (192, "3 min 12 s"),
        (3599.7, "1 h 00 min"),
        (18420, "5 h 07 min"),
        (0, "0 s"),
        (None, "—"),
        (NAN, "—"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(310, "310 B"), (999_700_000, "1.00 GB"), (1_840_000_000, "1.84 GB"), (7e13, "70.0 TB"), (None, "—")],
)
def test_memory(size: float | None, text: str) -> None:
    assert formats.memory(size) == text


@pytest.mark.parametrize(("p", "text"), [(0.0004, "<0.001"), (0.034, "0.034"), (1.0, "1.000"), (NAN, "—")])
def test_p_values(p: float, text: str) -> None:
    assert formats.probability(p) == text


@pytest.mark.parametrize(("share", "text"), [(0, "0%"), (0.95, "95%"), (0.0033, "0.33%"), (1.0, "100%"), (None, "—")])
def test_percentages(share: float | None, text: str) -> None:
    assert formats.percent(share) == text


@pytest.mark.parametrize(
    ("count", "n", "text"),
    [(2, 300, "0.7%"), (1, 100, "1%"), (7, 9_000, "0.08%"), (955, 38_158, "2.5%"), (0, 300, "0%")],
)
def test_percentages_have_no_digit_that_one_example_would_change(count: int, n: int, text: str) -> None:
    assert formats.percent(count / n, n) == text


@pytest.mark.parametrize(
    ("prices", "batch"), [([0.02, 1e-6], 1), ([4.1e-4, 0.0], 1_000), ([1.6e-6], 1_000_000), ([None, NAN], 1_000_000)]
)
def test_prices_are_for_as_many_queries_as_make_them_readable(prices: list[float], batch: int) -> None:
    assert formats.query_batch(prices)[0] == batch


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        (True, "yes"),
        (-3, "−3"),
        (10000, "10000"),
        (np.int64(7), "7"),
        (np.float32(NAN), "—"),
        (0.95, "0.95"),
        (1.0, "1"),
        ({"limit": 0.5, "found": NAN}, "limit 0.5, found —"),
        ([], "—"),
        ({"b", "a"}, "a, b"),
        (range(14), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, and 2 more"),
    ],
)
def test_any_value_of_a_context(value: object, text: str) -> None:
    assert formats.plain(value) == text


def test_a_name_cannot_act_on_the_reader() -> None:
    assert formats.clean("a\x1b[31m\n b\u202ec\ud800") == "a�[31m b�c�"
    assert formats.clean("می\u200cخواهم") == "می\u200cخواهم"


@given(st.floats(), st.integers(0, 6))
def test_no_number_is_shown_raw(value: float, decimals: int) -> None:
    shown = [
        formats.fixed(value, decimals, sign=True),
        formats.significant(value),
        formats.probability(value),
        formats.percent(value),
        formats.duration(value),
        formats.memory(value),
        formats.plain(value),
    ]
    for text in shown:
        assert text
        assert not any(raw in text.lower() for raw in ("nan", "inf", "none", "e+", "e-", "-"))


@given(st.text())
def test_cleaned_text_is_one_line_that_can_be_encoded(text: str) -> None:
    cleaned = formats.clean(text)
    assert len(cleaned.splitlines()) <= 1
    cleaned.encode()


def test_moment() -> None:
    assert formats.moment(1_767_261_600_000) == "2026-01-01 10:00 UTC"
    assert formats.moment(-(10**18)) == formats.MISSING
