"""MLB204: seconds of one machine."""

from __future__ import annotations

from dataclasses import replace

from tests.support.audit_subjects import finding, outcome, standings, subject
from tests.support.judged import MACHINE


def test_one_machine() -> None:
    assert outcome("MLB204", subject()) == "pass"


def test_another_processor_on_one_side() -> None:
    found = standings()
    found["full"] = replace(found["full"], measured_on={**MACHINE, "hardware.cpu": "another"})
    ruling = finding("MLB204", subject(standings=found))
    assert (ruling.outcome, ruling.evidence["fields"]) == ("fail", {"lora over full": ["hardware.cpu"]})
    assert "latencies are not compared: lora over full differ in hardware.cpu" in ruling.reason


def test_without_a_latency_there_is_nothing_to_compare() -> None:
    found = {name: replace(s, cost=replace(s.cost, latency_p95_s=None)) for name, s in standings().items()}
    assert outcome("MLB204", subject(standings=found)) == "not_applicable"
