"""MLB105, with the rung and without it."""

from __future__ import annotations

from dataclasses import replace

from tests.support.comparisons.audit_subjects import finding, outcome, standings, subject

CODE = "MLB105"


def test_a_ladder_that_has_it() -> None:
    assert outcome(CODE, subject()) == "pass"


def test_a_rung_that_stands_in_the_suite_but_was_not_evaluated_is_missing() -> None:
    without = {name: standing for name, standing in standings().items() if name != "full"}
    found = finding(CODE, subject(standings=without))
    assert found.outcome == "fail"
    assert "full stands in the suite, but was not evaluated" in found.reason


def test_the_model_in_use_counts_too() -> None:
    found = standings()
    deployed = {**found, "full": replace(found["full"], baseline="champion", kind="production")}
    assert outcome(CODE, subject(standings=deployed)) == "pass"
