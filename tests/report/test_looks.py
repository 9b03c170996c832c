"""Where the answers to a test end, as the report, the terminal and the sentence say it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlbaseline.records import Assessment, ContrastLook, Look, LookOutcome, LookReport, StopStatus
from mlbaseline.report import render_html, render_markdown, render_terminal, summarise
from tests.support.comparisons import assessments as given

CONTINUE, EFFICACY = LookOutcome.CONTINUE, LookOutcome.EFFICACY


def looked_at(status: StopStatus, n: int, *outcomes: LookOutcome) -> Assessment:
    """A comparison that was looked at once for each outcome."""
    base = given.promote()
    winner, sizes = base.verdict.winner or "", (60, 120, 300)
    looks = tuple(
        Look(
            size,
            (ContrastLook(winner, "majority", "accuracy", "", 4.2, 3.36, 0.4, outcome),),
            {} if outcome is CONTINUE else {winner: outcome},
        )
        for size, outcome in zip(sizes, outcomes, strict=False)
    )
    first = next((look.n for look in looks if look.settled), None)
    return replace(base, looks=LookReport(status, n, 300, sizes, looks, first, guardrails_whole=True))


def test_a_stop_is_said_everywhere() -> None:
    assessment = looked_at(StopStatus.SETTLED, 120, CONTINUE, EFFICACY)
    assert "test examples of 300, stopped for efficacy at look 2 of 3" in summarise(assessment)
    terminal = render_terminal(assessment, colour=False, width=120)
    assert "Answers end at: 120 of 300 (40%), look 2 of 3: full efficacy" in " ".join(terminal.split())
    assert "Looks at the test: Registered looks" in terminal
    for text in (render_html(assessment), render_markdown(assessment)):
        assert "180 examples were not needed." in text
        assert "Guardrails are judged on the whole test, once." in text


@pytest.mark.parametrize(
    ("status", "n", "outcomes", "said"),
    [
        (StopStatus.WHOLE, 300, (CONTINUE, EFFICACY, EFFICACY), "The look at 120 already settled every candidate."),
        (StopStatus.SETTLED, 120, (EFFICACY, EFFICACY), "Every candidate was settled at 60 already."),
        (StopStatus.UNSETTLED, 60, (CONTINUE,), "Nothing that is registered ends them there: this holds."),
        (StopStatus.UNPLANNED, 70, (CONTINUE,), "Intervals are those of a confidence sequence"),
    ],
)
def test_every_way_to_end(status: StopStatus, n: int, outcomes: tuple[LookOutcome, ...], said: str) -> None:
    assert said in render_markdown(looked_at(status, n, *outcomes))


@pytest.mark.parametrize(
    ("may_grow", "so_far", "bound"), [(True, 0.038, "at most 0.038."), (False, 0.0576, "not 0.05")]
)
def test_a_test_that_grew_says_how_strictly_it_is_tested(may_grow: bool, so_far: float, bound: str) -> None:
    base = given.promote()
    registration = replace(base.registration, test_looks=3, earlier_looks=2, rate=0.0076, rate_so_far=so_far)
    text = render_markdown(replace(base, registration=registration))
    assert "looked at 2 times before it grew" in text
    assert "3, 2 of them before it grew: this one at an error rate of 0.0076" in text
    assert bound in text
    assert ("did not say that its test may grow" in text) is not may_grow


def test_a_suite_without_looks_has_no_such_section() -> None:
    assert "Looks at the test" not in render_markdown(given.promote())
