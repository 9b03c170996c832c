"""The packaged stream tells its story, and a year of labels is replayed."""

from __future__ import annotations

from mlbaseline.monitor import OVERALL, WatchedSlice, latest_us
from mlbaseline.monitor.canary.decision import decide_canary
from mlbaseline.monitor.canary.plan import plan_canary
from mlbaseline.monitor.canary.report import CanaryDecision, GuardrailOutcome
from mlbaseline.monitor.delays import canary_delays, drift_delays
from mlbaseline.monitor.ledger import DAY_US
from mlbaseline.monitor.replaying import reference_of_stream, replay_events
from mlbaseline.monitor.simulation import START_US, Arms, simulate_events
from mlbaseline.monitor.story import TOPICS, tell_story


def test_the_story_has_a_fine_canary_a_harmful_one_a_drift_and_a_new_start() -> None:
    story = tell_story()
    plan = plan_canary(story.canary, slices={"topic": TOPICS}, centres={"accuracy": 0.21})
    found = replay_events(
        story.events, plan=plan, reference=story.reference, rules=story.drift, restarts_us=story.restarts_us
    )
    assert [report.experiment for report in found.canaries] == ["lora-v2", "lora-v3"]
    assert [report.decision for report in found.canaries] == [CanaryDecision.PROMOTE, CanaryDecision.ROLL_BACK]
    harmed = [r.test.label for r in found.canaries[1].guardrails if r.outcome is GuardrailOutcome.HARM]
    assert harmed == ["accuracy/topic/car"]
    assert WatchedSlice("topic", "apple") in {alarm.watched for alarm in found.alarms}
    assert {alarm.watched for alarm in found.alarms} <= {OVERALL, WatchedSlice("topic", "apple")}
    assert min(alarm.time_us for alarm in found.alarms) > START_US + 45 * DAY_US
    assert not found.drifts[1].alarms
    for report in found.canaries:
        assert report.decided_us is not None
        then = story.events.known_at(report.decided_us)
        assert decide_canary(then, plan, latest_us(then)).decision is report.decision


def test_the_first_days_stand_in_for_a_reference() -> None:
    events = simulate_events(
        20_000, seed=0, share=0.0, days=20.0, accuracy=Arms(0.7, 0.7), slices={"topic": ("a", "b")}
    )
    reference = reference_of_stream(events, metric="accuracy", slices=["topic"])
    assert reference is not None
    assert abs(reference.losses[OVERALL].loss - 0.3) < 0.02
    assert reference.losses[OVERALL].n == 7_000
    assert reference.values("topic") == ("a", "b")
    assert reference_of_stream(events.take(slice(0, 10)), metric="accuracy", slices=[]) is None


def test_larger_effects_and_more_traffic_are_found_sooner() -> None:
    rows = canary_delays(failure_rate=0.05, share=0.05, ratio=1.25, alpha=0.05, volumes=[1_000, 10_000])
    days = {(row.effect, row.volume): row.median for row in rows}
    assert days["failures × 3", "10,000 requests a day"] * 10 == days["failures × 3", "1,000 requests a day"]
    assert days["failures × 3", "10,000 requests a day"] < days["failures × 2", "10,000 requests a day"]
    drift = drift_delays(bound=0.25, slices=20, arl_days=365, rises=[0.1], volumes=[30, 300])
    assert drift[1].median < drift[0].median
