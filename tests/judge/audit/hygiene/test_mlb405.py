"""MLB405: what is measured around the rows is under a digest, too."""

from __future__ import annotations

from dataclasses import replace

from mlbaseline.judge.decision.conditions import measured_under_digest
from mlbaseline.suite import Gates
from tests.support.comparisons.audit_subjects import KINDS, finding, outcome, rung, subject


def test_runs_with_measured_json() -> None:
    assert outcome("MLB405", subject()) == "pass"


def test_runs_of_an_earlier_version_are_named_and_a_budget_holds_them() -> None:
    runs = [replace(run, is_measured_digested=name != "lora") for name in KINDS for run in rung(name)]
    earlier = subject(runs)
    found = finding("MLB405", earlier)
    assert (found.outcome, found.severity) == ("fail", "warning")
    assert found.evidence == {"runs": ["run-lora-0", "run-lora-1", "run-lora-2"]}
    assert list(measured_under_digest(earlier.suite, earlier.ladder)) == []
    budget = earlier.suite.model_copy(update={"gates": Gates(peak_memory_bytes=1)})
    (held,) = measured_under_digest(budget, earlier.ladder)
    assert (held.outcome, held.evidence["candidates"]) == ("fail", ["lora"])
    assert list(measured_under_digest(budget, subject().ladder)) == []
