"""MLB103: the model in use is there, declared, or not asked for."""

from __future__ import annotations

from dataclasses import replace

from tests.support.comparisons.audit_subjects import outcome, standings, subject, suite


def test_production_that_was_evaluated() -> None:
    found = standings()
    deployed = {**found, "full": replace(found["full"], baseline="champion", kind="production")}
    assert outcome("MLB103", subject(standings=deployed)) == "pass"


def test_a_declared_model_that_does_not_exist_yet_passes_and_an_undeclared_one_is_not_asked_for() -> None:
    declared = suite("matrix:", '  champion: {kind: production, uri: "models:/m@champion", optional: true}\nmatrix:')
    assert outcome("MLB103", subject(of=declared)) == "pass"
    forgotten = suite("matrix:", "  champion: {kind: production, recorded: {path: x.csv}}\nmatrix:")
    assert outcome("MLB103", subject(of=forgotten)) == "fail"
    assert outcome("MLB103", subject()) == "not_applicable"
