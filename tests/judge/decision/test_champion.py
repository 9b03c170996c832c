"""A candidate that is the champion already: nothing is left to promote, however much its contrasts leave open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mlbaseline.judge.audit import Champion
from mlbaseline.judge.contrasts.power import MoreExamples
from mlbaseline.judge.decision.gates import decide
from mlbaseline.judge.decision.judgement import judge
from mlbaseline.records import CHAMPION_ALREADY, Comparison, Decision, Outcome, Verdict
from tests.support.comparisons.audit_subjects import standings, subject, suite
from tests.support.comparisons.judged import comparison

OPEN = [
    comparison(baseline="majority", margin=0.05),
    comparison(baseline="full", margin=0.05, delta=0.0, low=-0.06, high=0.06, outcome=Outcome.INCONCLUSIVE),
]


def judged(rows: Sequence[Comparison], champion_of: str) -> Verdict:
    """Judge `lora` where the champion is the checkpoint of this rung."""
    of = subject(comparisons=rows)
    champion = Champion("m/3", of.ladder.checkpoints[champion_of].evaluation.run_id)
    waived = of.suite.model_copy(update={"gates": of.suite.gates.model_copy(update={"waive": {"MLB106": "a test"}})})
    of = replace(of, ladder=replace(of.ladder, suite=waived), champion=champion)
    return judge(of, lambda row: MoreExamples(500), None)[1]


def test_what_is_open_about_the_champion_holds_and_asks_for_no_examples() -> None:
    verdict = judged(OPEN, "lora")
    assert (verdict.decision, verdict.more_examples) == (Decision.HOLD, None)
    assert verdict.reason.endswith(f"lora is {CHAMPION_ALREADY}")
    other = judged(OPEN, "full")
    assert (other.decision, other.more_examples) == (Decision.INCONCLUSIVE, 500)


def test_a_champion_that_passes_or_fails_is_decided_as_any_other() -> None:
    passing = [replace(row, outcome=Outcome.PASS) for row in OPEN]
    assert judged(passing, "lora").winner == "lora"
    failing = [replace(row, outcome=Outcome.FAIL) for row in OPEN]
    assert CHAMPION_ALREADY not in judged(failing, "lora").reason


def test_another_candidate_that_is_open_is_still_to_be_decided() -> None:
    primary = "primary: [{candidate: lora, over: [majority, full], margin: 0.05}"
    both = suite(primary, f"{primary}, {{candidate: zero_shot, over: [majority], margin: 0.05}}")
    open_too = comparison(candidate="zero_shot", margin=0.05, outcome=Outcome.INCONCLUSIVE)
    verdict = decide(
        both, [*OPEN, open_too], standings(), {}, lambda row: MoreExamples(70), conditions=(), champions={"lora"}
    )
    assert (verdict.decision, verdict.more_examples) == (Decision.INCONCLUSIVE, 70)
    assert "zero_shot over majority" in verdict.reason
