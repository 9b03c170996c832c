"""The decision: registered contrasts and budgets in, a verdict out. It fails closed: the unknown does not pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from mlbaseline.judge.checkpoint import Checkpoint
from mlbaseline.judge.outcomes import FAIL, INCONCLUSIVE, NOT_APPLICABLE, PASS
from mlbaseline.records import Comparison, Finding, Standing, Verdict
from mlbaseline.suite import Suite


def decide(
    suite: Suite,
    comparisons: Sequence[Comparison],
    standings: Mapping[str, Standing],
    checkpoints: Mapping[str, Checkpoint],
    more_examples: Callable[[Comparison], int | None],
    *,
    conditions: Sequence[Finding],
) -> Verdict:
    """Judge every candidate of the primary family; the best on `dev` among those that pass everything wins.

    checkpoints: candidate ─▶ the checkpoint that stands for it; choosing on `dev` keeps `test` for one decision.
    more_examples: how many further examples would settle an inconclusive contrast, None where none would.
    conditions: what must hold whoever the candidate is.
    """
    candidates = tuple(dict.fromkeys(contrast.candidate for contrast in suite.matrix.primary))
    if not candidates:
        reason = "the suite registers no primary contrast, so nothing can be decided"
        return Verdict("hold", reason, (Finding("superiority", "error", FAIL, reason),))
    deciding = [row for row in comparisons if row.outcome is not None and row.estimand == "checkpoint"]
    findings = {
        name: (
            *_contrasts(name, deciding),
            *_left_out(suite, name, standings),
            *_budgets(suite, standings[name]),
        )
        for name in candidates
    }
    everything = (*(finding for found in findings.values() for finding in found), *conditions)
    passed = [
        name
        for name in candidates
        if all(finding.outcome in (PASS, NOT_APPLICABLE) for finding in (*findings[name], *conditions))
    ]
    if passed:
        winner = max(passed, key=lambda name: checkpoints[name].dev_quality)
        others = [name for name in passed if name != winner]
        chosen = f"; {', '.join(others)} passed too, and {winner} was the better on dev" if others else ""
        reason = f"{winner} passed every registered contrast and budget{chosen}"
        return Verdict("promote", reason, everything, winner, checkpoints[winner].evaluation.table.seed)
    open_candidates = [
        name for name in candidates if all(finding.outcome != FAIL for finding in (*findings[name], *conditions))
    ]
    if open_candidates:
        needed = {name: _needed(name, deciding, more_examples) for name in open_candidates}
        known = {name: count for name, count in needed.items() if count is not None}
        nearest = min(known, key=known.__getitem__) if known else open_candidates[0]
        count = known.get(nearest)
        more = (
            f"about {count:,} more test examples would settle it"
            if count
            else "more examples alone would not settle it"
        )
        undecided = [finding.reason for finding in findings[nearest] if finding.outcome == INCONCLUSIVE]
        return Verdict("inconclusive", f"{nearest}: {undecided[0]}; {more}", everything, more_examples=count)
    failed = [finding.reason for finding in everything if finding.outcome == FAIL]
    return Verdict("hold", f"no candidate passed: {'; '.join(failed[:3])}", everything)


def _contrasts(candidate: str, deciding: Sequence[Comparison]) -> Iterator[Finding]:
    rows = [row for row in deciding if row.candidate == candidate]
    if not any(row.role == "primary" for row in rows):
        yield Finding("superiority", "error", FAIL, f"{candidate} has no primary contrast with results")
    for row in rows:
        code = "superiority" if row.role == "primary" else "guardrail"
        where = "" if row.slice is None else f" on {row.slice} = {row.slice_value}"
        low, high = (row.simultaneous_low, row.simultaneous_high) if row.role == "primary" else (row.low, row.high)
        reason = (
            f"{candidate} over {row.baseline}{where}: {row.metric} {row.delta:+.3f} [{low:+.3f}, {high:+.3f}] "
            f"against a margin of {row.margin:+.3f}"
        )
        evidence = {
            "candidate": candidate,
            "baseline": row.baseline,
            "metric": row.metric,
            "slice": row.slice,
            "slice_value": row.slice_value,
        }
        yield Finding(code, "error", row.outcome or FAIL, reason, evidence)


def _left_out(suite: Suite, candidate: str, standings: Mapping[str, Standing]) -> Iterator[Finding]:
    """Registered contrasts over an optional model that does not exist yet."""
    for code, contrasts in (("superiority", suite.matrix.primary), ("guardrail", suite.matrix.guardrails)):
        for contrast in contrasts:
            for baseline in contrast.over:
                if contrast.candidate == candidate and baseline not in standings:
                    reason = f"{candidate} over {baseline}: left out, there is no such model in production yet"
                    evidence = {"candidate": candidate, "baseline": baseline, "metric": contrast.metric}
                    yield Finding(code, "error", NOT_APPLICABLE, reason, evidence)


def _budgets(suite: Suite, standing: Standing) -> Iterator[Finding]:
    """One finding for each budget that the suite sets."""
    gates, name = suite.gates, standing.baseline
    if gates.min_seeds is not None:
        if "none" in standing.run_ids:
            yield Finding(
                "min_seeds", "error", NOT_APPLICABLE, f"{name} has no randomness to average over", {"candidate": name}
            )
        else:
            yield _at_least("min_seeds", name, "seeds", len(standing.run_ids), gates.min_seeds)
    for code, what, measured, budget, unit in (
        ("error_rate", "error rate", standing.error_rate, gates.max_error_rate, ""),
        ("latency_p95", "95th percentile of latency", standing.cost.latency_p95_s, gates.latency_p95_s, " s"),
        ("cost_per_query", "cost per query", standing.cost.usd_per_query, gates.cost_per_query_usd, " USD"),
        ("peak_memory", "peak memory", standing.cost.peak_memory_bytes, gates.peak_memory_bytes, " bytes"),
    ):
        if budget is not None:
            yield _at_most(code, name, what, measured=measured, budget=budget, unit=unit)


def _at_least(code: str, name: str, what: str, count: int, minimum: int) -> Finding:
    outcome = PASS if count >= minimum else FAIL
    return Finding(code, "error", outcome, f"{name}: {count} {what} of at least {minimum}", {"candidate": name})


def _at_most(code: str, name: str, what: str, *, measured: float | None, budget: float, unit: str) -> Finding:
    evidence = {"candidate": name, "measured": measured, "budget": budget}
    if measured is None or math.isnan(measured):
        return Finding(
            code, "error", FAIL, f"{name}: {what} was not measured; the budget is {budget:g}{unit}", evidence
        )
    outcome = PASS if measured <= budget else FAIL
    return Finding(code, "error", outcome, f"{name}: {what} {measured:.3g}{unit} of at most {budget:g}{unit}", evidence)


def _needed(
    candidate: str, deciding: Sequence[Comparison], more_examples: Callable[[Comparison], int | None]
) -> int | None:
    counts = [more_examples(row) for row in deciding if row.candidate == candidate and row.outcome == INCONCLUSIVE]
    known = [count for count in counts if count is not None]
    return max(known) if known and len(known) == len(counts) else None
