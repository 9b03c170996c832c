"""What follows from the numbers: the findings, what to do next, warnings, and what is needed to repeat them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mlbaseline.documentation import documentation_url
from mlbaseline.records import Finding
from mlbaseline.report import formats
from mlbaseline.report.slice_findings import confirmed
from mlbaseline.report.view import Block, Cell, Column, Fact, Row, Section, Steps, Table
from mlbaseline.report.wording import Wording, contrast, listed, outcome_cell, where

_ORDER = ("fail", "inconclusive", "pass", "not_applicable")
_STEPS = 8
_FAILURES = {"error": "error", "warning": "warning", "info": "remark"}


def findings(wording: Wording) -> Section | None:
    """Gates and checks, what needs attention first."""
    found = sorted(wording.assessment.verdict.findings, key=lambda finding: _rank(finding.outcome))
    if not found:
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
        for finding in found
    )
    return Section("findings", "Findings", (Table("Gates and checks", columns, rows),))


def audit(wording: Wording) -> Section | None:
    """The checklist: what failed first, the gravest before the others."""
    found = sorted(wording.assessment.audit, key=lambda finding: (_rank(finding.outcome), _gravity(finding)))
    if not found:
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
                Cell(formats.clean(finding.code)),
                Cell(formats.clean(finding.title) or formats.MISSING),
                _audit_outcome(finding),
                Cell(formats.clean(finding.severity)),
                Cell(formats.clean(finding.reason)),
            )
        )
        for finding in found
    )
    page = documentation_url("reference/audit")
    note = f"{page} explains each code: what is asked, why, and what to do where it fails."
    return Section("audit", "Audit", (_audit_lead(wording), Table("Checklist", columns, rows, notes=(note,))))


def audit_fact(wording: Wording) -> Fact | None:
    """`Audit: 12 of 15 pass, 1 error, 2 warnings`."""
    asked = [finding for finding in wording.assessment.audit if finding.outcome != "not_applicable"]
    if not asked:
        return None
    passes = sum(finding.outcome == "pass" for finding in asked)
    failed = [finding.severity for finding in asked if finding.outcome != "pass"]
    counts = [_counted(failed.count(severity), word) for severity, word in _FAILURES.items()]
    text = ", ".join([f"{passes} of {len(asked)} pass", *filter(None, counts)])
    return Fact("Audit", text, "better" if not failed else "worse" if "error" in failed else "open")


def next_steps(wording: Wording) -> Section | None:
    """What would move the verdict, and how small a difference this design can see."""
    blocks: list[Block] = []
    steps = _steps(wording)
    if steps:
        more = (f"… and {len(steps) - _STEPS} more in the tables.",) if len(steps) > _STEPS else ()
        blocks.append(Steps((*steps[:_STEPS], *more)))
    power = _power(wording)
    if power:
        blocks.append(power)
    return Section("next", "What to do next", tuple(blocks)) if blocks else None


def warnings(wording: Wording) -> Section | None:
    """Differences between the compared evaluations."""
    found = sorted(wording.assessment.mismatches, key=lambda mismatch: (mismatch.severity != "refuse", mismatch.field))
    if not found:
        return None
    columns = (
        Column("Field", code=True, rank=0),
        Column("Severity", rank=0),
        Column("Ours", rank=1, wide=True),
        Column("Theirs", rank=1, wide=True),
    )
    rows = tuple(
        Row(
            (
                Cell(formats.clean(mismatch.field)),
                Cell(formats.clean(mismatch.severity), tone="worse" if mismatch.severity == "refuse" else "open"),
                Cell(formats.plain(mismatch.ours)),
                Cell(formats.plain(mismatch.theirs)),
            )
        )
        for mismatch in found
    )
    lead = "The compared evaluations differ in what can change a score. Read the differences above with that in mind."
    return Section("warnings", "Warnings", (lead, Table("Fields of the signatures that differ", columns, rows)))


def reproducibility(wording: Wording) -> Section | None:
    """The context as it is, and the run behind every number."""
    blocks: list[Block] = []
    flat = [
        (name, text) for key, value in wording.assessment.context.items() for name, text in _flatten(str(key), value)
    ]
    if flat:
        rows = tuple(Row((Cell(formats.clean(name)), Cell(text))) for name, text in flat)
        what = (Column("What", code=True), Column("Value", wide=True))
        blocks.append(Table("What this comparison stands on", what, rows))
    runs = tuple(
        Row((Cell(formats.clean(s.baseline)), Cell(formats.clean(seed)), Cell(formats.clean(run_id))))
        for s in wording.assessment.standings
        for seed, run_id in s.run_ids.items()
    )
    if runs:
        which = (Column("Rung", code=True), Column("Seed", numeric=True), Column("MLflow run", code=True))
        blocks.append(Table("Evaluation runs", which, runs))
    return Section("reproducibility", "Reproducibility", tuple(blocks)) if blocks else None


def _steps(wording: Wording) -> list[str]:
    verdict = wording.assessment.verdict
    steps = []
    if verdict.decision == "promote":
        steps.append(
            "Run mlbaseline promote: it applies the gates to this comparison once more and registers the winner."
        )
    if verdict.decision == "inconclusive":
        if verdict.more_examples:
            steps.append(
                f"Add about {verdict.more_examples:,} test examples and evaluate again: that should settle it."
            )
        else:
            steps.append("More test examples alone are not expected to settle it.")
    if verdict.decision == "hold" and (verdict.more_seeds or verdict.more_examples):
        lacking = {"seeds": verdict.more_seeds, "test examples": verdict.more_examples}
        needed = listed([f"{count:,} more {what}" for what, count in lacking.items() if count])
        steps.append(f"Only evidence is missing: with {needed} the gates can pass.")
    for row in wording.registered:
        if row.outcome in ("fail", "inconclusive"):
            says = "misses its margin" if row.outcome == "fail" else "is undecided"
            place = "" if row.slice is None else f" on {where(row)}"
            if not formats.finite(row.delta):
                steps.append(f"{contrast(row)}{place} has {row.n:,} examples, too few to be tested.")
                continue
            steps.append(
                f"{contrast(row)}{place} {says} ({wording.margin(row)}): {formats.clean(row.metric)} "
                f"{wording.delta_text(row)}, smallest detectable difference "
                f"{formats.fixed(row.mde, wording.delta_decimals(row))}."
            )
    steps += [f"{formats.clean(f.code)}: {formats.clean(f.reason)}" for f in verdict.findings if _open(f)]
    if wording.assessment.slices is not None:
        steps += [
            f"{worse} is worse, and examples that the search had not seen bear it out: register a guardrail there, "
            "before the next evaluation."
            for worse in confirmed(wording.assessment.slices)
        ]
    return steps


def _audit_lead(wording: Wording) -> str:
    blocking = {finding.code for finding in wording.assessment.verdict.findings}
    blocked = [finding.code for finding in wording.assessment.audit if finding.code in blocking]
    if blocked:
        return f"Of these the suite lets block a promotion: {listed([formats.clean(code) for code in blocked])}."
    return "The suite lets none of these block a promotion: they are for whoever reads the verdict."


def _audit_outcome(finding: Finding) -> Cell:
    """A check that fails matters as much as its severity says."""
    cell = outcome_cell(finding.outcome)
    return replace(cell, tone="open") if finding.outcome == "fail" and finding.severity != "error" else cell


def _gravity(finding: Finding) -> int:
    return list(_FAILURES).index(finding.severity) if finding.severity in _FAILURES else 0


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' if count != 1 else ''}" if count else ""


def _open(finding: Finding) -> bool:
    return finding.outcome in ("fail", "inconclusive")


def _power(wording: Wording) -> Table | None:
    """How far each registered contrast is from its margin, beside what the design can detect."""
    rows = []
    for row in wording.registered:
        if not formats.finite(row.mde):
            continue
        decimals = wording.delta_decimals(row)
        distance = wording.oriented(row, row.delta) - (row.margin or 0.0)
        enough = abs(distance) >= row.mde
        rows.append(
            Row(
                (
                    Cell(formats.clean(row.candidate)),
                    Cell(formats.clean(row.baseline)),
                    Cell(f"{wording.metric(row.metric)}, {where(row)}"),
                    Cell(formats.count(row.n)),
                    Cell(formats.fixed(distance, decimals, sign=True)),
                    Cell(formats.fixed(row.mde, decimals)),
                    Cell(
                        "large enough to detect" if enough else "too small to detect reliably",
                        tone="" if enough else "open",
                    ),
                )
            )
        )
    columns = (
        Column("Candidate", code=True),
        Column("Baseline", code=True),
        Column("Metric"),
        Column("n", numeric=True),
        Column("Δ beyond margin", numeric=True),
        Column("Detectable", numeric=True),
        Column("Power"),
    )
    note = (
        "Detectable: the smallest true difference found with 80% power. It shrinks with the square root of the number "
        "of examples, so half of it needs four times as many; the part that comes from seeds shrinks with seeds only."
    )
    return Table("Power of the registered contrasts", columns, tuple(rows), notes=(note,)) if rows else None


def _flatten(name: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        return [pair for key, item in value.items() for pair in _flatten(f"{name}.{key}", item)]
    return [(name, formats.plain(value))]


def _rank(outcome: str) -> int:
    return _ORDER.index(outcome) if outcome in _ORDER else 0
