"""The decision: registered contrasts and budgets in, a verdict out. It fails closed: the unknown does not pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from mlbaseline import formats
from mlbaseline.judge.contrasts.chosen_checkpoint import ChosenCheckpoint
from mlbaseline.judge.contrasts.comparison import TOO_SMALL
from mlbaseline.judge.contrasts.power import MoreExamples
from mlbaseline.judge.decision.budgets import BUDGETS, budgets, evidence
from mlbaseline.judge.decision.finding import gate_finding
from mlbaseline.judge.decision.winner import choose_winner, no_winner_reason, winner_metric
from mlbaseline.records import (
    CHAMPION_ALREADY,
    NONE_PASSED,
    WAIVED,
    Comparison,
    Decision,
    Estimand,
    Finding,
    GateCode,
    Outcome,
    Role,
    Standing,
    Verdict,
)
from mlbaseline.suite import Contrast, Suite


def decide(
    suite: Suite,
    comparisons: Sequence[Comparison],
    standings: Mapping[str, Standing],
    checkpoints: Mapping[str, ChosenCheckpoint],
    more_examples: Callable[[Comparison], MoreExamples | None],
    *,
    conditions: Sequence[Finding],
    champions: Collection[str] = (),
) -> Verdict:
    """Judge every candidate of the primary family; the best on `dev` among those that pass everything wins.

    checkpoints: candidate ─▶ the checkpoint that stands for it; choosing on `dev` keeps `test` for one decision.
    more_examples: how many further examples would settle an inconclusive contrast, None where none would.
    conditions: what must hold for every candidate, or for those that the finding's evidence names as `candidates`.
    champions: candidates whose checkpoint is the champion. What is open about them, no further examples need decide.
    """
    candidates = tuple(dict.fromkeys(contrast.candidate for contrast in suite.matrix.primary))
    if not candidates:
        reason = "the suite registers no primary contrast, so nothing can be decided"
        return Verdict(Decision.HOLD, reason, (gate_finding(GateCode.SUPERIORITY, Outcome.FAIL, reason),))
    deciding = [row for row in comparisons if row.outcome is not None and row.estimand == Estimand.CHECKPOINT]
    findings = {name: tuple(_judge(suite, name, deciding, standings)) for name in candidates}
    everything = (*(finding for found in findings.values() for finding in found), *conditions)
    by_candidate = {name: (*found, *(c for c in conditions if _concerns(c, name))) for name, found in findings.items()}
    passed = [name for name in candidates if all(map(_holds, by_candidate[name]))]
    if passed:
        winner = choose_winner(suite, passed, checkpoints)
        if winner is None:
            reason = no_winner_reason(suite, passed, checkpoints)
            found = gate_finding(GateCode.WINNER, Outcome.FAIL, reason, {"candidates": passed})
            return Verdict(Decision.HOLD, reason, (*everything, found))
        others = [name for name in passed if name != winner]
        by = f"the better on dev by {winner_metric(suite)}"
        chosen = f"; {', '.join(others)} passed too, and {winner} was {by}" if others else ""
        reason = f"{winner} passed every registered contrast and budget{chosen}{_waivers(conditions)}"
        return Verdict(Decision.PROMOTE, reason, everything, winner, checkpoints[winner].evaluation.table.seed)
    still_open = {
        name: found
        for name, found in by_candidate.items()
        if all(_holds(f) or f.outcome == Outcome.INCONCLUSIVE for f in found)
    }
    kept = [name for name in still_open if name in champions]
    if kept and len(kept) == len(still_open):
        reason = f"{NONE_PASSED}{', '.join(kept)} is {CHAMPION_ALREADY}"
        return Verdict(Decision.HOLD, reason, everything)
    for name in kept:
        del still_open[name]
    if still_open:
        reason, count = _nearest(still_open, {name: _needed(name, deciding, more_examples) for name in still_open})
        return Verdict(Decision.INCONCLUSIVE, reason, everything, more_examples=count)
    # What holds every candidate explains most, so it is named first.
    named_first = (*conditions, *(finding for found in findings.values() for finding in found))
    failed = [f.reason for f in named_first if not _holds(f) and f.outcome is not Outcome.INCONCLUSIVE]
    seeds, examples = _missing(by_candidate)
    reason = f"{NONE_PASSED}{'; '.join(failed[:3])}"
    return Verdict(Decision.HOLD, reason, everything, more_examples=examples, more_seeds=seeds)


def _concerns(condition: Finding, candidate: str) -> bool:
    """Whether a condition is about a candidate: one that names candidates is about these alone."""
    return candidate in condition.evidence.get("candidates", (candidate,))


def _waivers(conditions: Sequence[Finding]) -> str:
    waived = [f"{finding.code} ({finding.evidence[WAIVED]})" for finding in conditions if WAIVED in finding.evidence]
    return f"; waived: {', '.join(waived)}" if waived else ""


def _holds(finding: Finding) -> bool:
    return finding.outcome.allows_promotion


def _judge(
    suite: Suite, name: str, deciding: Sequence[Comparison], standings: Mapping[str, Standing]
) -> Iterator[Finding]:
    """Collect the findings about one candidate."""
    yield from _contrasts(suite, name, deciding, standings)
    standing = standings.get(name)
    if standing is None:
        yield gate_finding(GateCode.STANDING, Outcome.FAIL, f"{name} has no evaluation", {"candidate": name})
    else:
        yield from evidence(suite, standing, deciding)
        yield from budgets(suite, standing)


def _nearest(
    by_candidate: Mapping[str, Sequence[Finding]], needed: Mapping[str, MoreExamples | None]
) -> tuple[str, int | None]:
    """Say what is open about the candidate that needs the fewest further examples, and how many those are."""
    known = {name: settling for name, settling in needed.items() if settling is not None}
    nearest = min(known, key=lambda name: known[name].n_more) if known else next(iter(by_candidate))
    settling = known.get(nearest)
    undecided = [finding for finding in by_candidate[nearest] if finding.outcome == Outcome.INCONCLUSIVE]
    if all(finding.code in BUDGETS for finding in undecided):
        more = "more measurements would settle it"
    elif settling is not None and settling.n_more:
        more = str(settling)
    else:
        more = "more examples alone would not settle it"
    first = undecided[0]
    found = first.reason if first.is_of_contrast else f"{nearest}: {first.reason}"  # a contrast names its candidate
    return f"{found}; {more}", None if settling is None else settling.n_more


def _missing(by_candidate: Mapping[str, Sequence[Finding]]) -> tuple[int | None, int | None]:
    """Seeds and examples that the gates ask for in addition, of a candidate that nothing else speaks against."""
    for found in by_candidate.values():
        short = [finding for finding in found if not _holds(finding)]
        if all(finding.code in (GateCode.MIN_SEEDS, GateCode.MIN_EXAMPLES) for finding in short):
            lacking = {finding.code: int(finding.evidence["missing"]) for finding in short}
            return lacking.get(GateCode.MIN_SEEDS), lacking.get(GateCode.MIN_EXAMPLES)
    return None, None


def _contrasts(
    suite: Suite, candidate: str, deciding: Sequence[Comparison], standings: Collection[str]
) -> Iterator[Finding]:
    """Report each registered contrast.

    One without a row, overall or on one of its slices, has failed, unless it is over an optional model that does not
    exist yet.
    """
    rows = [row for row in deciding if row.candidate == candidate]
    if not any(row.role == Role.PRIMARY for row in rows):
        yield gate_finding(GateCode.SUPERIORITY, Outcome.FAIL, f"{candidate} has no primary contrast with results")
    for role, contrasts in ((Role.PRIMARY, suite.matrix.primary), (Role.GUARDRAIL, suite.matrix.guardrails)):
        for contrast in contrasts:
            if contrast.candidate == candidate:
                yet_to_come = [name for name in contrast.over if name not in standings and suite.is_optional(name)]
                yield from _absent(role, contrast, rows, yet_to_come)
    yield from (_contrast(suite, row) for row in rows)


def _absent(
    role: Role, contrast: Contrast, rows: Sequence[Comparison], yet_to_come: Collection[str]
) -> Iterator[Finding]:
    for baseline in contrast.over:
        if baseline in yet_to_come:
            reason = f"{contrast.candidate} over {baseline}: left out, there is no such model in production yet"
            evidence = {"candidate": contrast.candidate, "baseline": baseline, "slice": None}
            yield gate_finding(_code(role), Outcome.NOT_APPLICABLE, reason, evidence)
            continue
        registered = (role, baseline, contrast.metric, contrast.margin)
        cuts = {row.slice for row in rows if (row.role, row.baseline, row.metric, row.margin) == registered}
        for cut in (None, *contrast.slices):
            if cut not in cuts:
                where = "" if cut is None else f" by {cut}"
                reason = f"{contrast.candidate} over {baseline}{where}: {contrast.metric} was registered, not compared"
                evidence = {"candidate": contrast.candidate, "baseline": baseline, "slice": cut}
                yield gate_finding(_code(role), Outcome.FAIL, reason, evidence)


def _contrast(suite: Suite, row: Comparison) -> Finding:
    where = "" if row.slice is None else f" on {row.slice} = {row.slice_value}"
    low, high = row.deciding_interval
    delta, margin = (formats.fixed(number, sign=True) for number in (row.delta, row.margin))
    reason = (
        f"{row.candidate} over {row.baseline}{where}: {row.metric} {delta} {formats.interval(low, high, sign=True)} "
        f"against a margin of {margin}"
    )
    if row.method == TOO_SMALL:
        reason = (
            f"{row.candidate} over {row.baseline}{where}: {row.n} examples of at least "
            f"{suite.matrix.min_slice_examples} (matrix.min_slice_examples), too few to say anything"
        )
    if row.undecided is not None:
        reason = (
            f"{row.candidate} over {row.baseline}{where}: {row.metric} is not decided: {row.undecided}. The judge "
            f"alone has {delta}, and decides nothing"
        )
    evidence = {
        "candidate": row.candidate,
        "baseline": row.baseline,
        "metric": row.metric,
        "slice": row.slice,
        "slice_value": row.slice_value,
    }
    outcome = row.outcome if row.outcome in (Outcome.PASS, Outcome.INCONCLUSIVE) else Outcome.FAIL
    numbers = (row.delta, row.p_adjusted, low, high, math.nan if row.margin is None else row.margin)
    if outcome == Outcome.PASS and any(map(math.isnan, numbers)):
        outcome, reason = Outcome.FAIL, f"{reason}: a number is missing"
    return gate_finding(_code(row.role), outcome, reason, evidence)


def _code(role: Role) -> GateCode:
    return GateCode.SUPERIORITY if role is Role.PRIMARY else GateCode.GUARDRAIL


def _needed(
    candidate: str, deciding: Sequence[Comparison], more_examples: Callable[[Comparison], MoreExamples | None]
) -> MoreExamples | None:
    """Say what settles everything that is open about a candidate: the row that needs most decides."""
    each = [
        more_examples(row) for row in deciding if row.candidate == candidate and row.outcome == Outcome.INCONCLUSIVE
    ]
    known = [settling for settling in each if settling is not None]
    return max(known, key=lambda settling: settling.n_more) if known and len(known) == len(each) else None
