"""Sections `findings` and `audit`: the gates of the suite and the checklist, what needs attention first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from mlbaseline import formats
from mlbaseline.documentation import finding_url
from mlbaseline.records import Finding, Outcome, Severity
from mlbaseline.report.presenter import Presenter, listed, outcome_cell
from mlbaseline.report.view import Cell, Column, Fact, Row, Section, Table

_OUTCOME_ORDER = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS, Outcome.NOT_APPLICABLE)
_SEVERITY_NOUNS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "remark"}
_LINKS = (
    "Each code links to its explanation: what is checked, why, and what to do where it fails. "
    "`mlbaseline explain CODE` prints the same."
)


def gates_section(presenter: Presenter) -> Section | None:
    """Build the table of gates and checks: what needs attention, then, folded, what passed."""
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

    def row_of(finding: Finding) -> Row:
        return Row(
            (
                _code_cell(finding),
                outcome_cell(finding.outcome),
                Cell(formats.clean(finding.severity)),
                Cell(formats.clean(finding.reason)),
                Cell(formats.plain({key: value for key, value in finding.evidence.items() if value is not None})),
            )
        )

    tables = _split_by_outcome("Gates and checks", columns, ordered, row_of)
    return Section("findings", "Findings", (replace(tables[0], notes=(_LINKS,)), *tables[1:]))


def audit_section(presenter: Presenter) -> Section | None:
    """Build the checklist: failures first, the most severe before the others; then, folded, what passed."""
    ordered = sorted(presenter.assessment.audit, key=lambda f: (_outcome_rank(f.outcome), _severity_rank(f)))
    if not ordered:
        return None
    columns = (
        Column("Code", code=True),
        Column("Check", wide=True),
        Column("Outcome"),
        Column("Severity"),
        Column("Reason", wide=True),
    )

    def row_of(finding: Finding) -> Row:
        return Row(
            (
                _code_cell(finding),
                Cell(formats.clean(finding.title) or formats.MISSING),
                _audit_outcome_cell(finding),
                Cell(formats.clean(finding.severity)),
                Cell(formats.clean(finding.reason)),
            )
        )

    tables = _split_by_outcome("Checklist", columns, ordered, row_of)
    return Section("audit", "Audit", (_blocking_note(presenter), replace(tables[0], notes=(_LINKS,)), *tables[1:]))


def _code_cell(finding: Finding) -> Cell:
    return Cell(formats.clean(finding.code), link=finding_url(finding.code))


def _split_by_outcome(
    caption: str, columns: tuple[Column, ...], ordered: Sequence[Finding], row_of: Callable[[Finding], Row]
) -> tuple[Table, ...]:
    """Give one table of what failed or is undecided, and a folded one of what passed or does not apply."""
    settled = [finding for finding in ordered if finding.outcome in (Outcome.PASS, Outcome.NOT_APPLICABLE)]
    open_ones = [finding for finding in ordered if finding not in settled]
    tables = []
    if open_ones:
        tables.append(Table(f"{caption}: failed or undecided", columns, tuple(map(row_of, open_ones))))
    if settled:
        passed = f"{caption}: passed or not applicable"
        tables.append(Table(passed, columns, tuple(map(row_of, settled)), collapsed=True))
    return tuple(tables)


def audit_fact(presenter: Presenter) -> Fact | None:
    """Summarise the checklist and name what failed: `12 of 15 pass; warning MLB305 Enough power`."""
    applicable = [finding for finding in presenter.assessment.audit if finding.outcome != Outcome.NOT_APPLICABLE]
    if not applicable:
        return None
    passes = sum(finding.outcome == Outcome.PASS for finding in applicable)
    failed = [finding for finding in applicable if finding.outcome != Outcome.PASS]
    names = [_failure_names(failed, severity) for severity in _SEVERITY_NOUNS]
    text = "; ".join([f"{passes} of {len(applicable)} pass", *filter(None, names)])
    is_error = any(finding.severity == Severity.ERROR for finding in failed)
    return Fact("Audit", text, "better" if not failed else "worse" if is_error else "open")


def _failure_names(failed: Sequence[Finding], severity: Severity) -> str:
    """`warnings: MLB301 Slices looked at and MLB305 Enough power`; of remarks only their number."""
    own = [finding for finding in failed if finding.severity == severity]
    noun = f"{_SEVERITY_NOUNS[severity]}{'s' if len(own) != 1 else ''}"
    if not own or severity == Severity.INFO:
        return f"{len(own)} {noun}" if own else ""
    return f"{noun}: {listed([formats.clean(f'{finding.code} {finding.title}') for finding in own])}"


def _blocking_note(presenter: Presenter) -> str:
    blocking = {finding.code for finding in presenter.assessment.verdict.findings}
    blocked = [finding.code for finding in presenter.assessment.audit if finding.code in blocking]
    if blocked:
        return f"Of these the suite lets block a promotion: {listed([formats.clean(code) for code in blocked])}."
    return "The suite lets none of these block a promotion: they inform the reader."


def _audit_outcome_cell(finding: Finding) -> Cell:
    """Show a failed check in the tone of its severity."""
    cell = outcome_cell(finding.outcome)
    return (
        replace(cell, tone="open") if finding.outcome == Outcome.FAIL and finding.severity != Severity.ERROR else cell
    )


def _severity_rank(finding: Finding) -> int:
    return list(_SEVERITY_NOUNS).index(finding.severity) if finding.severity in _SEVERITY_NOUNS else 0


def _outcome_rank(outcome: str) -> int:
    return _OUTCOME_ORDER.index(outcome) if outcome in _OUTCOME_ORDER else 0
