"""CanaryReport ─▶ View."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone

from mlbaseline import formats
from mlbaseline.monitor.canary.evidence import TimedPath
from mlbaseline.monitor.canary.report import CanaryDecision, CanaryReport, GuardrailOutcome, GuardrailResult
from mlbaseline.records import Outcome
from mlbaseline.report.plots.evidence_plot import EvidenceLine, EvidencePlot
from mlbaseline.report.view import Cell, Column, Fact, Row, Section, Steps, Table, Tone, View
from mlbaseline.suite.monitor.canary import GuardrailKind

_DAY_US = 86_400_000_000
_MOST_LINES = 6
_TITLES = {
    CanaryDecision.CONTINUE: "Continue",
    CanaryDecision.PROMOTE: "Promote",
    CanaryDecision.ROLL_BACK: "Roll back",
    CanaryDecision.HOLD: "Hold",
    CanaryDecision.INVALID: "Invalid",
}
_TONES: dict[CanaryDecision, Tone] = {
    CanaryDecision.CONTINUE: "open",
    CanaryDecision.PROMOTE: "better",
    CanaryDecision.ROLL_BACK: "worse",
    CanaryDecision.HOLD: "open",
    CanaryDecision.INVALID: "worse",
}
_OUTCOMES: dict[GuardrailOutcome, Cell] = {
    GuardrailOutcome.HARM: Cell("✕ harm", tone="worse"),
    GuardrailOutcome.NON_INFERIOR: Cell("✓ no worse", tone="better"),
    GuardrailOutcome.OPEN: Cell("? open", tone="open"),
}


def canary_view(report: CanaryReport, suite: str, candidate: str, *, advises_promotion: bool = False) -> View:
    """Build the page of a look at the canary.

    Args:
        report: What was decided.
        suite: Its name.
        candidate: What the traffic has tried.
        advises_promotion: Whether the candidate can be promoted by a command, and was not yet.
    """
    sections = (
        Section("evidence", "Evidence over time", (_plot(report),)),
        Section("guardrails", "Guardrails", (_table(report),)),
        Section("split", "Split of the traffic", (_split(report),)),
        Section("next", "What would come next", (Steps(next_steps(report, advises_promotion=advises_promotion)),)),
    )
    return View(
        suite=formats.clean(suite),
        title=_TITLES[report.decision],
        sentence=canary_sentence(report, candidate),
        reason=(
            f"each kind of wrong decision has an error rate of at most {formats.percent(report.alpha)}, however often "
            "anybody looks; the decision is that of the first moment at which it could be taken"
        ),
        tone=_TONES[report.decision],
        facts=_facts(report),
        sections=sections,
        subject="Canary of",
    )


def canary_sentence(report: CanaryReport, candidate: str) -> str:
    """Explain the decision in one sentence."""
    name = formats.clean(candidate)
    on = f"on {formats.count(report.units)} units at a share of {formats.percent(report.ramp.share)}"
    match report.decision:
        case CanaryDecision.CONTINUE:
            return f"Nothing is shown yet about {name} {on}: neither harm, nor that it is no worse than tolerated."
        case CanaryDecision.PROMOTE:
            return f"{name} is no worse than tolerated by every guardrail, {on}."
        case CanaryDecision.ROLL_BACK:
            harmed = [r.test.label for r in report.guardrails if r.outcome is GuardrailOutcome.HARM]
            return f"{name} does harm by {formats.clean(' and '.join(harmed))}, {on}."
        case CanaryDecision.HOLD:
            return f"The horizon is reached and neither harm nor its absence is shown for {name}, {on}."
        case CanaryDecision.INVALID:
            return f"The traffic is not split as it claims to be, {on}: nothing can be concluded about {name}."


def next_steps(report: CanaryReport, *, advises_promotion: bool) -> tuple[str, ...]:
    """Say what would come next, as ordered sentences. advises_promotion: see `canary_view`."""
    match report.decision:
        case CanaryDecision.PROMOTE:
            gates = ("Promote it through the suite's gates: mlbaseline promote.",) if advises_promotion else ()
            return ("Give the candidate all traffic.", *gates)
        case CanaryDecision.ROLL_BACK:
            return (
                "Set the candidate's weight to 0.",
                "Look at the examples of the guardrail that was harmed before another canary, under a new name.",
            )
        case CanaryDecision.HOLD:
            return ("Keep the share or end the canary: a person decides.", "A larger share shows the same sooner.")
        case CanaryDecision.INVALID:
            return (_mismatch_advice(report), "Start again with a new name of the experiment, which mixes units anew.")
        case CanaryDecision.CONTINUE:
            step = report.ramp.next_share
            if step is None:
                when = f"until {moment_text(report.horizon_us)}" if report.horizon_us else "until there is traffic"
                return (f"Stay at this share {when}, the horizon.",)
            at = f"from {moment_text(report.ramp.next_us)} on" if report.ramp.next_us else "now"
            return (f"Give the candidate {formats.percent(step)} of the traffic {at}.",)


def moment_text(moment_us: int | None) -> str:
    """Write a time as `2026-01-01 12:30 UTC`."""
    if moment_us is None:
        return formats.MISSING
    return f"{datetime.fromtimestamp(0, timezone.utc) + timedelta(microseconds=moment_us):%Y-%m-%d %H:%M} UTC"


def _mismatch_advice(report: CanaryReport) -> str:
    if report.mismatch.labels.crossed_us is not None:
        return "Find out why labels of one arm are lost or come late."
    if report.mismatch.returning:
        return (
            "Units that come back are not split as new ones are: affinity by cookie often pins the candidate's units "
            "alone. Assign by a hash of the unit (mlbaseline.assign)."
        )
    return "Compare the configured share with the splitter's real one: some cut weights to whole percent."


def _facts(report: CanaryReport) -> tuple[Fact, ...]:
    split = "as claimed" if report.mismatch_outcome is Outcome.PASS else "not as claimed"
    decided = (Fact("Decided", moment_text(report.decided_us)),) if report.decided_us is not None else ()
    return (
        *decided,
        Fact("Share now", formats.percent(report.share)),
        Fact("Units", formats.count(report.units)),
        Fact("Requests", formats.count(report.requests)),
        Fact("Labels", formats.count(report.labels)),
        Fact("Split", split, "better" if report.mismatch_outcome is Outcome.PASS else "worse"),
        Fact("Looked at", moment_text(report.looked_us)),
    )


def _plot(report: CanaryReport) -> EvidencePlot:
    ranked = sorted(report.guardrails, key=lambda result: -result.harm.last / result.test.threshold)
    lines = [
        _line(report, f"harm by {result.test.label}", result.harm, result.test.threshold, harm=True)
        for result in ranked[:_MOST_LINES]
    ]
    lines += [
        _line(report, f"{r.test.label} no worse", r.non_inferior, math.log(1 / report.alpha), harm=False)
        for r in report.guardrails
        if r.non_inferior is not None
    ]
    start, decided = report.started_us, report.decided_us
    return EvidencePlot(
        name="evidence",
        title="Evidence over time",
        caption="Orange: that the candidate does harm. Blue: that it is no worse than tolerated.",
        alt="; ".join(f"{line.label}: {formats.fixed(line.shares[-1], 2)} of 1" for line in lines if line.shares),
        lines=tuple(line for line in lines if line.days),
        decided=None if decided is None or start is None else (decided - start) / _DAY_US,
    )


def _line(report: CanaryReport, label: str, path: TimedPath, threshold: float, *, harm: bool) -> EvidenceLine:
    days = tuple(((path.time_us - (report.started_us or 0)) / _DAY_US).tolist())
    return EvidenceLine(formats.clean(label), days, tuple((path.log_e / threshold).tolist()), harm)


def _table(report: CanaryReport) -> Table:
    columns = (
        Column("Guardrail", code=True, rank=0),
        Column("Shows", rank=1),
        Column("Champion", numeric=True, rank=3),
        Column("Candidate", numeric=True, rank=2),
        Column("Tolerated", numeric=True),
        Column("log e of harm", numeric=True),
        Column("log e of no harm", numeric=True),
    )
    return Table(
        "Evidence by guardrail",
        columns,
        tuple(_row(report, result) for result in report.guardrails),
        notes=(
            "Beside each log e: the one that decides. Harm spends its part of the error rate; for a promotion every "
            "guardrail on all traffic must show that the candidate is no worse.",
        ),
    )


def _row(report: CanaryReport, result: GuardrailResult) -> Row:
    test = result.test
    sign = "difference ≤" if test.kind is GuardrailKind.SCORE else "ratio ≤"
    good = result.non_inferior
    negligible = "" if test.negligible is None else f"or rate ≤ {formats.plain(test.negligible)}"
    return Row(
        (
            Cell(formats.clean(test.label)),
            _OUTCOMES[result.outcome],
            Cell(formats.significant(result.champion.value), f"n = {formats.count(result.champion.n)}"),
            Cell(formats.significant(result.candidate.value), f"n = {formats.count(result.candidate.n)}"),
            Cell(f"{sign} {formats.plain(test.limit)}", negligible),
            Cell(formats.fixed(result.harm.last, 2), f"of {formats.fixed(test.threshold, 2)}"),
            Cell(formats.MISSING)
            if good is None
            else Cell(formats.fixed(good.last, 2), f"of {formats.fixed(math.log(1 / report.alpha), 2)}"),
        ),
        emphasis=result.outcome is GuardrailOutcome.HARM,
    )


def _split(report: CanaryReport) -> Table:
    columns = (
        Column("What is counted", rank=0),
        Column("log e of a mismatch", numeric=True),
        Column("Threshold", numeric=True),
    )
    threshold = Cell(formats.fixed(report.mismatch.threshold, 2))
    paths = (
        ("units, as they come and come back", report.mismatch.requests),
        ("labelled units", report.mismatch.labels),
    )
    rows = tuple(
        Row((Cell(what), Cell(formats.fixed(path.last, 2), tone="worse" if path.crossed_us else ""), threshold))
        for what, path in paths
    )
    note = f"{formats.count(report.crossing_units)} units answered to both arms at one share: the split is not sticky."
    return Table("Mismatch", columns, rows, notes=(note,) if report.crossing_units else ())
