"""The top of the report: the decision, one sentence that explains it, and the facts that a reader needs first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mlbaseline import formats
from mlbaseline.records import (
    NO_SEED,
    NONE_PASSED,
    Comparison,
    Decision,
    Estimand,
    Finding,
    Outcome,
    Role,
)
from mlbaseline.report.looks import registration_facts, stop_clause
from mlbaseline.report.presenter import Presenter, listed, where
from mlbaseline.report.sections.class_scores import missed_classes_fact
from mlbaseline.report.sections.comparability_notes import mismatch_facts
from mlbaseline.report.sections.findings import audit_fact
from mlbaseline.report.sections.reproducibility import left_out_fact
from mlbaseline.report.sections.slices.searches import search_fact
from mlbaseline.report.view import Fact, Tone

_MAX_NAME = 40
_MAX_BASELINES = 3
_MAX_CLAUSES = 2
_MAX_CLAUSE = 100
_HEX = re.compile(r"\b[0-9a-f]{32,}\b")


def verdict_title(presenter: Presenter) -> str:
    """Give the decision in a few words: `Promote lora, seed 1`, or `Keep lora, seed 1` where it is champion already."""
    verdict = presenter.assessment.verdict
    decision = formats.clean(verdict.decision).capitalize()
    if verdict.decision == Decision.PROMOTE and verdict.winner:
        seed = "" if verdict.winner_seed is None else f", seed {verdict.winner_seed}"
        return f"{'Keep' if is_champion(presenter) else decision} {_short(verdict.winner)}{seed}"
    return decision


def is_champion(presenter: Presenter) -> bool:
    """Tell whether the winner's checkpoint is the champion already, so that a promotion would change nothing."""
    assessment = presenter.assessment
    return assessment.champion_run_id is not None and assessment.winner_run_id == assessment.champion_run_id


def verdict_sentence(presenter: Presenter) -> str:
    """Explain the verdict in one sentence: what, over what, by how much, at what cost, and what was not shown.

    The same sentence stands in the report, in the terminal, in the note of the MLflow run and in a CI summary.
    """
    verdict = presenter.assessment.verdict
    name = verdict.winner or nearest_candidate(presenter)
    rows = _rows_over_baselines(presenter, name)
    if name is None or not rows:
        return _closed(verdict_reason(presenter))
    scores = _scores(presenter, name, rows) + _cost(presenter, name, rows[0].baseline)
    return _closed("; ".join([scores, *_consequences(presenter, name)]))


def _consequences(presenter: Presenter, name: str) -> list[str]:
    verdict = presenter.assessment.verdict
    if verdict.decision == Decision.PROMOTE:
        champion = ["it is the champion already, so nothing changes"] if is_champion(presenter) else []
        gaps = _not_shown(presenter, name)
        return [*champion, f"not shown: {listed(gaps)}"] if gaps else champion
    if presenter.holds_champion:
        return [verdict_reason(presenter).removeprefix(NONE_PASSED)]
    if verdict.decision == Decision.INCONCLUSIVE:
        more = verdict.more_examples
        needed = (
            f"about {formats.counted(more, 'more test example')} should decide it{presenter.likely_outcome(name)}"
            if more
            else "more test examples may not help"
        )
        return [f"not decided: {_open_checks(presenter, name)}", needed]
    missing = {"more seed": verdict.more_seeds, "more test example": verdict.more_examples}
    needed_counts = [formats.counted(count, what) for what, count in missing.items() if count]
    evidence = [f"only evidence is missing: {listed(needed_counts)}"] if needed_counts else []
    return [f"not promoted: {_open_checks(presenter, name)}", *evidence]


def _rows_over_baselines(presenter: Presenter, name: str | None) -> list[Comparison]:
    """Select the deciding overall rows of a candidate by the metric of its first contrast, hardest baseline first."""
    rows = [
        row for row in presenter.deciding if row.role == Role.PRIMARY and row.candidate == name and row.slice is None
    ]
    rows = [row for row in rows if row.metric == rows[0].metric and formats.finite(row.delta)]
    return sorted(rows, key=lambda row: presenter.oriented(row, row.delta))


def key_facts(presenter: Presenter) -> tuple[Fact, ...]:
    """Summarise outcomes, sizes, registration, slices and the audit, a few words each."""
    assessment = presenter.assessment
    outcomes: dict[str, list[str | None]] = {
        "Primary contrasts": [row.outcome for row in presenter.deciding if row.role == Role.PRIMARY],
        "Guardrails": [row.outcome for row in presenter.deciding if row.role == Role.GUARDRAIL],
        "Gates and checks": [f.outcome for f in assessment.verdict.findings if f.outcome != Outcome.NOT_APPLICABLE],
    }
    facts = [_passed(label, values) for label, values in outcomes.items() if values]
    sizes = [estimate.n for standing in assessment.standings for estimate in standing.metrics.values()]
    if sizes:
        facts.append(Fact("Test examples", formats.count(max(sizes))))
    if left_out := left_out_fact(presenter):
        facts.append(left_out)
    facts.append(Fact("Confidence level", presenter.level))
    facts += registration_facts(presenter)
    if searched := search_fact(presenter):
        facts.append(searched)
    if missed := missed_classes_fact(presenter, assessment.verdict.winner or nearest_candidate(presenter)):
        facts.append(missed)
    if audited := audit_fact(presenter):
        facts.append(audited)
    facts += mismatch_facts(presenter)
    return tuple(facts)


def nearest_candidate(presenter: Presenter) -> str | None:
    """Choose the candidate with the smallest share of failed or open checks, the first of equals."""
    candidates = dict.fromkeys(row.candidate for row in presenter.deciding if row.role == Role.PRIMARY)
    findings = presenter.assessment.verdict.findings
    return min(candidates, key=lambda name: len(_open_findings(findings, name)), default=None)


def _open_findings(findings: Iterable[Finding], candidate: str) -> list[Finding]:
    """Select the findings against a candidate: its own, and those that hold for all."""
    return [
        finding
        for finding in findings
        if finding.outcome not in (Outcome.PASS, Outcome.NOT_APPLICABLE)
        and finding.evidence.get("candidate", candidate) in (None, candidate)
        and candidate in finding.evidence.get("candidates", (candidate,))
    ]


def _scores(presenter: Presenter, name: str, rows: Sequence[Comparison]) -> str:
    """`lora has accuracy 0.61 against 0.42 for majority (+0.19 [+0.12, +0.26]), on 300 test examples`."""
    metric = rows[0].metric
    shown = presenter.level_decimals(metric)
    decimals = max(shown - 1, min(shown, 2))  # with one, 0.43 against 0.56 is "0.4 against 0.6 (−0.1)"
    rivals = []
    for row in rows[:_MAX_BASELINES]:
        interval = f" {formats.interval(*row.deciding_interval, decimals, sign=True)}" if row is rows[0] else ""
        interval = " by the judge alone" if row.undecided is not None else interval
        gain = formats.fixed(row.delta, decimals, sign=True)
        rivals.append(f"{formats.fixed(row.baseline_mean, decimals)} for {_short(row.baseline)} ({gain}{interval})")
    if len(rows) > _MAX_BASELINES:
        rivals.append(f"{len(rows) - _MAX_BASELINES} further baselines that are easier to beat")
    lower = "" if presenter.higher_is_better(metric) else " (lower is better)"
    own = formats.fixed(rows[0].candidate_mean, decimals)
    return (
        f"{_short(name)} has {formats.clean(metric)} {own}{lower}{_of_seeds(presenter, rows[0], decimals)} against "
        f"{listed(rivals)} on "
        f"{formats.count(rows[0].n)} test examples{stop_clause(presenter, name)}"
    )


def _of_seeds(presenter: Presenter, row: Comparison, decimals: int) -> str:
    """` (its checkpoint; the mean of its 3 seeds is 0.59)`, as the ladder shows; empty where both are one score."""
    standing = next((one for one in presenter.assessment.standings if one.baseline == row.candidate), None)
    mean = None if standing is None else standing.metrics.get(row.metric)
    if mean is None or mean.n_seeds < 2 or row.estimand != Estimand.CHECKPOINT:
        return ""
    shown, own = (formats.fixed(value, decimals) for value in (mean.value, row.candidate_mean))
    return "" if shown == own else f" (its checkpoint; the mean of its {mean.n_seeds} seeds is {shown})"


def _cost(presenter: Presenter, name: str, rival: str) -> str:
    """`, at USD 0.28 per 1M queries (zero_shot: 0.031)`; without a price the latency, without that nothing."""
    costs = {standing.baseline: standing.cost for standing in presenter.assessment.standings}
    own, other = costs.get(name), costs.get(rival)
    if own is None:
        return ""
    if formats.finite(own.usd_per_query):
        batch, unit = formats.query_batch([own.usd_per_query])
        compared = ""
        if other is not None and formats.finite(other.usd_per_query):
            is_tiny = 0 < other.usd_per_query < own.usd_per_query / 1000
            theirs = "about 0" if is_tiny else formats.significant(other.usd_per_query * batch, 2)
            compared = f" ({_short(rival)}: {theirs})"
        return f", at USD {formats.significant(own.usd_per_query * batch, 2)} per {unit}{compared}"
    if formats.finite(own.latency_p95_s):
        known = other is not None and formats.finite(other.latency_p95_s)
        compared = f" ({_short(rival)}: {formats.duration(other.latency_p95_s)})" if other and known else ""
        return f", with {formats.duration(own.latency_p95_s)} latency at the 95th percentile{compared}"
    return ", at an unknown cost"


def _not_shown(presenter: Presenter, name: str) -> list[str]:
    """List what a reader of a promotion may take for shown and is not, the gravest first, at most two."""
    assessment = presenter.assessment
    gaps = []
    if not assessment.registration.is_confirmatory:
        gaps.append("a confirmed gain, as the rules were written after the first evaluation")
    recipes = [row for row in presenter.registered if row.candidate == name and row.estimand == Estimand.RECIPE]
    undecided = dict.fromkeys(_short(row.baseline) for row in recipes if row.outcome not in (Outcome.PASS, None))
    standing = next((one for one in assessment.standings if one.baseline == name), None)
    if undecided:
        gaps.append(f"that another training run would beat {listed(list(undecided))} too")
    elif standing is not None and len(standing.run_ids) == 1 and NO_SEED not in standing.run_ids:
        gaps.append("what another seed would give")
    if rivals := _rivals_not_beaten(presenter, name):
        gaps.append(f"a gain over {listed([_short(rival) for rival in rivals])}")
    return gaps[:_MAX_CLAUSES]


def _rivals_not_beaten(presenter: Presenter, name: str) -> list[str]:
    """Rungs that no overall row of the leading metric shows to be worse than `name`."""
    metric = presenter.metrics[0]
    beaten: set[str] = set()
    others: dict[str, None] = {}
    for row in presenter.overall:
        if row.metric != metric or name not in (row.candidate, row.baseline):
            continue
        rival, better = (row.baseline, "better") if row.candidate == name else (row.candidate, "worse")
        others[rival] = None
        if row.outcome == Outcome.PASS or presenter.reading(row) == better:
            beaten.add(rival)
    return [rival for rival in others if rival not in beaten]


def _open_checks(presenter: Presenter, name: str) -> str:
    """`guardrail over zero_shot on topic: apple −0.12 and latency_p95_s: 0.731 s is more than 0.5 s`; at most two."""
    open_rows = [
        row
        for row in presenter.deciding
        if row.candidate == name and row.outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE)
    ]
    checks = [_row_clause(presenter, row) for row in open_rows]
    checks += [
        _finding_clause(finding)
        for finding in _open_findings(presenter.assessment.verdict.findings, name)
        if not finding.is_of_contrast  # those are above
    ]
    checks = list(dict.fromkeys(checks))
    n_more = len(checks) - _MAX_CLAUSES
    more = [formats.counted(n_more, "more check")] if n_more > 0 else []
    return listed([*checks[:_MAX_CLAUSES], *more]) or verdict_reason(presenter)


def _finding_clause(finding: Finding) -> str:
    """Give the reason where it is short, else what was checked: the reason in full stands below the headline."""
    reason = formats.clean(finding.reason)
    if len(reason) <= _MAX_CLAUSE:
        return reason
    if finding.title:
        return formats.clean(f"{finding.code} {finding.title}")
    return reason[:_MAX_CLAUSE].rpartition(" ")[0].rstrip(" ,;:(") + "…"


def verdict_reason(presenter: Presenter) -> str:
    """Give the verdict's reason, with run ids and digests cut to their first eight characters."""
    return _HEX.sub(lambda match: match[0][:8], formats.clean(presenter.assessment.verdict.reason))


def further_reason(presenter: Presenter, sentence: str) -> str:
    """Give the verdict's reason where it says more than the sentence does, else nothing."""
    reason = verdict_reason(presenter)
    return "" if reason.removeprefix(NONE_PASSED).rstrip(".") in sentence else reason


def _row_clause(presenter: Presenter, row: Comparison) -> str:
    place = "" if row.slice is None else f" on {where(row)}"
    if row.undecided is not None:
        return f"{_short(row.metric)} over {_short(row.baseline)}{place}: {formats.clean(row.undecided)}"
    if not formats.finite(row.delta):
        return f"{_short(row.metric)} over {_short(row.baseline)}{place}: only {formats.count(row.n)} examples"
    return (
        f"{_short(row.metric)} over {_short(row.baseline)}{place} is {presenter.deciding_text(row)}, not "
        f"{presenter.required(row)}"
    )


def _passed(label: str, outcomes: Sequence[str | None]) -> Fact:
    """`1 of 3 pass; 1 fails, 1 is open`: red only where something fails."""
    passed, n_failed = (sum(outcome == wanted for outcome in outcomes) for wanted in (Outcome.PASS, Outcome.FAIL))
    n_open = len(outcomes) - passed - n_failed
    tone: Tone = "better" if passed == len(outcomes) else "worse" if n_failed else "open"
    failed = f"{n_failed} {'fails' if n_failed == 1 else 'fail'}" if n_failed else ""
    undecided = f"{n_open} {'is' if n_open == 1 else 'are'} open" if n_open else ""
    rest = ", ".join(filter(None, (failed, undecided)))
    return Fact(label, f"{passed} of {len(outcomes)} pass{f'; {rest}' if rest else ''}", tone)


def _short(name: str) -> str:
    """Cut a long name in its middle: a headline is for reading, the tables hold the name in full."""
    text = formats.clean(name)
    if len(text) <= _MAX_NAME:
        return text
    half = (_MAX_NAME - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def _closed(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?", "…")) else f"{sentence}."
