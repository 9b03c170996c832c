"""MLB106: the champion of the registered model is among what a candidate is compared with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlbaseline.judge.audit import Champion
from mlbaseline.judge.ladder import build_ladder
from mlbaseline.results import CompletedEvaluation
from tests.support.comparisons.audit_subjects import KINDS, finding, outcome, rung, subject, suite
from tests.support.comparisons.judged import comparison

WITH_CHAMPION = suite(
    "  full: {kind: full", "  now: {kind: production, uri: 'models:/m@champion'}\n  full: {kind: full"
)
CHAMPION = Champion("m/3", None)


def evaluated(version: str) -> CompletedEvaluation:
    """An evaluation of the champion's rung, `now`, when that was this version."""
    (run,) = rung("zero_shot", **{"model.version": version})
    return replace(run, table=replace(run.table, baseline="now", kind="production"))


def with_champion(version: str, role: str) -> str:
    runs = [*(one for name in KINDS for one in rung(name)), evaluated(version)]
    margin = None if role == "exploratory" else 0.0
    rows = [comparison(baseline="majority"), comparison(baseline="now", role=role, margin=margin)]
    ladder = build_ladder(WITH_CHAMPION, runs)
    return outcome("MLB106", subject(ladder=ladder, comparisons=rows, champion=CHAMPION))


@pytest.mark.parametrize("role", ["primary", "guardrail"])
def test_a_registered_contrast_with_the_champion(role: str) -> None:
    assert with_champion("m/3", role) == "pass"


@pytest.mark.parametrize(("version", "role"), [("m/2", "guardrail"), ("m/3", "exploratory")])
def test_an_earlier_version_or_an_exploratory_row_is_not_that(version: str, role: str) -> None:
    assert with_champion(version, role) == "fail"


def test_a_suite_that_does_not_name_the_champion() -> None:
    found = finding("MLB106", subject(champion=CHAMPION))
    assert (found.outcome, found.severity, found.evidence["candidates"]) == ("fail", "error", ["lora"])


def test_the_champion_itself_needs_no_comparison_with_itself() -> None:
    of = subject()
    run_id = of.ladder.checkpoints["lora"].evaluation.run_id
    assert outcome("MLB106", subject(champion=Champion("m/3", run_id))) == "pass"


def test_without_a_champion_it_does_not_apply() -> None:
    assert outcome("MLB106", subject()) == "not_applicable"
