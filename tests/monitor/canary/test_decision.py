"""The canary's decision: the same at any look, at the first moment at which it could be taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from mlbaseline.monitor.canary.decision import decide_canary
from mlbaseline.monitor.canary.plan import CanaryPlan, plan_canary
from mlbaseline.monitor.canary.report import CanaryDecision, GuardrailOutcome
from mlbaseline.monitor.event_arrays import EventArrays, ScoreArrays
from mlbaseline.monitor.simulation import START_US, Arms, simulate_events
from mlbaseline.records import Outcome
from mlbaseline.suite.monitor.canary import CanaryRules

DAY_US = 86_400_000_000
ALL = {
    "error": {"ratio": 1.25},
    "accuracy": {"margin": 0.03},
    "latency_p95": {"ratio": 1.2},
    "cost": {"ratio": 1.1},
}


def plan(guardrails: dict[str, dict[str, float]] | None = None, **keys: object) -> CanaryPlan:
    slices = keys.pop("slices", None)
    rules = CanaryRules.model_validate({"candidate": "lora", "guardrails": guardrails or ALL, **keys})
    return plan_canary(rules, slices=slices, centres={"accuracy": 0.2})


def traffic(n: int = 40_000, **changes: object) -> EventArrays:
    same = {
        "share": 0.2,
        "days": 4.0,
        "accuracy": Arms(0.8, 0.8),
        "latency_s": Arms(0.1, 0.1),
        "cost_usd": Arms(1e-4, 1e-4),
        "label_delay_days": 0.2,
    }
    return simulate_events(n, seed=int(changes.pop("seed", 3)), **{**same, **changes})


def end(events: EventArrays) -> int:
    return int(events.time_us[-1])


@pytest.mark.parametrize(
    ("change", "guardrail"),
    [
        ({"error": Arms(0.02, 0.06)}, "error"),
        ({"accuracy": Arms(0.8, 0.7)}, "accuracy"),
        ({"latency_s": Arms(0.1, 0.2)}, "latency_p95"),
        ({"cost_usd": Arms(1e-4, 2e-4)}, "cost"),
    ],
)
def test_each_kind_of_harm_rolls_back_and_is_named(change: dict[str, Arms], guardrail: str) -> None:
    events = traffic(**change)
    report = decide_canary(events, plan(), end(events))
    assert (report.decision, report.share) == (CanaryDecision.ROLL_BACK, 0.0)
    harmed = [result.test.name for result in report.guardrails if result.outcome is GuardrailOutcome.HARM]
    assert harmed == [guardrail]


def test_an_equal_candidate_is_promoted_once_every_guardrail_shows_it() -> None:
    events = traffic(90_000)
    report = decide_canary(events, plan(), end(events))
    assert (report.decision, report.share) == (CanaryDecision.PROMOTE, 1.0)
    assert {result.outcome for result in report.guardrails} == {GuardrailOutcome.NON_INFERIOR}
    shown = [result.non_inferior.crossed_us for result in report.guardrails if result.non_inferior]
    assert report.decided_us == max(moment for moment in shown if moment is not None)


RARE = {"error": {"ratio": 1.25}}
NEGLIGIBLE = {"error": {"ratio": 1.25, "negligible": 0.005}}


@pytest.mark.parametrize(
    ("error", "rules", "decision"),
    [
        (Arms(0.0, 0.0), RARE, CanaryDecision.HOLD),
        (Arms(0.0, 0.0), NEGLIGIBLE, CanaryDecision.PROMOTE),
        (Arms(0.0002, 0.002), RARE, CanaryDecision.ROLL_BACK),
        (Arms(0.0002, 0.002), NEGLIGIBLE, CanaryDecision.PROMOTE),
        (Arms(0.002, 0.03), NEGLIGIBLE, CanaryDecision.ROLL_BACK),
        (Arms(0.05, 0.05), NEGLIGIBLE, CanaryDecision.PROMOTE),
    ],
)
def test_a_negligible_rate_of_failures_is_no_harm(
    error: Arms, rules: dict[str, dict[str, float]], decision: CanaryDecision
) -> None:
    events = traffic(100_000, error=error, share=0.3)
    horizon_us = int(timedelta(days=14).total_seconds() * 1e6)
    assert decide_canary(events, plan(rules), int(events.time_us[0]) + horizon_us).decision is decision


def test_harm_beyond_a_negligible_rate_is_rarely_promoted() -> None:
    """At the rate itself, where promotion is as likely as it may be: at most α, here within three standard errors."""
    promoted = 0
    for seed in range(200):
        events = traffic(6_000, seed=seed, error=Arms(0.001, 0.02), share=0.5)
        rules = plan({"error": {"ratio": 1.25, "negligible": 0.02}})
        promoted += decide_canary(events, rules, end(events)).decision is CanaryDecision.PROMOTE
    assert promoted / 200 <= 0.05 + 3 * 0.0155


@pytest.mark.parametrize("units", [None, 4_000])
def test_the_decision_is_the_same_however_often_anybody_looks(units: int | None) -> None:
    events = traffic(error=Arms(0.05, 0.15), units=units)
    last = decide_canary(events, plan(), end(events))
    assert last.decided_us is not None
    for moment in np.linspace(START_US, end(events), 23).astype(np.int64):
        look = decide_canary(events, plan(), int(moment))
        if moment < last.decided_us:
            assert (look.decision, look.decided_us) == (CanaryDecision.CONTINUE, None)
        else:
            assert (look.decision, look.decided_us) == (last.decision, last.decided_us)
            assert [each.harm.last for each in look.guardrails] == [each.harm.last for each in last.guardrails]
    before = decide_canary(events, plan(), last.decided_us - 1)
    assert before.decision is CanaryDecision.CONTINUE
    ended = events.known_at(last.decided_us)
    assert decide_canary(ended, plan(), last.decided_us).decision is last.decision


def test_harm_of_one_slice_is_found_there() -> None:
    slices = {"topic": tuple("abcde")}
    events = traffic(60_000, slices=slices)
    codes, _ = events.slice_values("topic")
    rng = np.random.default_rng(0)
    worse = (codes == 3) & events.is_candidate & (rng.random(len(events)) < 0.4)
    labels = events.scores["accuracy"]
    events = replace(events, scores={"accuracy": ScoreArrays(np.where(worse, 0.0, labels.score), labels.known_us)})
    report = decide_canary(events, plan({"accuracy": {"margin": 0.1}}, slices=slices), end(events))
    harmed = [result.test.label for result in report.guardrails if result.outcome is GuardrailOutcome.HARM]
    assert (report.decision, harmed) == (CanaryDecision.ROLL_BACK, ["accuracy/topic/d"])


def test_without_evidence_it_holds_at_the_horizon() -> None:
    events = traffic(2_000, days=16.0)
    report = decide_canary(events, plan(), end(events))
    assert (report.decision, report.share) == (CanaryDecision.HOLD, 0.2)
    assert report.decided_us == START_US + 14 * DAY_US


def test_a_split_that_is_not_what_it_claims_is_invalid() -> None:
    events = traffic(share=0.2)
    report = decide_canary(replace(events, share=np.full(len(events), 0.1)), plan(), end(events))
    assert (report.decision, report.share, report.mismatch_outcome) == (CanaryDecision.INVALID, 0.0, Outcome.FAIL)


def test_an_arm_that_is_never_seen_is_a_mismatch() -> None:
    events = traffic(2_000)
    events = replace(events, is_candidate=np.zeros(len(events), dtype=bool))
    assert decide_canary(events, plan(), end(events)).decision is CanaryDecision.INVALID


def test_labels_that_one_arm_loses_are_a_mismatch() -> None:
    events = traffic(20_000)
    labels, rng = events.scores["accuracy"], np.random.default_rng(0)
    lost = events.is_candidate & (rng.random(len(events)) < 0.4)
    known_us = np.where(lost, -1, labels.known_us)
    events = replace(events, scores={"accuracy": ScoreArrays(np.where(lost, np.nan, labels.score), known_us)})
    report = decide_canary(events, plan(), end(events))
    assert report.decision is CanaryDecision.INVALID
    assert report.mismatch.labels.crossed_us is not None
    assert report.mismatch.requests.crossed_us is None


def test_nothing_to_look_at_continues_with_the_first_step() -> None:
    empty = simulate_events(10, seed=0).take(slice(0, 0))
    report = decide_canary(empty, plan(ramp=[{"share": 0.01, "hold": "1d"}]), START_US)
    assert (report.decision, report.share, report.units, report.started_us) == (CanaryDecision.CONTINUE, 0.01, 0, None)
    unsplit = traffic(500, share=0.0)
    assert decide_canary(unsplit, plan(), end(unsplit)).requests == 0


def test_only_the_newest_experiment_counts() -> None:
    events = traffic(30_000, error=Arms(0.02, 0.02))
    old = np.arange(len(events)) < 15_000
    events = replace(
        events,
        experiment=np.where(old, 0, 1),
        experiments=("first", "second"),
        error=events.error | (old & events.is_candidate),
    )
    report = decide_canary(events, plan({"error": {"ratio": 1.25}}), end(events))
    assert (report.decision, report.experiment) == (CanaryDecision.CONTINUE, "second")
    assert report.requests == 15_000


def test_the_ramp_goes_on_when_its_holding_time_is_over() -> None:
    share = np.repeat([0.01, 0.05], 2_000)
    events = simulate_events(4_000, seed=0, share=share, days=4.0)
    steps = [{"share": 0.01, "hold": "1d"}, {"share": 0.05, "hold": "3d"}, {"share": 0.25, "hold": "2d"}]
    rules = plan({"error": {"ratio": 1.25}}, ramp=steps)
    early, late = (decide_canary(events, rules, START_US + int(days * DAY_US)) for days in (4.5, 5.5))
    assert (early.share, early.ramp.next_share) == (0.05, 0.25)
    assert early.ramp.next_us == pytest.approx(START_US + 5 * DAY_US, abs=DAY_US / 100)
    assert late.share == 0.25


def test_the_error_rate_is_split_over_guardrails_and_slices() -> None:
    made = plan(slices={"topic": ["a", "b"], "length": ["short", "long"]})
    assert sum(test.alpha for test in made.tests) == pytest.approx(0.05)
    assert [test.label for test in made.tests if test.promotes] == ["error", "accuracy", "latency_p95", "cost"]
    assert made.horizon == timedelta(days=14)
