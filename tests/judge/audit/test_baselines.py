"""MLB1xx on ladders that lack a rung."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.judge.audit.subjects import finding, outcome, standings, subject


@pytest.mark.parametrize(
    ("code", "rung"), [("MLB101", "majority"), ("MLB102", "zero_shot"), ("MLB104", "lora"), ("MLB105", "full")]
)
def test_a_rung_that_stands_in_the_suite_but_was_not_evaluated_is_missing(code: str, rung: str) -> None:
    assert outcome(code, subject()) == "pass"
    without = {name: standing for name, standing in standings().items() if name != rung}
    found = finding(code, subject(standings=without))
    assert found.outcome == "fail"
    assert f"{rung} stands in the suite, but was not evaluated" in found.reason


def test_production_counts_as_included_and_as_high_water_mark() -> None:
    found = standings()
    deployed = {**found, "full": replace(found["full"], baseline="champion", kind="production")}
    assert outcome("MLB103", subject(standings=deployed)) == "pass"
    assert outcome("MLB105", subject(standings=deployed)) == "pass"
    assert outcome("MLB103", subject()) == "not_applicable"
