from __future__ import annotations

from dataclasses import replace

import pytest

from mlbaseline.judge.decision.finding import gate_finding
from mlbaseline.records import Assessment, GateCode, Outcome, PromotionState
from mlbaseline.report.markdown import render_summary
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.sections.next_steps import next_steps_section
from mlbaseline.report.terminal import render_terminal
from mlbaseline.report.view import Steps
from tests.report.sections.test_findings import texts
from tests.support.comparisons import assessments as given


def steps(assessment: Assessment) -> tuple[str, ...]:
    section = next_steps_section(Presenter(assessment))
    assert section is not None
    assert isinstance(section.blocks[0], Steps)
    return section.blocks[0].items


def test_next_steps_of_an_inconclusive_verdict_say_how_many_examples() -> None:
    items = steps(given.inconclusive())
    assert "1,240 test examples" in items[0]
    assert "lora over full is undecided (Δ > +0.010): accuracy +0.018 [−0.031, +0.067]" in items[1]
    assert "smallest detectable difference 0.059" in items[1]


def test_next_steps_of_an_inconclusive_verdict_that_examples_do_not_decide() -> None:
    base = given.inconclusive()
    items = steps(replace(base, verdict=replace(base.verdict, more_examples=None)))
    assert "not expected to decide" in items[0]


def test_next_steps_of_a_hold_name_the_contrast_and_the_gate() -> None:
    items = steps(given.hold())
    assert items[0].startswith("lora over zero_shot on topic: apple misses its margin")
    assert items[1] == "latency_p95: 0.731 s is more than 0.5 s"


def test_what_a_gate_found_in_a_contrast_is_no_step_of_its_own() -> None:
    base = given.hold()
    missed = next(row for row in base.comparisons if row.outcome == Outcome.FAIL)
    about = {"candidate": missed.candidate, "baseline": missed.baseline, "metric": missed.metric}
    found = gate_finding(GateCode.GUARDRAIL, Outcome.FAIL, "the same in other words", about)
    absent = gate_finding(GateCode.GUARDRAIL, Outcome.FAIL, "registered, not compared", {"candidate": "lora"})
    verdict = replace(base.verdict, findings=(*base.verdict.findings, found, absent))
    assert steps(replace(base, verdict=verdict)) == (*steps(base), "guardrail: registered, not compared")


def test_next_steps_are_cut_after_eight() -> None:
    base = given.hold()
    failed = tuple(replace(row, outcome="fail") for row in base.comparisons)
    items = steps(replace(base, comparisons=failed))
    assert len(items) == 9
    assert items[-1] == "… and 2 more in the tables."


def test_a_winner_is_to_be_promoted_where_that_is_possible_and_not_done() -> None:
    won = given.promote()
    assert "mlbaseline promote" in steps(won)[0]
    unnamed = replace(won, registers=False)
    assert "`register_as`" in steps(unnamed)[0]
    attempted = render_terminal(won, colour=False, width=100, promotion=PromotionState.ATTEMPTED)
    assert "mlbaseline promote" not in attempted


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (PromotionState.CHAMPION, "Nothing is left to promote"),
        (PromotionState.OVERTAKEN, "another version is the champion now"),
        (PromotionState.ROLLED_BACK, "--allow-rolled-back"),
    ],
)
def test_a_winner_that_was_promoted_is_not_to_be_promoted_as_if_nothing_had_been(
    state: PromotionState, said: str
) -> None:
    assert said in render_summary(given.promote(), state)


def test_power_compares_the_distance_to_the_margin_with_what_can_be_detected() -> None:
    rows = texts(next_steps_section(Presenter(given.inconclusive())), block=1)
    assert rows[0][3:] == ["primary", "300", "+0.008", "0.059", "too small to detect reliably"]
    assert rows[1][-1] == "large enough to detect"


def test_a_hold_that_lacks_only_evidence_says_how_much() -> None:
    base = given.hold()
    verdict = replace(base.verdict, more_seeds=2, more_examples=700)
    first = steps(replace(base, verdict=verdict))[0]
    assert first == "Only evidence is missing: with 2 more seeds and 700 more test examples the gates can pass."
