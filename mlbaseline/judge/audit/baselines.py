"""MLB1xx: does the ladder have the rungs without which a comparison says little?"""

from __future__ import annotations

from mlbaseline.judge.audit.check import AuditInput, Check, CheckResult, does_not_apply, failed, passed
from mlbaseline.records import Role, Severity
from mlbaseline.suite import External, Human, Recorded, Trivial


def _has(subject: AuditInput, what: str, *kinds: str) -> CheckResult:
    if found := subject.of_kind(*kinds):
        return passed(f"{what}: {', '.join(found)}", baselines=found)
    declared = [name for kind in kinds for name in subject.suite.of_kind(kind)]
    if declared:
        return failed(f"{what}: {', '.join(declared)} stands in the suite, but was not evaluated", baselines=declared)
    return failed(f"{what}: none. Add a baseline of kind {' or '.join(kinds)}")


def _has_fine_tune(subject: AuditInput, what: str, *kinds: str) -> CheckResult:
    """Check as `_has` does, but expect no fine-tune of a suite whose answers were all recorded elsewhere."""
    specs = subject.suite.baselines.values()
    answered = [spec for spec in specs if not isinstance(spec, Trivial | Human | External)]
    is_declared = any(spec.kind in kinds for spec in answered)
    if answered and not is_declared and all(isinstance(spec, Recorded) for spec in answered):
        return does_not_apply(f"{what}: none. All answers were recorded elsewhere, so this suite trains nothing")
    return _has(subject, what, *kinds)


def _trivial(subject: AuditInput) -> CheckResult:
    return _has(subject, "trivial baselines", "trivial")


def _pretrained(subject: AuditInput) -> CheckResult:
    return _has(subject, "untouched models", "pretrained")


def _production(subject: AuditInput) -> CheckResult:
    if found := subject.of_kind("production"):
        return passed(f"in production now: {', '.join(found)}", baselines=found)
    declared = subject.suite.of_kind("production")
    if optional := [name for name in declared if subject.suite.is_optional(name)]:
        names = ", ".join(optional)
        return passed(f"{names} stands in the suite, and there is no such model yet", baselines=optional)
    if declared:
        names = ", ".join(declared)
        return failed(
            f"in production now: {names} stands in the suite, but was not evaluated", baselines=list(declared)
        )
    return does_not_apply("not included: the suite names no production model")


def _peft(subject: AuditInput) -> CheckResult:
    return _has_fine_tune(subject, "parameter-efficient fine-tunes", "peft")


def _high_water_mark(subject: AuditInput) -> CheckResult:
    return _has_fine_tune(subject, "high-water marks", "full", "production")


def _champion(subject: AuditInput) -> CheckResult:
    """Every candidate must have a registered contrast with the champion of the registered model, or be it."""
    champion = subject.champion
    if champion is None:
        return does_not_apply("no version of the registered model is its champion yet")
    rungs = {
        name
        for name, rung in subject.ladder.rungs.items()
        if all(evaluation.table.signature.fields.get("model.version") == champion.version for evaluation in rung)
    }
    compared = {
        row.candidate
        for row in subject.comparisons
        if row.role is not Role.EXPLORATORY and row.slice is None and row.baseline in rungs
    }
    missing = [name for name in subject.candidates if name not in compared | subject.champions]
    if missing:
        return failed(
            f"{champion.version} is the champion, and the matrix does not compare {', '.join(missing)} with it. Add a "
            "baseline of kind production with its `uri`, and a guardrail over that",
            champion=champion.version,
            candidates=missing,
        )
    return passed(f"every candidate is compared with the champion, {champion.version}", champion=champion.version)


CHECKS = (
    Check("MLB101", Severity.ERROR, "Trivial baseline included", _trivial),
    Check("MLB102", Severity.ERROR, "Pretrained checkpoint evaluated", _pretrained),
    Check("MLB103", Severity.INFO, "Production model included or declared absent", _production),
    Check("MLB104", Severity.WARNING, "At least one parameter-efficient method", _peft),
    Check("MLB105", Severity.WARNING, "Full fine-tune or earlier checkpoint as high-water mark", _high_water_mark),
    Check("MLB106", Severity.ERROR, "Compared with the champion", _champion),
)
