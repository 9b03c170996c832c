"""What the suite's gates ask of the comparison as a whole, whoever the candidate is. The unknown does not pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from mlbaseline.documentation import finding_url
from mlbaseline.judge.decision.finding import gate_finding
from mlbaseline.judge.ladder import Ladder
from mlbaseline.records import (
    NO_SEED,
    WAIVED,
    Finding,
    GateCode,
    LookReport,
    Outcome,
    Registration,
    Severity,
    Standing,
    StopStatus,
)
from mlbaseline.suite import Suite

_BLOCKS = Severity.ERROR
"""Audit checks of this severity block a promotion where they fail, unless the suite waives them."""


def confirmatory(suite: Suite, registration: Registration) -> Iterator[Finding]:
    """Require, with the gate `confirmatory`, that the rules stood before the first evaluation of the task."""
    if not suite.gates.confirmatory:
        return
    first = registration.first_matrix_digest[:12] or "none"
    evidence = {
        "status": registration.status,
        "first_run_id": registration.first_run_id,
        "first_matrix_digest": registration.first_matrix_digest,
        "matrix_digest": suite.matrix_digest,
    }
    if registration.is_confirmatory:
        yield gate_finding(
            GateCode.CONFIRMATORY, Outcome.PASS, "the rules were written before the first evaluation", evidence
        )
    else:
        reason = (
            f"the rules were registered after the first evaluation of the task: run {registration.first_run_id} "
            f"started under the rules {first}, the suite now has {suite.matrix_digest[:12]}"
        )
        yield gate_finding(GateCode.CONFIRMATORY, Outcome.FAIL, reason, evidence)


def answered(ladder: Ladder) -> Iterator[Finding]:
    """Require that registered rungs answered all rows: nothing wins against a model that could not be reached."""
    contrasts = (*ladder.suite.matrix.primary, *ladder.suite.matrix.guardrails)
    for name in dict.fromkeys(name for contrast in contrasts for name in (contrast.candidate, *contrast.over)):
        tables = [evaluation.table for evaluation in ladder.rungs.get(name, ())]
        missing, n = sum(table.n_unanswered for table in tables), sum(len(table.frame) for table in tables)
        if missing:
            reason = (
                f"{name}: {missing:,} of {n:,} examples were never answered, because the model, or a judge of its "
                "answers, could not be reached; evaluate again, which asks for these alone"
            )
            yield gate_finding(
                GateCode.ANSWERED, Outcome.FAIL, reason, {"baseline": name, "unanswered": missing, "n": n}
            )


def counted(ladder: Ladder) -> Iterator[Finding]:
    """Yield a failure for each rung of the matrix whose runs are all of another suite than the present one."""
    for name, why in ladder.left_aside.items():
        reason = f"{name} has no run that the suite would make now; {why}. Evaluate it again"
        yield gate_finding(GateCode.COUNTED, Outcome.FAIL, reason, {"baseline": name})


def stopped_as_registered(report: LookReport | None) -> Iterator[Finding]:
    """Let a part of the test decide only where a registered look settles every candidate, on the first of its rows.

    Everything is derived from the rows: what the runs say of themselves has no part in it.
    """
    if report is None:
        return
    rest = "Evaluate again with --until-settled, or without it for the rest of the test"
    evidence = {"status": report.status.value, "n": report.n, "total": report.total}
    if report.status is StopStatus.UNPLANNED:
        sizes = ", ".join(f"{size:,}" for size in report.sizes)
        what = f"{report.n:,} of {report.total:,} examples were answered"
        if report.n in report.sizes:
            reason = f"{what}, and these are not the first of the registered order. {rest}"
        else:
            reason = f"{what}, looks are registered at {sizes}. {rest}"
        yield gate_finding(GateCode.LOOKS, Outcome.FAIL, reason, evidence)
    elif report.status is StopStatus.UNSETTLED:
        reason = f"answers stop where no boundary is crossed for every candidate: {report.summary}. {rest}"
        yield gate_finding(GateCode.LOOKS, Outcome.FAIL, reason, evidence)
    else:
        yield gate_finding(GateCode.LOOKS, Outcome.PASS, f"answers end as registered: {report.summary}", evidence)


def every_seed(suite: Suite, standings: Mapping[str, Standing]) -> Iterator[Finding]:
    """Require all seeds of the suite of every rung of the matrix, or none: choosing among them is choosing results."""
    contrasts = (*suite.matrix.primary, *suite.matrix.guardrails)
    sides = dict.fromkeys(name for contrast in contrasts for name in (contrast.candidate, *contrast.over))
    for name in (side for side in sides if side in standings):  # what is optional may not exist yet
        seeds = standings[name].run_ids
        missing = [seed for seed in suite.seeds if str(seed) not in seeds]
        if NO_SEED not in seeds and missing:
            shown = ", ".join(map(str, missing))
            reason = f"{name} has no completed evaluation of seed {shown}, which the suite names"
            yield gate_finding(GateCode.SEEDS, Outcome.FAIL, reason, {"baseline": name, "missing": missing})


def measured_under_digest(suite: Suite, ladder: Ladder) -> Iterator[Finding]:
    """Yield a failure for each candidate whose budget would be judged by figures that no digest covers.

    Runs of version 0.1.0 have their times, memory and machine in the run's metrics and parameters alone, which can be
    edited. Their rows are digested, so their scores and latencies count.
    """
    gates = suite.gates
    budgets = {"cost_per_query_usd": gates.cost_per_query_usd, "peak_memory_bytes": gates.peak_memory_bytes}
    limited = [name for name, limit in budgets.items() if limit is not None]
    candidates = dict.fromkeys(contrast.candidate for contrast in suite.matrix.primary)
    for name in candidates if limited else ():
        runs = [e.run_id for e in ladder.rungs.get(name, ()) if not e.is_measured_digested]
        if runs:
            gates_named = " and ".join(f"gates.{limit}" for limit in limited)
            reason = (
                f"{name}: {gates_named} would be judged by run metrics that no digest covers (runs of an earlier "
                f"version: {', '.join(runs)}). Evaluate again with --fresh"
            )
            yield gate_finding(GateCode.MEASURED, Outcome.FAIL, reason, {"candidates": [name], "runs": runs})


def blocking(suite: Suite, audited: Sequence[Finding]) -> Iterator[Finding]:
    """Yield the findings of the audit that decide.

    These are failed checks of severity `error`, and the checks that the gate `audit` names by code or by severity. One
    that the suite waives does not block: its finding keeps the reason of the failure, and the reason of the waiver.
    """
    named, waived = suite.gates.audit, suite.gates.waive
    for finding in audited:
        failed = not finding.outcome.allows_promotion
        if failed and finding.code in waived:
            yield _waived(finding, waived[finding.code])
        elif finding.code in named or finding.severity.value in named or (failed and finding.severity is _BLOCKS):
            yield finding
    known = {finding.code for finding in audited} | {severity.value for severity in Severity}
    for key, codes in (("audit", named), ("waive", waived)):
        for code in codes:
            if code not in known:
                reason = f"gates.{key} names {code}, and this version has no such check"
                yield Finding(code, Severity.ERROR, Outcome.FAIL, reason, docs=finding_url(code))


def _waived(finding: Finding, why: str) -> Finding:
    reason = f"waived by the suite ({why}): {finding.reason}"
    evidence = {**finding.evidence, WAIVED: why}
    return replace(finding, outcome=Outcome.NOT_APPLICABLE, reason=reason, evidence=evidence)
