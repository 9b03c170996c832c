"""Each row says whether its question stood before the first evaluation; dropped claims taint the family."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlbaseline.judge.contrasts.preregistered import mark_registered
from mlbaseline.records import Registered, Registration
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import parse_suite
from tests.support.comparisons.judged import REGISTRATION, comparison
from tests.support.ladders.suites import JUDGED, fill

ROWS = (
    comparison(candidate="lora", baseline="floor"),
    comparison(candidate="lora", baseline="base"),
    comparison(candidate="lora", baseline="base", role="guardrail", margin=-0.1),
    comparison(candidate="lora", baseline="base", role="guardrail", margin=-0.1, slice="half", slice_value="a"),
    comparison(candidate="lora", baseline="base", role="exploratory", margin=None, outcome=None),
)


def suite(old: str = "", new: str = "") -> Suite:
    text = fill(JUDGED, correction="holm", metric="accuracy")
    assert old in text
    return parse_suite(text.replace(old, new) if old else text)


def statuses(first: Suite, now: Suite) -> list[str]:
    late: Registration = replace(REGISTRATION, status=Registered.AFTER, first_claims=first.matrix.claims())
    return [row.registered for row in mark_registered(now, late, ROWS)]


def test_the_same_rules() -> None:
    assert [r.registered for r in mark_registered(suite(), REGISTRATION, ROWS)] == [*["before"] * 4, "no"]


def test_what_stood_in_both_is_from_before() -> None:
    first = suite("over: [floor, base]", "over: [floor]")
    assert statuses(first, suite()) == ["before", "after", "before", "before", "no"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("margin: -0.1", "margin: -0.05", ["before", "before", "after", "after", "no"]),
        (", slices: [half]", "", ["before", "before", "before", "after", "no"]),
        ("correction: holm", "correction: none", ["after", "after", "before", "before", "no"]),
        ("correction: holm", "level: 0.9", ["after", "after", "after", "after", "no"]),
        ("correction: holm", "min_slice_examples: 50", ["before", "before", "before", "after", "no"]),
    ],
)
def test_what_a_test_depends_on_is_part_of_the_claim(old: str, new: str, expected: list[str]) -> None:
    assert statuses(suite(old, new), suite()) == expected


def test_a_family_that_lost_a_contrast_is_corrected_for_less_than_was_registered() -> None:
    wider = suite("over: [floor, base]", "over: [floor, base, annotator]")
    assert statuses(wider, suite()) == ["after", "after", "before", "before", "no"]
    fewer_guardrails = suite("over: [base], metric", "over: [base, floor], metric")
    assert statuses(fewer_guardrails, suite())[:2] == ["before", "before"]


def test_first_rules_that_nobody_can_show() -> None:
    unknown = replace(REGISTRATION, status=Registered.AFTER, first_claims=())
    assert [r.registered for r in mark_registered(suite(), unknown, ROWS)] == [*["after"] * 4, "no"]
