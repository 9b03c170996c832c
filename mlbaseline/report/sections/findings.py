"""Sections `findings` and `audit`: the gates of the suite and the checklist, what needs attention first."""

from __future__ import annotations

from dataclasses import replace

from mlbaseline.documentation import audit_check_url
from mlbaseline.records import Finding, Severity
from mlbaseline.report import formats
from mlbaseline.report.presenter import Presenter, listed, outcome_cell
from mlbaseline.report.view import Cell, Column, Fact, Row, Section, Table

_OUTCOME_ORDER = ("fail", "inconclusive", "pass", "not_applicable")
_SEVERITY_NOUNS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "remark"}


def gates_section(presenter: Presenter) -> Section | None:
    """Build the table of gates and checks, what needs attention first."""
    ordered = sorted(presenter.assessment.verdict.findings, key=lambda finding: _outcome_rank(finding.outcome))
    if not ordered:
        return None
    columns = (
        Column("Check", code=True, rank=0),
        Column("Outcome", rank=0),
        Column("Severity", rank=2),
        Column("Reason", rank=1, wide=True),
        Column("Evidence", rank=3, wide=True),
    )
    rows = tuple(
        Row(
            (
                Cell(formats.clean(finding.code)),
                outcome_cell(finding.outcome),
                Cell(formats.clean(finding.severity)),
                Cell(formats.clean(finding.reason)),
                Cell(formats.plain(finding.evidence)),
            )
        )
        for finding in ordered
    )
    return Section("findings", "Findings", (Table("Gates and checks", columns, rows),))


def audit_section(presenter: Presenter) -> Section | None:
    """Build the checklist: failures first, the most severe before the others."""
    ordered = sorted(
        presenter.assessment.audit, key=lambda finding: (_outcome_rank(finding.outcome), _severity_rank(finding))
    )
    if not ordered:
        return None
    columns = (
        Column("Code", code=True),
        Column("Check", wide=True),
        Column("Outcome"),
        Column("Severity"),
        Column("Reason", wide=True),
    )
    rows = tuple(
        Row(
            (
                Cell(formats.clean(finding.code), link=audit_check_url(finding.code)),
                Cell(formats.clean(finding.title) or formats.MISSING),
                _audit_outcome_cell(finding),
                Cell(formats.clean(finding.severity)),
                Cell(formats.clean(finding.reason)),
            )
        )
        for finding in ordered
    )
    note = "Each code links to its explanation: what it checks, why, and what to do where it fails."
    return Section("audit", "Audit", (_blocking_note(presenter), Table("Checklist", columns, rows, notes=(note,))))


def audit_fact(presenter: Presenter) -> Fact | None:
    """Summarise the checklist, as in `12 of 15 pass, 1 error, 2 warnings`."""
    applicable = [finding for finding in presenter.assessment.audit if finding.outcome != "not_applicable"]
    if not applicable:
        return None
    passes = sum(finding.outcome == "pass" for finding in applicable)
    failed = [finding.severity for finding in applicable if finding.outcome != "pass"]
    counts = [_counted(failed.count(severity), word) for severity, word in _SEVERITY_NOUNS.items()]
    text = ", ".join([f"{passes} of {len(applicable)} pass", *filter(None, counts)])
    return Fact("Audit", text, "better" if not failed else "worse" if "error" in failed else "open")


def _blocking_note(presenter: Presenter) -> str:
    blocking = {finding.code for finding in presenter.assessment.verdict.findings}
    blocked = [finding.code for finding in presenter.assessment.audit if finding.code in blocking]
    if blocked:
        return f"Of these the suite lets block a promotion: {listed([formats.clean(code) for code in blocked])}."
    return "The suite lets none of these block a promotion: they inform the reader."


def _audit_outcome_cell(finding: Finding) -> Cell:
    """Show a failed check in the tone of its severity."""
    cell = outcome_cell(finding.outcome)
    return replace(cell, tone="open") if finding.outcome == "fail" and finding.severity != "error" else cell


def _severity_rank(finding: Finding) -> int:
    return list(_SEVERITY_NOUNS).index(finding.severity) if finding.severity in _SEVERITY_NOUNS else 0


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' if count != 1 else ''}" if count else ""


def _outcome_rank(outcome: str) -> int:
    return _OUTCOME_ORDER.index(outcome) if outcome in _OUTCOME_ORDER else 0
