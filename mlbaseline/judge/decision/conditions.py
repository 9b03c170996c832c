"""What the suite's gates ask of the comparison as a whole, whoever the candidate is. The unknown does not pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mlbaseline.judge.decision.finding import gate_finding
from mlbaseline.judge.ladder import Ladder
from mlbaseline.records import NO_SEED, Finding, Outcome, Registration, Standing
from mlbaseline.suite import Suite


def confirmatory(suite: Suite, registration: Registration) -> Iterator[Finding]:
    """With the gate `confirmatory`: the rules must have stood before the first evaluation of the task."""
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
        yield gate_finding("confirmatory", Outcome.PASS, "the rules were written before the first evaluation", evidence)
    else:
        reason = (
            f"the rules were registered after the first evaluation of the task: run {registration.first_run_id} "
            f"started under the rules {first}, the suite now has {suite.matrix_digest[:12]}"
        )
        yield gate_finding("confirmatory", Outcome.FAIL, reason, evidence)


def answered(ladder: Ladder) -> Iterator[Finding]:
    """A registered rung whose model could not be reached for some rows was not measured: nobody wins against that."""
    contrasts = (*ladder.suite.matrix.primary, *ladder.suite.matrix.guardrails)
    for name in dict.fromkeys(name for contrast in contrasts for name in (contrast.candidate, *contrast.over)):
        tables = [evaluation.table for evaluation in ladder.rungs.get(name, ())]
        missing, n = sum(table.n_unanswered for table in tables), sum(len(table.frame) for table in tables)
        if missing:
            reason = (
                f"{name}: {missing:,} of {n:,} examples were never answered, because the model could not be reached; "
                "evaluate again, which asks for these alone"
            )
            yield gate_finding("answered", Outcome.FAIL, reason, {"baseline": name, "unanswered": missing, "n": n})


def every_seed(suite: Suite, standings: Mapping[str, Standing]) -> Iterator[Finding]:
    """Every rung of the matrix must have all seeds of the suite, or none: choosing among them is choosing results."""
    contrasts = (*suite.matrix.primary, *suite.matrix.guardrails)
    sides = dict.fromkeys(name for contrast in contrasts for name in (contrast.candidate, *contrast.over))
    for name in (side for side in sides if side in standings):  # what is optional may not exist yet
        seeds = standings[name].run_ids
        missing = [seed for seed in suite.seeds if str(seed) not in seeds]
        if NO_SEED not in seeds and missing:
            shown = ", ".join(map(str, missing))
            reason = f"{name} has no completed evaluation of seed {shown}, which the suite names"
            yield gate_finding("seeds", Outcome.FAIL, reason, {"baseline": name, "missing": missing})


def blocking(suite: Suite, audited: Sequence[Finding]) -> Iterator[Finding]:
    """The findings of the audit that the gate `audit` names, by code or by severity."""
    named = suite.gates.audit
    yield from (finding for finding in audited if finding.code in named or finding.severity in named)
    known = {finding.code for finding in audited} | {"error", "warning", "info"}
    for code in named:
        if code not in known:
            yield gate_finding(code, Outcome.FAIL, f"gates.audit names {code}, and this version has no such check")
