"""The top of the report: the decision, and the facts that a reader needs before everything else."""

from __future__ import annotations

from collections.abc import Sequence

from mlbaseline.records import Verdict
from mlbaseline.report import formats
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.sections.findings import audit_fact
from mlbaseline.report.sections.slice_exploration import search_fact
from mlbaseline.report.view import Fact, Tone


def verdict_title(verdict: Verdict) -> str:
    """Give the decision in a few words: `Promote lora, seed 1`."""
    decision = formats.clean(verdict.decision).capitalize()
    if verdict.decision == "promote" and verdict.winner:
        seed = "" if verdict.winner_seed is None else f", seed {verdict.winner_seed}"
        return f"{decision} {formats.clean(verdict.winner)}{seed}"
    return decision


def key_facts(presenter: Presenter) -> tuple[Fact, ...]:
    """Summarise outcomes, sizes, registration, slices and the audit, a few words each."""
    assessment = presenter.assessment
    outcomes: dict[str, list[str | None]] = {
        "Primary contrasts": [row.outcome for row in presenter.registered if row.role == "primary"],
        "Guardrails": [row.outcome for row in presenter.registered if row.role == "guardrail"],
        "Gates and checks": [f.outcome for f in assessment.verdict.findings if f.outcome != "not_applicable"],
    }
    facts = [_passed(label, values) for label, values in outcomes.items() if values]
    sizes = [estimate.n for standing in assessment.standings for estimate in standing.metrics.values()]
    if sizes:
        facts.append(Fact("Test examples", formats.count(max(sizes))))
    facts.append(Fact("Confidence level", presenter.level))
    facts += _registration(presenter)
    if searched := search_fact(presenter):
        facts.append(searched)
    if audited := audit_fact(presenter):
        facts.append(audited)
    if assessment.mismatches:
        facts.append(Fact("Warnings", formats.count(len(assessment.mismatches)), "open"))
    return tuple(facts)


def _registration(presenter: Presenter) -> tuple[Fact, ...]:
    registration = presenter.assessment.registration
    if registration.is_confirmatory:
        when = Fact("Rules registered", "before the first evaluation", "better")
    else:
        n_before = sum(row.registered == "before" for row in presenter.registered)
        partly = f"; {n_before} of {len(presenter.registered)} contrasts stood before it" if n_before else ""
        when = Fact("Rules registered", f"after the first evaluation{partly}", "open")
    return when, Fact("Looks at test", formats.count(registration.test_looks))


def _passed(label: str, outcomes: Sequence[str | None]) -> Fact:
    passed = sum(outcome == "pass" for outcome in outcomes)
    tone: Tone = "better" if passed == len(outcomes) else "worse" if "fail" in outcomes else "open"
    return Fact(label, f"{passed} of {len(outcomes)} pass", tone)
