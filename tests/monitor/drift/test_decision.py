"""Drift on closed cohorts: rises are found where they are, and nothing is found where nothing is."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from mlbaseline.monitor import DAY_US, OVERALL, EventArrays, ScoreArrays, WatchedSlice
from mlbaseline.monitor.drift.decision import decide_drift, live_losses
from mlbaseline.monitor.drift.reference import RecordedReference, ReferenceLoss
from mlbaseline.monitor.drift.report import DriftOutcome, DriftReport
from mlbaseline.monitor.simulation import START_US, Arms, simulate_events
from mlbaseline.suite.monitor.keys import DriftRules

TOPICS = tuple("abcd")
RULES = DriftRules(delta=0.03, arl_days=365, label_delay=timedelta(days=1))


def reference(**losses: float) -> RecordedReference:
    recorded = {WatchedSlice("topic", name): ReferenceLoss(losses.get(name, 0.2), 0.22, 500) for name in TOPICS}
    return RecordedReference(
        baseline="champion",
        metric="accuracy",
        losses={OVERALL: ReferenceLoss(0.2, 0.21, 2000), **recorded},
        shares={"topic": dict.fromkeys(TOPICS, 0.25)},
        tokens_in=np.arange(100.0),
        latency_s=np.linspace(0.01, 0.2, 500),
        cost_usd=1e-4,
        run_ids=(),
    )


def traffic(days: int = 60, per_day: int = 400, **changes: object) -> EventArrays:
    return simulate_events(
        days * per_day,
        seed=int(changes.pop("seed", 1)),
        share=0.0,
        days=float(days),
        accuracy=changes.pop("accuracy", Arms(0.8, 0.8)),
        slices={"topic": TOPICS},
        **changes,
    )


def worse_from(events: EventArrays, day: int, topic: str, extra: float) -> EventArrays:
    """The loss of one topic rises by about `extra` from a day on."""
    codes, values = events.slice_values("topic")
    hit = (events.time_us >= START_US + day * DAY_US) & (codes == values.index(topic))
    hit &= np.random.default_rng(5).random(len(events)) < extra / 0.8
    labels = events.scores["accuracy"]
    return replace(events, scores={"accuracy": ScoreArrays(np.where(hit, 0.0, labels.score), labels.known_us)})


def look(events: EventArrays, day: float, **changes: object) -> DriftReport:
    return decide_drift(events, changes.pop("to", reference()), RULES, now_us=START_US + int(day * DAY_US), **changes)


def test_nothing_is_found_where_nothing_is() -> None:
    report = look(traffic(days=120), 121.5)
    assert (report.alarms, len(report.days)) == ((), 120)
    assert {each.outcome for each in report.slices} == {DriftOutcome.STABLE}
    assert report.slices[0].watched == OVERALL


def test_a_rise_on_one_slice_is_found_there_on_the_same_day_at_any_look() -> None:
    events = worse_from(traffic(days=90), 30, "b", 0.25)
    last = look(events, 92)
    (alarm,) = (each for each in last.alarms if each.watched != OVERALL)
    assert alarm.watched == WatchedSlice("topic", "b")
    assert alarm.alarmed is not None and date(2026, 1, 31) <= alarm.alarmed < date(2026, 2, 20)
    raised = (alarm.alarmed - date(2026, 1, 1)).days
    for day in range(raised - 1, raised + 8):
        found = {each.watched: each.alarmed for each in look(events, day).alarms}
        expected = {
            each.watched: each.alarmed for each in last.alarms if (each.alarmed - date(2026, 1, 1)).days <= day - 2
        }
        assert found == expected


def test_a_day_counts_once_its_labels_have_had_time() -> None:
    events = traffic(days=10, label_delay_days=2.0)
    report = look(events, 10.5)
    assert report.days[-1] == date(2026, 1, 9)
    assert report.late > 0
    assert report.slices[0].n + report.late <= report.requests


def test_a_new_start_forgets_what_was_before() -> None:
    events = worse_from(traffic(days=60), 0, "b", 0.3)
    assert look(events, 62).alarms
    report = look(traffic(days=60), 61.5, since_us=START_US + 40 * DAY_US)
    assert (len(report.days), report.alarms) == (20, ())


def test_sampled_labels_correct_a_judge_that_is_wrong() -> None:
    events = traffic(days=60, accuracy=Arms(0.65, 0.65))
    labels, rng = events.scores["accuracy"], np.random.default_rng(0)
    kind = rng.random(len(events)) < 0.7
    judged = np.where(kind, 0.9, labels.score)  # it overlooks most errors
    chosen = rng.random(len(events)) < 0.25
    sampled = ScoreArrays(np.where(chosen, labels.score, np.nan), np.where(chosen, labels.known_us, -1))
    events = replace(events, scores={"accuracy": sampled, "judge": ScoreArrays(judged, events.time_us)})
    rules = replace_rules(judged_by="judge", label_share=0.25)
    losses, _ = live_losses(events, "accuracy", rules)
    assert losses.mean() == pytest.approx(0.35, abs=0.02)
    report = decide_drift(events, reference(), rules, now_us=START_US + 62 * DAY_US)
    assert OVERALL in {each.watched for each in report.alarms}


def replace_rules(**changes: object) -> DriftRules:
    return RULES.model_copy(update=changes)


def test_the_mix_explains_and_never_alarms() -> None:
    events = traffic(days=30)
    codes, values = events.slice_values("topic")
    mostly_d = np.where(np.random.default_rng(0).random(len(events)) < 0.6, values.index("d"), codes)
    labels = events.scores["accuracy"]
    events = replace(
        events, slice_set=np.array([list(events.slice_sets).index({"topic": values[c]}) for c in mostly_d])
    )
    report = look(replace(events, scores={"accuracy": labels}), 32, to=reference(d=0.3))
    assert not report.alarms
    (mix,) = report.inputs.mixes
    assert (mix.value, mix.unknown) == ("d", ())
    assert mix.share == pytest.approx(0.7, abs=0.03)
    assert mix.explained_loss == pytest.approx(0.45 * 0.1, abs=0.01)


def test_latency_and_cost_stand_beside_the_recorded_ones() -> None:
    events = traffic(days=20, latency_s=Arms(0.2, 0.2), cost_usd=Arms(2e-4, 2e-4))
    cost = look(events, 22).cost
    assert cost.reference_latency_p95_s == pytest.approx(0.1905)
    assert cost.latency_log_e > math.log(100)
    assert cost.cost_usd > 2 * cost.reference_cost_usd
    assert math.isnan(look(traffic(days=5), 7).cost.latency_log_e)


def test_a_new_value_is_named_and_raises_nothing() -> None:
    events = traffic(days=10)
    sets = tuple({"topic": "new"} if each == {"topic": "a"} else each for each in events.slice_sets)
    report = look(replace(events, slice_sets=sets), 12)
    assert report.inputs.mixes[0].unknown == ("new",)
    assert {each.label: each.outcome for each in report.slices}["topic/a"] is DriftOutcome.NO_LABELS


def test_no_events_are_no_days() -> None:
    report = look(traffic(days=1).take(slice(0, 0)), 10)
    assert (report.days, report.alarms, report.slices[0].last) == ((), (), -math.inf)
