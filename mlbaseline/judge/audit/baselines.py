"""MLB1xx: does the ladder have the rungs without which a comparison says little?"""

from __future__ import annotations

from mlbaseline.judge.audit.check import Check, Ruling, Subject, does_not_apply, failed, passed
from mlbaseline.records import Severity


def _has(subject: Subject, what: str, *kinds: str) -> Ruling:
    if found := subject.of_kind(*kinds):
        return passed(f"{what}: {', '.join(found)}", baselines=found)
    declared = [name for kind in kinds for name in subject.suite.of_kind(kind)]
    if declared:
        return failed(f"{what}: {', '.join(declared)} stands in the suite, but was not evaluated", baselines=declared)
    return failed(f"{what}: none. Add a baseline of kind {' or '.join(kinds)}")


def _trivial(subject: Subject) -> Ruling:
    return _has(subject, "trivial baselines", "trivial")


def _pretrained(subject: Subject) -> Ruling:
    return _has(subject, "untouched models", "pretrained")


def _production(subject: Subject) -> Ruling:
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


def _peft(subject: Subject) -> Ruling:
    return _has(subject, "parameter-efficient fine-tunes", "peft")


def _high_water_mark(subject: Subject) -> Ruling:
    return _has(subject, "high-water marks", "full", "production")


CHECKS = (
    Check("MLB101", Severity.ERROR, "Trivial baseline included", _trivial),
    Check("MLB102", Severity.ERROR, "Pretrained checkpoint evaluated", _pretrained),
    Check("MLB103", Severity.INFO, "Production model included or declared absent", _production),
    Check("MLB104", Severity.WARNING, "At least one parameter-efficient method", _peft),
    Check("MLB105", Severity.WARNING, "Full fine-tune or earlier checkpoint as high-water mark", _high_water_mark),
)
