"""MLB201: several seeds of every candidate."""

from __future__ import annotations

from dataclasses import replace

from tests.support.comparisons.audit_subjects import finding, outcome, standings, subject


def test_seeds() -> None:
    assert outcome("MLB201", subject()) == "pass"
    two = {**standings(), "lora": replace(standings()["lora"], run_ids={"0": "a", "1": "b"})}
    assert "lora 2" in finding("MLB201", subject(standings=two)).reason
    assert outcome("MLB201", subject(standings=two)) == "fail"
    fixed = {**standings(), "lora": replace(standings()["lora"], run_ids={"none": "a"})}
    assert outcome("MLB201", subject(standings=fixed)) == "not_applicable"
