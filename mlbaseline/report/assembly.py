"""Assessment ─▶ View: the verdict first, then the sections in reading order."""

from __future__ import annotations

from collections.abc import Sequence

from mlbaseline.records import Assessment, Verdict
from mlbaseline.report import closing, formats
from mlbaseline.report.comparability import comparability
from mlbaseline.report.contrasts import contrasts, forest
from mlbaseline.report.cost import cost
from mlbaseline.report.finetunes import fine_tunes
from mlbaseline.report.ladder import ladder
from mlbaseline.report.published import published
from mlbaseline.report.slices import slices
from mlbaseline.report.tradeoff import tradeoffs
from mlbaseline.report.view import Fact, Section, Tone, View
from mlbaseline.report.wording import Wording

_TONES: dict[str, Tone] = {"promote": "better", "hold": "worse", "inconclusive": "open"}


def view_of(assessment: Assessment) -> View:
    """Everything that a report says, as text and as figures."""
    wording = Wording(assessment)
    verdict = assessment.verdict
    glance = tuple(figure for figure in (forest(wording), *tradeoffs(wording, money=True)) if figure)
    sections = (
        Section("glance", "At a glance", glance) if glance else None,
        ladder(wording),
        fine_tunes(wording),
        *contrasts(wording),
        published(wording),
        slices(wording),
        cost(wording),
        closing.findings(wording),
        closing.audit(wording),
        closing.next_steps(wording),
        comparability(wording),
        closing.warnings(wording),
        closing.reproducibility(wording),
    )
    return View(
        suite=formats.clean(assessment.suite),
        title=_title(verdict),
        reason=formats.clean(verdict.reason),
        tone=_TONES.get(verdict.decision, "open"),
        facts=_facts(wording),
        sections=tuple(section for section in sections if section is not None),
    )


def _title(verdict: Verdict) -> str:
    decision = formats.clean(verdict.decision).capitalize()
    if verdict.decision == "promote" and verdict.winner:
        seed = "" if verdict.winner_seed is None else f", seed {verdict.winner_seed}"
        return f"{decision} {formats.clean(verdict.winner)}{seed}"
    return decision


def _facts(wording: Wording) -> tuple[Fact, ...]:
    assessment = wording.assessment
    outcomes: dict[str, list[str | None]] = {
        "Primary contrasts": [row.outcome for row in wording.registered if row.role == "primary"],
        "Guardrails": [row.outcome for row in wording.registered if row.role == "guardrail"],
        "Gates and checks": [f.outcome for f in assessment.verdict.findings if f.outcome != "not_applicable"],
    }
    facts = [_passed(label, found) for label, found in outcomes.items() if found]
    sizes = [e.n for standing in assessment.standings for e in standing.metrics.values()]
    if sizes:
        facts.append(Fact("Test examples", formats.count(max(sizes))))
    facts.append(Fact("Confidence level", wording.level))
    facts += _registration(wording)
    if audited := closing.audit_fact(wording):
        facts.append(audited)
    if assessment.mismatches:
        facts.append(Fact("Warnings", formats.count(len(assessment.mismatches)), "open"))
    return tuple(facts)


def _registration(wording: Wording) -> tuple[Fact, ...]:
    registration = wording.assessment.registration
    if registration.is_confirmatory:
        when = Fact("Rules registered", "before the first evaluation", "better")
    else:
        kept = sum(row.registered == "before" for row in wording.registered)
        still = f"; {kept} of {len(wording.registered)} contrasts stood before it" if kept else ""
        when = Fact("Rules registered", f"after the first evaluation{still}", "open")
    return when, Fact("Looks at test", formats.count(registration.test_looks))


def _passed(label: str, outcomes: Sequence[str | None]) -> Fact:
    passed = sum(outcome == "pass" for outcome in outcomes)
    tone: Tone = "better" if passed == len(outcomes) else "worse" if "fail" in outcomes else "open"
    return Fact(label, f"{passed} of {len(outcomes)} pass", tone)
