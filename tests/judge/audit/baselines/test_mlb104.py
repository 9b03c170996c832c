"""MLB104, with the rung and without it."""

from __future__ import annotations

from dataclasses import replace

from mlbaseline.judge.audit import AuditInput
from tests.support.comparisons.audit_subjects import finding, outcome, standings, subject, suite

CODE = "MLB104"


def test_a_ladder_that_has_it() -> None:
    assert outcome(CODE, subject()) == "pass"


def test_a_rung_that_stands_in_the_suite_but_was_not_evaluated_is_missing() -> None:
    without = {name: standing for name, standing in standings().items() if name != "lora"}
    found = finding(CODE, subject(standings=without))
    assert found.outcome == "fail"
    assert "lora stands in the suite, but was not evaluated" in found.reason


def recorded(lora: str) -> AuditInput:
    written = suite(
        "{kind: pretrained, model: {source: m}}\n  lora: {kind: peft, method: lora, base: zero_shot, epochs: 2, "
        "learning_rate: 1.0e-3}\n  full: {kind: full, base: zero_shot, epochs: 2, learning_rate: 1.0e-4}",
        f"{{kind: pretrained, recorded: {{path: x.csv}}}}\n  lora: {{kind: {lora}, recorded: imported}}\n"
        "  full: {kind: pretrained, recorded: imported}",
    )
    return subject(of=written, standings={name: replace(found, kind="x") for name, found in standings().items()})


def test_a_suite_of_recorded_answers_trains_nothing_unless_it_names_a_fine_tune() -> None:
    assert [outcome(code, recorded("pretrained")) for code in (CODE, "MLB105")] == ["not_applicable"] * 2
    assert [outcome(code, recorded("peft")) for code in (CODE, "MLB105")] == ["fail", "not_applicable"]
