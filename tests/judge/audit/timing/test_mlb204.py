"""MLB204: seconds of one machine."""

from __future__ import annotations

from dataclasses import replace

from tests.support.comparisons.audit_subjects import finding, outcome, standings, subject
from tests.support.comparisons.judged import COST, MACHINE


def test_one_machine() -> None:
    assert outcome("MLB204", subject()) == "pass"


def test_another_processor_on_one_side() -> None:
    found = standings()
    found["full"] = replace(found["full"], measured_on={**MACHINE, "hardware.cpu": "another"})
    ruling = finding("MLB204", subject(standings=found))
    assert (ruling.outcome, ruling.evidence["fields"]) == ("fail", {"lora over full": ["hardware.cpu"]})
    assert "latencies are not compared: lora over full differ in hardware.cpu, and no reference" in ruling.reason


def test_another_machine_with_a_reference_is_told_of_as_normalised() -> None:
    found = standings()
    for name, cpu, speed in (("lora", "a processor", 1.0), ("full", "another", 0.5)):
        speeds = {"matmul": speed * 1e11, "copy": speed * 1e10, "pass": 1.2 * speed * 1e3}
        cost = replace(COST, reference_s=0.002 / speed, reference_speeds=speeds)
        facts = {**MACHINE, "hardware.cpu": cpu, "hardware.threads": "2"}
        found[name] = replace(found[name], cost=cost, measured_on=facts)
    ruling = finding("MLB204", subject(standings=found))
    assert ruling.outcome == "fail"  # a warning, and one that a suite may let block
    assert ruling.evidence["normalised"] == {"lora over full": [0.5, 1.0]}
    assert "measured on another machine; normalised by the reference workload (× 0.5" in ruling.reason


def test_without_a_latency_there_is_nothing_to_compare() -> None:
    found = {name: replace(s, cost=replace(s.cost, latency_p95_s=None)) for name, s in standings().items()}
    assert outcome("MLB204", subject(standings=found)) == "not_applicable"
