"""What the gates ask of the whole comparison."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlbaseline.judge.conditions import confirmatory
from mlbaseline.suite import Gates
from mlbaseline.suite_file import load_suite
from tests.judge.builders import REGISTRATION

SUITE = load_suite("tweets").model_copy(update={"gates": Gates(confirmatory=True)})


@pytest.mark.parametrize(("status", "outcome"), [("before", "pass"), ("after", "fail"), ("nonsense", "fail")])
def test_confirmatory_asks_for_rules_from_before_the_first_evaluation(status: str, outcome: str) -> None:
    (finding,) = confirmatory(SUITE, replace(REGISTRATION, status=status))
    assert (finding.code, finding.severity, finding.outcome) == ("confirmatory", "error", outcome)
    if outcome == "fail":
        assert "run r0 started under the rules mmmmmmmmmmmm" in finding.reason


def test_without_the_gate_nothing_is_asked() -> None:
    suite = SUITE.model_copy(update={"gates": Gates()})
    assert not list(confirmatory(suite, replace(REGISTRATION, status="after")))
