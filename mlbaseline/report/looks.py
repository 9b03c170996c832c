"""Section `looks`: where the answers to the test end, and what every look came to; when rules were registered."""

from __future__ import annotations

from mlbaseline import formats
from mlbaseline.records import ContrastLook, LookOutcome, LookReport, Registered, Registration, StopStatus
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.view import Block, Cell, Column, Fact, Row, Section, Table, Tone

_TONES: dict[LookOutcome, Tone] = {
    LookOutcome.EFFICACY: "better",
    LookOutcome.HARM: "worse",
    LookOutcome.FUTILITY: "open",
    LookOutcome.CONTINUE: "",
}
_NOTE = (
    "z: how far the contrast is beyond its margin, in standard errors. Boundaries: Lan and DeMets, spending like "
    "O'Brien and Fleming, for an equal share of the error rate; the correction for several contrasts may settle one a "
    "little before. Futility is for an effect that the whole test would find with 80% power, and does not bind. The "
    "intervals of all contrasts are repeated confidence intervals: they hold at all registered looks together."
)


def looks_section(presenter: Presenter) -> Section | None:
    """Build the table of the looks; nothing for a suite that registers none and whose test has not grown."""
    report, registration = presenter.assessment.looks, presenter.assessment.registration
    blocks: list[Block] = []
    if registration.rate is not None:
        blocks.append(_growth(registration, presenter.assessment.level))
    if report is not None:
        blocks.append(_ending(report))
        if report.looks:
            blocks.append(_table(report))
    return Section("looks", "Looks at the test", tuple(blocks)) if blocks else None


def registration_facts(presenter: Presenter) -> tuple[Fact, ...]:
    """Say when the rules were registered, and what the registered looks came to."""
    registration = presenter.assessment.registration
    if registration.is_confirmatory:
        when = Fact("Rules registered", "before the first evaluation", "better")
    else:
        n_before = sum(row.registered == Registered.BEFORE for row in presenter.deciding)
        partly = f"; {n_before} of {len(presenter.deciding)} contrasts stood before it" if n_before else ""
        when = Fact("Rules registered", f"after the first evaluation{partly}", "open")
    return when, *_looks_facts(presenter)


def _looks_facts(presenter: Presenter) -> tuple[Fact, ...]:
    """Say in a few words where the answers end, and how often the test was looked at."""
    report, registration = presenter.assessment.looks, presenter.assessment.registration
    grown = f", {registration.earlier_looks} of them before it grew" if registration.earlier_looks else ""
    strictly = "" if registration.rate is None else f": this one at an error rate of {registration.rate:.2g}"
    facts = [Fact("Looks at test", f"{formats.count(registration.test_looks)}{grown}{strictly}")]
    if report is not None:
        tone: Tone = "open" if report.status in (StopStatus.UNSETTLED, StopStatus.UNPLANNED) else ""
        facts.append(Fact("Answers end at", formats.clean(report.summary), tone))
    return tuple(facts)


def stop_clause(presenter: Presenter, candidate: str) -> str:
    """Finish "on 120 test examples" where the rest was spared: ` of 300, stopped for efficacy at look 2 of 5`."""
    report = presenter.assessment.looks
    if report is None or not report.stopped_early:
        return ""
    boundary = report.by.get(candidate)
    by = f" for {boundary}" if boundary else ""
    look = f"look {report.sizes.index(report.n) + 1} of {len(report.sizes)}"
    return f" of {formats.count(report.total)}, stopped{by} at {look}"


def _growth(registration: Registration, level: float) -> str:
    earlier, rate, so_far = registration.earlier_looks, registration.rate or 0.0, registration.rate_so_far or 0.0
    planned = so_far <= 1.0 - level + 1e-9
    times = "once" if earlier == 1 else f"{earlier} times"
    before = f"looked at {times} before it grew" if earlier else "not looked at before"
    bound = f"the error rate over all looks is at most {so_far:.2g}"
    how = "" if planned else f", not {1.0 - level:.2g}, because the suite did not say that its test may grow"
    return (
        f"The test was {before}. Registered contrasts are tested at an error rate of {rate:.2g}, and their intervals "
        f"have the level {1.0 - rate:.4g}; {bound}{how}."
    )


def _ending(report: LookReport) -> str:
    rest = report.total - report.n
    match report.status:
        case StopStatus.WHOLE:
            first = "" if report.first is None else f" The look at {report.first:,} already settled every candidate."
            text = f"All {report.total:,} examples were answered.{first}"
        case StopStatus.SETTLED:
            went_on = f" Every candidate was settled at {report.first:,} already." if report.first != report.n else ""
            text = f"The answers end at {report.summary}. {rest:,} examples were not needed.{went_on}"
        case StopStatus.UNSETTLED:
            text = f"The answers end at {report.summary}. Nothing that is registered ends them there: this holds."
        case StopStatus.UNPLANNED:
            text = (
                f"The answers end at {report.summary}. Intervals are those of a confidence sequence, which holds "
                "whenever one looks; nothing is decided by them."
            )
    whole = " Guardrails are judged on the whole test, once." if report.guardrails_whole else ""
    return text + whole


def _table(report: LookReport) -> Table:
    places = any(row.where for look in report.looks for row in look.contrasts)
    columns = (
        Column("Examples", numeric=True, rank=0),
        Column("Candidate", code=True, rank=0),
        Column("Baseline", code=True, rank=0),
        Column("Metric", rank=4),
        *((Column("Where", rank=2),) if places else ()),
        Column("z", numeric=True, rank=1),
        Column("Efficacy from", numeric=True, rank=2),
        Column("Futility up to", numeric=True, rank=2),
        Column("Outcome", rank=1),
    )
    rows = tuple(_row(look.n, row, places) for look in report.looks for row in look.contrasts)
    return Table("Registered looks", columns, rows, collapsed=not report.stopped_early, notes=(_NOTE,))


def _row(n: int, row: ContrastLook, places: bool) -> Row:
    return Row(
        (
            Cell(formats.count(n)),
            Cell(formats.clean(row.candidate)),
            Cell(formats.clean(row.baseline)),
            Cell(formats.clean(row.metric)),
            *((Cell(formats.clean(row.where)),) if places else ()),
            Cell(formats.fixed(row.z, 2, sign=True)),
            Cell(formats.fixed(row.efficacy, 2, sign=True)),
            Cell(formats.fixed(row.futility, 2, sign=True)),
            Cell(row.outcome.value, tone=_TONES[row.outcome]),
        )
    )
