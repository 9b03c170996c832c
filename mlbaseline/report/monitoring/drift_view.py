"""DriftReport ─▶ View."""

from __future__ import annotations

import math

from mlbaseline import formats
from mlbaseline.monitor.drift.report import DriftOutcome, DriftReport, SliceDrift
from mlbaseline.report.monitoring.canary_view import moment_text
from mlbaseline.report.plots.evidence_plot import EvidenceLine, EvidencePlot
from mlbaseline.report.view import Block, Cell, Column, Fact, Row, Section, Steps, Table, View

_MOST_LINES = 6
_NOTABLE = 0.1
"""Total variation or Kolmogorov–Smirnov distance from which a change of the inputs is worth a sentence."""
_OUTCOMES = {
    DriftOutcome.ALARM: Cell("▼ alarm", tone="worse"),
    DriftOutcome.STABLE: Cell("✓ none shown", tone="better"),
    DriftOutcome.NO_LABELS: Cell("no labels", tone="open"),
}


def drift_view(report: DriftReport, suite: str) -> View:
    """Build the page of a look at the drift."""
    sections = (
        Section("evidence", "Evidence over time", (_plot(report),)),
        Section("watched", "Slices", (_table(report),)),
        Section("inputs", "What changed about the inputs", _inputs(report)),
        Section("cost-of-traffic", "Latency and cost", (_cost(report),)),
        Section("next", "What would come next", (Steps(_next(report)),)),
    )
    return View(
        suite=formats.clean(suite),
        title="Drift" if report.alarms else "No drift shown",
        sentence=drift_sentence(report),
        reason=(
            f"as long as every slice keeps its bound, a false alarm comes on average once in "
            f"{formats.plain(report.arl_days)} days or more, over all slices together; days count once they are closed"
        ),
        tone="worse" if report.alarms else "better" if report.days else "open",
        facts=(
            Fact("Closed days", formats.count(len(report.days))),
            Fact("Since", f"{report.days[0]:%Y-%m-%d}" if report.days else formats.MISSING),
            Fact("Requests", formats.count(report.requests)),
            Fact("Labels", formats.count(report.slices[0].n if report.slices else 0)),
            Fact("Late labels", formats.count(report.late)),
            Fact("Looked at", moment_text(report.looked_us)),
        ),
        sections=sections,
        subject="Drift of",
    )


def drift_sentence(report: DriftReport) -> str:
    """Explain the outcome in one sentence."""
    if not report.alarms:
        return (
            f"On {len(report.days)} closed days the loss of no slice is shown to exceed its bound "
            f"(1 − {formats.clean(report.metric)}, recorded of {formats.clean(report.reference)})."
        )
    first = report.alarms[0]
    more = f", and {len(report.alarms) - 1} more" if len(report.alarms) > 1 else ""
    return (
        f"The loss on {formats.clean(first.label)} exceeds its bound of {formats.fixed(first.bound)} since "
        f"{first.alarmed:%Y-%m-%d}{more}: {formats.fixed(first.recent_loss)} in the newest week, recorded "
        f"{formats.fixed(first.reference_loss)}."
    )


def _next(report: DriftReport) -> tuple[str, ...]:
    if not report.alarms:
        return ("Go on: the next look costs nothing.",)
    return (
        "Look at labelled examples of the slices that raised an alarm.",
        "Retrain through the gates: mlbaseline retrain says what it would do, and --apply does it.",
        "After a new champion the detector starts again.",
    )


def _plot(report: DriftReport) -> EvidencePlot:
    ranked = sorted(report.slices, key=lambda each: -(each.last if len(each.log_e) else -math.inf))[:_MOST_LINES]
    lines = [
        EvidenceLine(
            formats.clean(each.label),
            tuple(float(day) for day in range(len(each.log_e))),
            tuple((each.log_e / each.threshold).tolist()),
            harm=each.alarmed is not None,
        )
        for each in ranked
        if len(each.log_e)
    ]
    first = report.alarms[0].alarmed if report.alarms else None
    return EvidencePlot(
        name="evidence",
        title="Evidence over time",
        caption="The slices with the strongest evidence of a loss above their bound; those with an alarm in orange.",
        alt="; ".join(f"{line.label}: {formats.fixed(line.shares[-1], 2)} of 1" for line in lines),
        lines=tuple(lines),
        decided=None if first is None else float((first - report.days[0]).days),
    )


def _table(report: DriftReport) -> Table:
    columns = (
        Column("Slice", code=True, rank=0),
        Column("Shows", rank=1),
        Column("Loss", numeric=True, rank=2),
        Column("Newest week", numeric=True, rank=3),
        Column("Recorded", numeric=True, rank=4),
        Column("Bound", numeric=True),
        Column("log e", numeric=True),
    )
    return Table(
        "Loss by slice", columns, tuple(_row(each) for each in report.slices), collapsed=len(report.slices) > 40
    )


def _row(each: SliceDrift) -> Row:
    when = f"{each.alarmed:%Y-%m-%d}" if each.alarmed else ""
    shows = _OUTCOMES[each.outcome]
    return Row(
        (
            Cell(formats.clean(each.label)),
            Cell(shows.text, when, shows.tone),
            Cell(formats.fixed(each.loss), f"n = {formats.count(each.n)}"),
            Cell(formats.fixed(each.recent_loss)),
            Cell(formats.fixed(each.reference_loss)),
            Cell(formats.fixed(each.bound)),
            Cell(formats.fixed(each.last, 2), f"of {formats.fixed(each.threshold, 2)}"),
        ),
        emphasis=each.alarmed is not None,
    )


def _inputs(report: DriftReport) -> tuple[Block, ...]:
    inputs = report.inputs
    sentences = [
        f"The mix of {formats.clean(mix.slice)} changed: {formats.clean(mix.value)} has "
        f"{formats.percent(mix.share)} of the newest {inputs.days} days, and had "
        f"{formats.percent(mix.reference_share)}. "
        f"By itself this would change the mean loss by {formats.fixed(mix.explained_loss, sign=True)}."
        for mix in inputs.mixes
        if mix.distance >= _NOTABLE
    ]
    sentences += [
        f"Values of {formats.clean(mix.slice)} that the reference was not evaluated on, and that are not watched: "
        f"{formats.clean(', '.join(mix.unknown[:8]))}."
        for mix in inputs.mixes
        if mix.unknown
    ]
    if formats.finite(inputs.length_distance) and inputs.length_distance >= _NOTABLE:
        sentences.append(
            f"Prompts changed in length: a median of {formats.significant(inputs.tokens_in)} tokens, recorded "
            f"{formats.significant(inputs.reference_tokens_in)}."
        )
    if report.vocabulary is not None:
        words = report.vocabulary
        sentences.append(
            f"Of the words of {formats.count(words.items)} live items, {formats.percent(words.unknown)} do not occur "
            f"in the suite's data; of other items of that data it is {formats.percent(words.suite_unknown)}. The "
            f"Jensen–Shannon divergence of the words is {formats.fixed(words.divergence)} bits, within the data "
            f"{formats.fixed(words.suite_divergence)}."
        )
    explanation = "Changes of the inputs explain a rise of the loss; they never raise an alarm."
    return (*(sentences or ["Neither the mix of the slices nor the lengths changed notably."]), explanation)


def _cost(report: DriftReport) -> Table:
    cost = report.cost
    columns = (Column("Measure", rank=0), Column("Newest week", numeric=True), Column("Recorded", numeric=True))
    log_e = f"log e of a rise {formats.fixed(cost.latency_log_e, 2)}" if formats.finite(cost.latency_log_e) else ""
    rows = (
        Row(
            (
                Cell("latency p95, s"),
                Cell(formats.significant(cost.latency_p95_s), log_e),
                Cell(formats.significant(cost.reference_latency_p95_s)),
            )
        ),
        Row(
            (
                Cell("cost per query, USD"),
                Cell(formats.significant(cost.cost_usd)),
                Cell(formats.significant(cost.reference_cost_usd)),
            )
        ),
    )
    return Table("Live and recorded", columns, rows)
