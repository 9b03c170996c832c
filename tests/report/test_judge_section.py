"""The section about judges, and what other sections say of a row that only a judge has scored."""

from __future__ import annotations

import math
from dataclasses import replace

from mlbaseline.records import (
    Assessment,
    JudgeDrift,
    JudgeReport,
    JudgingCost,
    OrderEffect,
    Outcome,
    PeopleAgreement,
)
from mlbaseline.report import render_html, render_markdown, render_terminal, summarise
from tests.support.comparisons import assessments as given

COST = JudgingCost(questions=320, errors=2, tokens_in=48_000, tokens_out=320, usd=0.05, seconds=14.5)
ALONE = JudgeReport("accuracy", "endpoint judge at http://localhost", None, 300, COST)
CHECKED = replace(
    ALONE,
    against="majority",
    people=PeopleAgreement(60, 2, 118, 0.65, 0.81, 0.7, 0.9, -0.12, "a" * 64),
    order=OrderEffect(0.31, 0.4),
    drift=JudgeDrift(10, 3, 0.15, 2.0),
)


def assessment(report: JudgeReport, *, undecided: str | None = None) -> Assessment:
    """A comparison whose rows a judge has scored, with labels or without."""
    base = given.inconclusive()
    changes = {"low": -math.inf, "high": math.inf, "outcome": Outcome.INCONCLUSIVE} if undecided else {}
    rows = [
        replace(row, n_labels=0 if undecided else 60, effective_labels=None if undecided else 95.0, undecided=undecided)
        for row in base.comparisons
    ]
    return replace(base, comparisons=tuple(replace(row, **changes) for row in rows), judges=(report,))


def test_without_labels_every_form_says_that_nothing_is_decided() -> None:
    shown = assessment(ALONE, undecided="no human labels")
    terminal = render_terminal(shown, colour=False, width=120)
    assert "? not decided (no human labels)" in terminal
    assert "none: it decides nothing" in terminal
    assert "mlbaseline export SUITE --labels N --metric accuracy" in " ".join(terminal.split())
    assert "by the judge alone" in summarise(shown)
    for text in (render_markdown(shown), render_html(shown)):
        assert "no human labels" in text
        assert "scores of a judge, not of people" in text


def test_with_labels_agreement_order_drift_and_cost_are_shown() -> None:
    text = " ".join(render_terminal(assessment(CHECKED), colour=False, width=160).split())
    for expected in (
        "60 of 300 examples, drawn at random (by 2 annotators)",
        "65% (of 118 labelled answers)",
        "Correlation with people 0.81",
        "0.70 (among people 0.90)",
        "Judge minus people −0.12",
        "+0.31 (the two orders disagree on 40% of the pairs)",
        "3 of 10 anchors answered otherwise, by +0.15 on average (after 2.0 days)",
        "320 (2 without a score)",
        "USD 0.05",
        "60 (worth 95)",
    ):
        assert expected in text, expected


def test_suites_without_a_judge_have_no_such_section() -> None:
    assert "Judges and people" not in render_terminal(given.promote(), colour=False, width=120)
