"""What decides is an enumeration that reads, everywhere it is written, as the text that it always was."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from mlbaseline.records import Decision, Finding, Outcome, Role, Severity
from mlbaseline.records.decisions import StoredText
from mlbaseline.workflows.command_result import exit_code_of

KINDS = [kind for kind in StoredText.__subclasses__() if kind.__module__.startswith("mlbaseline.records.")]
"""Those of the records. Which others there are depends on what has been imported."""
EVERY = [member for kind in KINDS for member in kind]


def test_stored_values() -> None:
    assert {kind.__name__: [member.value for member in kind] for kind in KINDS} == {
        "Decision": ["promote", "hold", "inconclusive"],
        "Outcome": ["pass", "fail", "inconclusive", "not_applicable"],
        "Severity": ["error", "warning", "info"],
        "GateCode": [
            *("superiority", "guardrail", "standing", "winner"),
            *("min_seeds", "min_examples", "seeds", "answered", "counted", "confirmatory", "looks", "measured"),
            *("error_rate", "latency_p95", "latency_p99", "cost_per_query", "peak_memory"),
        ],
        "Role": ["primary", "guardrail", "exploratory"],
        "Estimand": ["checkpoint", "recipe"],
        "Registered": ["before", "after", "no"],
        "MismatchEffect": ["refuse", "warn", "cost", "own"],
        "LookOutcome": ["efficacy", "harm", "futility", "continue"],
        "StopStatus": ["settled", "whole", "unsettled", "unplanned"],
        "Change": ["won", "lost", "both_wrong", "both_right"],
    }


@pytest.mark.parametrize("member", EVERY, ids=repr)
def test_every_way_of_writing_gives_the_stored_text(member: StoredText) -> None:
    text = member.value
    assert (str(member), f"{member}", f"{member:>4}".strip(), "%s" % member) == (text,) * 4  # noqa: UP031
    assert json.dumps(member) == to_json(member).decode() == f'"{text}"'
    assert (member == text, {text: 1}[member]) == (True, 1)


def test_a_column_of_members_is_a_column_of_text(tmp_path: Path) -> None:
    members = [*Role, *Outcome]
    pd.DataFrame({"x": members}).to_parquet(tmp_path / "members.parquet")
    pd.DataFrame({"x": [member.value for member in members]}).to_parquet(tmp_path / "texts.parquet")
    assert (tmp_path / "members.parquet").read_bytes() == (tmp_path / "texts.parquet").read_bytes()


def test_an_unknown_value_is_not_read_back() -> None:
    stored = to_json(Finding("x", Severity.ERROR, Outcome.PASS, ""))
    assert TypeAdapter(Finding).validate_json(stored).outcome is Outcome.PASS
    with pytest.raises(ValidationError, match="outcome"):
        TypeAdapter(Finding).validate_json(stored.replace(b'"pass"', b'"passed"'))


def test_only_a_pass_and_what_does_not_apply_allow_a_promotion() -> None:
    assert [outcome for outcome in Outcome if outcome.allows_promotion] == [Outcome.PASS, Outcome.NOT_APPLICABLE]


def test_every_decision_has_its_exit_code() -> None:
    assert {decision.value: exit_code_of(decision) for decision in Decision} == {
        "promote": 0,
        "hold": 3,
        "inconclusive": 4,
    }
