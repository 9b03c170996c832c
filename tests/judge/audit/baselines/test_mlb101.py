"""MLB101, with the rung and without it."""

from __future__ import annotations

from tests.support.comparisons.audit_subjects import finding, outcome, standings, subject

CODE = "MLB101"


def test_a_ladder_that_has_it() -> None:
    assert outcome(CODE, subject()) == "pass"


def test_a_rung_that_stands_in_the_suite_but_was_not_evaluated_is_missing() -> None:
    without = {name: standing for name, standing in standings().items() if name != "majority"}
    found = finding(CODE, subject(standings=without))
    assert found.outcome == "fail"
    assert "majority stands in the suite, but was not evaluated" in found.reason
