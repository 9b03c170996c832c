from __future__ import annotations

from dataclasses import replace

import pytest

from mlbaseline.records import Mismatch, MismatchEffect
from mlbaseline.report.view_builder import build_view
from tests.support.comparisons import assessments as given
from tests.support.comparisons import odd_assessments as odd


def test_the_verdict_names_the_checkpoint_that_would_be_promoted() -> None:
    view = build_view(given.promote())
    assert (view.title, view.tone) == ("Promote full, seed 1", "better")
    verdict = replace(given.promote().verdict, winner_seed=None)
    assert build_view(replace(given.promote(), verdict=verdict)).title == "Promote full"


def test_a_hold_and_an_inconclusive_verdict_promote_nobody() -> None:
    assert (build_view(given.hold()).title, build_view(given.hold()).tone) == ("Hold", "worse")
    assert (build_view(given.inconclusive()).title, build_view(given.inconclusive()).tone) == ("Inconclusive", "open")


def test_the_facts_count_what_passed() -> None:
    facts = {fact.label: (fact.text, fact.tone) for fact in build_view(given.hold()).facts}
    assert facts["Primary contrasts"] == ("4 of 4 pass", "better")
    assert facts["Guardrails"] == ("4 of 5 pass; 1 fails", "worse")
    assert facts["Gates and checks"] == ("3 of 4 pass; 1 fails", "worse")
    assert facts["Test examples"] == ("300", "")
    assert facts["Runs differ in"] == ("engine.precision", "open")
    assert {f.label: f.tone for f in build_view(given.inconclusive()).facts}["Primary contrasts"] == "open"


def test_what_is_not_known_is_not_called_a_difference() -> None:
    base = given.hold()
    unknown = Mismatch("prompt.template", "unknown", "unknown", MismatchEffect.WARN)
    view = build_view(replace(base, mismatches=(*base.mismatches, unknown)))
    facts = {fact.label: fact.text for fact in view.facts}
    assert facts["Runs differ in"] == "engine.precision"
    assert facts["Not known of some runs"] == "prompt.template"


def test_the_facts_say_when_the_rules_were_registered_and_how_often_test_was_looked_at() -> None:
    late = {fact.label: (fact.text, fact.tone) for fact in build_view(given.hold()).facts}
    assert late["Rules registered"] == ("after the first evaluation", "open")
    assert late["Looks at test"] == ("4", "")
    early = {fact.label: (fact.text, fact.tone) for fact in build_view(given.promote()).facts}
    assert early["Rules registered"] == ("before the first evaluation", "better")


def test_the_facts_name_what_failed_the_audit() -> None:
    promoted, held = (
        next((fact.text, fact.tone) for fact in build_view(assessment).facts if fact.label == "Audit")
        for assessment in (given.promote(), given.hold())
    )
    assert promoted == ("1 of 3 pass; warning: MLB305 Enough power; 1 remark", "open")
    named = "error: MLB401 No leakage between splits; warning: MLB305 Enough power"
    assert held == (f"1 of 4 pass; {named}; 1 remark", "worse")


def test_the_sections_in_reading_order() -> None:
    assert [section.key for section in build_view(given.hold()).sections] == [
        "glance",
        "ladder",
        "primary",
        "guardrail",
        "exploratory",
        "classes",
        "examples",
        "slices",
        "cost",
        "findings",
        "audit",
        "next",
        "comparability",
        "warnings",
        "reproducibility",
    ]


@pytest.mark.parametrize("name", odd.ALL)
def test_no_section_is_empty_and_every_row_fits_its_columns(name: str) -> None:
    for section in build_view(odd.ALL[name]()).sections:
        assert section.blocks
        for block in section.blocks:
            for row in getattr(block, "rows", ()):
                assert len(row.cells) == len(block.columns)  # type: ignore[union-attr]


def test_an_empty_assessment_is_a_verdict_and_nothing_else() -> None:
    view = build_view(odd.empty())
    assert (view.sentence, view.reason) == ("nothing was evaluated.", "")
    assert view.sections == ()
