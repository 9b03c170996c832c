"""What the gates ask of a candidate beside its contrasts: enough evidence, and costs within their budgets.

A budget is kept where the estimate is within it. With `gates.strict` it is kept only where the whole interval is:
beyond it the budget fails, across it, or without a limit on that side, it is open. Memory and the error rate have no
interval: the former is the worst of what was seen, the latter a count on the very examples that are asked about.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlbaseline import formats
from mlbaseline.judge.decision.finding import gate_finding
from mlbaseline.records import NO_SEED, Bounds, Comparison, Cost, Finding, GateCode, Outcome, Standing
from mlbaseline.suite import Suite

_LATENCIES = {
    "latency_p95_s": (GateCode.LATENCY_P95, "95th", 0.95),
    "latency_p99_s": (GateCode.LATENCY_P99, "99th", 0.99),
}
BUDGETS = frozenset(
    {
        GateCode.ERROR_RATE,
        GateCode.LATENCY_P95,
        GateCode.LATENCY_P99,
        GateCode.COST_PER_QUERY,
        GateCode.PEAK_MEMORY,
    }
)


@dataclass(frozen=True)
class Budget:
    """The most that something may come to. unit: with a space before it."""

    code: GateCode
    what: str
    limit: float
    unit: str = ""


def evidence(suite: Suite, standing: Standing, deciding: Sequence[Comparison]) -> Iterator[Finding]:
    """Seeds of the candidate, and examples behind each of its registered contrasts."""
    gates, name = suite.gates, standing.baseline
    if gates.min_seeds is not None and NO_SEED in standing.run_ids:
        reason = f"{name} has no randomness to average over"
        yield gate_finding(GateCode.MIN_SEEDS, Outcome.NOT_APPLICABLE, reason, {"candidate": name})
    elif gates.min_seeds is not None:
        yield _at_least(GateCode.MIN_SEEDS, name, "seed", len(standing.run_ids), gates.min_seeds)
    if gates.min_examples is not None:
        overall = [row.n for row in deciding if row.candidate == name and row.slice is None]
        yield _at_least(GateCode.MIN_EXAMPLES, name, "example", min(overall, default=0), gates.min_examples)


def budgets(suite: Suite, standing: Standing) -> Iterator[Finding]:
    """Judge each budget that the suite sets, one finding each."""
    gates, cost, name = suite.gates, standing.cost, standing.baseline
    if gates.max_error_rate is not None:
        yield _at_most(Budget(GateCode.ERROR_RATE, "error rate", gates.max_error_rate), name, standing.error_rate)
    for field, (code, rank, q) in _LATENCIES.items():
        limit = getattr(gates, field)
        if limit is not None:
            budget = Budget(code, f"{rank} percentile of latency", limit, " s")
            found = _at_most(budget, name, getattr(cost, field), _bounds(suite, cost, field))
            yield _with_timings(found, suite, cost.n_timed, q)
    if gates.cost_per_query_usd is not None:
        budget = Budget(GateCode.COST_PER_QUERY, "cost per query", gates.cost_per_query_usd, " USD")
        yield _at_most(budget, name, cost.usd_per_query, _bounds(suite, cost, "usd_per_query"))
    if gates.peak_memory_bytes is not None:
        budget = Budget(GateCode.PEAK_MEMORY, "peak memory", gates.peak_memory_bytes, " bytes")
        yield _at_most(budget, name, cost.peak_memory_bytes)


def _bounds(suite: Suite, cost: Cost, field: str) -> Bounds | None:
    """Give the interval that must keep a budget; None where the estimate alone must."""
    return cost.bounds.get(field, Bounds(None, None)) if suite.gates.strict else None


def _at_least(code: GateCode, name: str, what: str, count: int, minimum: int) -> Finding:
    reason = f"{name}: {formats.counted(count, what)} of at least {formats.count(minimum)}"
    if count >= minimum:
        return gate_finding(code, Outcome.PASS, reason, {"candidate": name})
    missing = minimum - count
    reason = f"{reason}, {formats.count(missing)} more needed"
    return gate_finding(code, Outcome.FAIL, reason, _about(name, missing=missing))


def _at_most(budget: Budget, name: str, measured: float | None, bounds: Bounds | None = None) -> Finding:
    about = _about(name, measured=measured, budget=budget.limit)
    at_most = f"of at most {budget.limit:g}{budget.unit}"
    if measured is None or math.isnan(measured):
        reason = f"{name}: {budget.what} was not measured; the budget is {budget.limit:g}{budget.unit}"
        return gate_finding(budget.code, Outcome.FAIL, reason, about)
    measurement = f"{name}: {budget.what} {measured:.3g}{budget.unit}"
    if bounds is None:
        outcome = Outcome.PASS if measured <= budget.limit else Outcome.FAIL
        return gate_finding(budget.code, outcome, f"{measurement} {at_most}", about)
    low, high = (math.nan if bound is None else bound for bound in (bounds.low, bounds.high))
    ends = " to ".join("unbounded" if math.isnan(bound) else f"{bound:.3g}" for bound in (low, high))
    kept = high <= budget.limit and measured <= budget.limit
    outcome = Outcome.PASS if kept else Outcome.FAIL if low > budget.limit else Outcome.INCONCLUSIVE
    return gate_finding(budget.code, outcome, f"{measurement} ({ends}) {at_most}", about)


def _with_timings(found: Finding, suite: Suite, n_timed: int, q: float) -> Finding:
    """Add to an open budget of latency how many timings bound its quantile at all."""
    if found.outcome != Outcome.INCONCLUSIVE:
        return found
    tail = (1.0 - suite.matrix.level) / 2.0
    enough = math.ceil(math.log(tail) / math.log(q) - 1e-9)
    more = f"; {n_timed:,} queries were timed, "
    more += f"at least {enough:,} bound it" if n_timed < enough else "more of them narrow it"
    reason = f"{found.reason}{more} (evaluation.latency_sample, of each seed)"
    return replace(found, reason=reason)


def _about(name: str, **more: Any) -> Mapping[str, Any]:
    return {"candidate": name, **more}
