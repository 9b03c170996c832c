"""Section `judges`: who scores the judged metrics, and how far people, order and time agree with it."""

from __future__ import annotations

from collections.abc import Iterator

from mlbaseline import formats
from mlbaseline.records import JudgeDrift, JudgeReport, JudgingCost, PeopleAgreement
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.view import Cell, Column, Row, Section, Table, Tone

_MUCH = 0.1
"""Bias, or preference for a position, from which it is marked."""
_NOTE = (
    "A judge is not the truth. People's labels of random answers decide; the judge's scores of all answers make them "
    "go further (prediction-powered inference, PPI++). Answers whose judge said nothing that can be read count 0.5."
)
_UNLABELLED = (
    "Without people's labels a judged metric decides nothing: the judge may favour one side, and its own scores cannot "
    "show it. `mlbaseline export SUITE --labels N -o FILE.csv` draws answers for people."
)


def judge_section(presenter: Presenter) -> Section | None:
    """Build one table a judged metric."""
    reports = presenter.assessment.judges
    if not reports:
        return None
    return Section("judges", "Judges and people", tuple(_table(report) for report in reports))


def _table(report: JudgeReport) -> Table:
    rows = tuple(Row((Cell(label), cell)) for label, cell in _facts(report))
    notes = (_NOTE, *(() if report.people else (_UNLABELLED,)))
    caption = f"{formats.clean(report.metric)}, scored by a judge"
    return Table(caption, (Column("What"), Column("Found", wide=True)), rows, notes=notes)


def _facts(report: JudgeReport) -> Iterator[tuple[str, Cell]]:
    yield "Judge", Cell(formats.clean(report.judge))
    if report.against is not None:
        yield "Compares with", Cell(f"answers of {formats.clean(report.against)}, each pair in both orders")
    if report.people is None:
        yield "Labels of people", Cell("none: it decides nothing", tone="open")
    else:
        yield from _agreement(report.people, report.n)
    if report.order is not None:
        value = formats.fixed(report.order.preference, 2, sign=True)
        disagree = f"(the two orders disagree on {formats.percent(report.order.disagree)} of the pairs)"
        yield "Preference for the first answer", Cell(value, disagree, _marked(report.order.preference))
    yield "Same judge as before", _drift(report.drift)
    yield from _cost(report.cost)


def _cost(cost: JudgingCost) -> Iterator[tuple[str, Cell]]:
    yield "Questions", Cell(f"{cost.questions:,}", f"({cost.errors:,} without a score)" if cost.errors else "")
    tokens = f"{cost.tokens_in:,} tokens read, {cost.tokens_out:,} written" if cost.tokens_in else ""
    usd = "no price" if cost.usd is None else f"USD {formats.significant(cost.usd)}"
    details = ", ".join(filter(None, [tokens, formats.duration(cost.seconds)]))
    yield "Cost of judging", Cell(usd, f"({details})")


def _agreement(people: PeopleAgreement, n: int) -> Iterator[tuple[str, Cell]]:
    by = f"(by {people.annotators} annotator{'' if people.annotators == 1 else 's'})"
    yield "Labels of people", Cell(f"{people.drawn:,} of {n:,} examples, drawn at random", by)
    if people.same is not None:
        yield "Same score as people", Cell(formats.percent(people.same), f"(of {people.answers:,} labelled answers)")
    if people.correlation is not None:
        yield "Correlation with people", Cell(formats.fixed(people.correlation, 2))
    if people.alpha is not None:
        among = "" if people.people_alpha is None else f"(among people {formats.fixed(people.people_alpha, 2)})"
        yield "Krippendorff's α with people", Cell(formats.fixed(people.alpha, 2), among)
    if people.bias is not None:
        yield "Judge minus people", Cell(formats.fixed(people.bias, 2, sign=True), tone=_marked(people.bias))


def _drift(drift: JudgeDrift | None) -> Cell:
    if drift is None:
        return Cell("not known", "(there were no earlier answers to compare with)")
    said = f"{drift.changed:,} of {drift.anchors:,} anchors answered otherwise"
    shift = f", by {formats.fixed(drift.shift, 2, sign=True)} on average" if drift.changed else ""
    return Cell(said + shift, f"(after {formats.fixed(drift.days, 1)} days)", "open" if drift.changed else "")


def _marked(value: float) -> Tone:
    return "open" if abs(value) >= _MUCH else ""
