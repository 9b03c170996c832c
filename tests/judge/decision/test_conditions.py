"""What the gates ask of the whole comparison."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from mlbaseline.judge.decision.conditions import blocking, confirmatory, every_seed
from mlbaseline.records import Finding, Outcome, Registered, Severity
from mlbaseline.suite import Gates
from mlbaseline.suite_file import load_suite
from tests.judge.builders import REGISTRATION, standing

SUITE = load_suite("tweets").model_copy(update={"gates": Gates(confirmatory=True)})


@pytest.mark.parametrize(
    ("status", "outcome"), [(Registered.BEFORE, "pass"), (Registered.AFTER, "fail"), (Registered.NO, "fail")]
)
def test_confirmatory_asks_for_rules_from_before_the_first_evaluation(status: Registered, outcome: str) -> None:
    (finding,) = confirmatory(SUITE, replace(REGISTRATION, status=status))
    assert (finding.code, finding.severity, finding.outcome) == ("confirmatory", "error", outcome)
    if outcome == "fail":
        assert "run r0 started under the rules mmmmmmmmmmmm" in finding.reason


def test_without_the_gate_nothing_is_asked() -> None:
    suite = SUITE.model_copy(update={"gates": Gates()})
    assert not list(confirmatory(suite, replace(REGISTRATION, status="after")))


def test_the_audit_blocks_by_code_and_by_severity() -> None:
    severities = (Severity.ERROR, Severity.WARNING, Severity.WARNING)
    audited = [Finding(f"MLB40{n}", severity, Outcome.FAIL, "") for n, severity in enumerate(severities)]
    by_code, by_severity, neither = (
        [finding.code for finding in blocking(SUITE.model_copy(update={"gates": Gates(audit=named)}), audited)]
        for named in (("MLB401",), ("warning", "MLB402"), ())
    )
    assert (by_code, by_severity, neither) == (["MLB401"], ["MLB401", "MLB402"], [])


def test_a_check_that_does_not_exist_does_not_pass() -> None:
    suite = SUITE.model_copy(update={"gates": Gates(audit=("MLB999",))})
    (finding,) = blocking(suite, [])
    assert (finding.code, finding.outcome) == ("MLB999", "fail")


@pytest.mark.parametrize("name", ["mlb401", "fatal", "MLB4011"])
def test_only_codes_and_severities_can_be_named(name: str) -> None:
    with pytest.raises(ValidationError):
        Gates(audit=(name,))


def test_every_seed_of_the_suite_or_none() -> None:
    sides = ("lora", "full", "majority", "zero_shot")
    whole = {name: standing(name) for name in sides} | {"majority": standing("majority", run_ids={"none": "r"})}
    assert list(every_seed(SUITE, whole)) == []
    (finding,) = every_seed(SUITE, {**whole, "lora": standing("lora", run_ids={"0": "a", "2": "b"})})
    assert (finding.code, finding.outcome, finding.evidence["missing"]) == ("seeds", "fail", [1])
    assert finding.reason == "lora has no completed evaluation of seed 1, which the suite names"
    # A rung outside the matrix may have as few as it likes.
    assert list(every_seed(SUITE, {**whole, "few_shot": standing("few_shot", run_ids={"0": "a"})})) == []
