"""What the gates ask of the whole comparison."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from mlbaseline.judge.decision.conditions import blocking, confirmatory, every_seed
from mlbaseline.records import Finding, Outcome, Registered, Severity
from mlbaseline.suite import Gates
from mlbaseline.suite.reading import load_suite
from tests.support.comparisons.judged import REGISTRATION, standing

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
    assert (by_code, by_severity, neither) == (["MLB400", "MLB401"], ["MLB400", "MLB401", "MLB402"], ["MLB400"])


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


def test_a_failed_error_blocks_by_default_and_a_waiver_lets_it_pass_with_its_reason() -> None:
    failed = Finding("MLB102", Severity.ERROR, Outcome.FAIL, "untouched models: none", title="Pretrained")
    passed = Finding("MLB101", Severity.ERROR, Outcome.PASS, "trivial baselines: majority")
    warning = Finding("MLB105", Severity.WARNING, Outcome.FAIL, "none")

    def found(gates: Gates) -> list[Finding]:
        return list(blocking(SUITE.model_copy(update={"gates": gates}), [passed, failed, warning]))

    assert found(Gates()) == [failed]
    (waived,) = found(Gates(waive={"MLB102": "rules only"}))
    assert (waived.code, waived.outcome, waived.evidence) == ("MLB102", "not_applicable", {"waived": "rules only"})
    assert waived.reason == "waived by the suite (rules only): untouched models: none"
    unknown = found(Gates(waive={"MLB999": "a check of another version"}))
    assert [(f.code, f.outcome) for f in unknown] == [("MLB102", "fail"), ("MLB999", "fail")]


def test_a_waiver_needs_a_code_and_a_reason_and_counts_as_a_rule() -> None:
    for waive in ({"error": "all of them"}, {"MLB102": ""}):
        with pytest.raises(ValidationError):
            Gates.model_validate({"waive": waive})
    with_waiver = SUITE.model_copy(update={"gates": SUITE.gates.model_copy(update={"waive": {"MLB102": "rules only"}})})
    assert "waive" not in SUITE.gates.model_dump()
    assert with_waiver.gates.model_dump()["waive"] == {"MLB102": "rules only"}
