"""When an alarm starts a training: once, not too often, and again where it failed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta, timezone

import pytest

from mlbaseline.monitor.retraining import (
    Alarm,
    RetrainDecision,
    Retraining,
    RetrainPlan,
    plan_retraining,
    retrain_key,
)
from mlbaseline.suite import RetrainRules

NOW = datetime(2026, 3, 20, tzinfo=timezone.utc)
ALARM = Alarm("drift", date(2026, 3, 9), ("topic/billing",), date(2026, 3, 9))
RULES = RetrainRules(cooldown=timedelta(days=7), max_per_month=2)
KEY = retrain_key("tickets", "3", ALARM)


def plan(*before: Retraining, alarm: Alarm | None = ALARM, champion: str = "3") -> RetrainPlan:
    return plan_retraining(RULES, alarm, model="tickets", champion=champion, before=before, now=NOW)


def attempt(days_ago: float, key: str = "another", **state: bool) -> Retraining:
    state = {"is_open": False, "has_failed": False, **state}
    return Retraining(f"run-{days_ago:g}", key, NOW - timedelta(days=days_ago), **state)


def test_an_alarm_starts_a_training_once() -> None:
    first = plan()
    assert (first.decision, first.key) == (RetrainDecision.RETRAIN, KEY)
    assert first.reason == "drift raised an alarm after 2026-03-09: topic/billing"
    done = plan(attempt(40, KEY))
    assert (done.decision, done.earlier) == (RetrainDecision.ALREADY_DONE, "run-40")
    assert "is under way (run run-40)" in plan(attempt(40, KEY, is_open=True)).reason


def test_no_alarm_no_training() -> None:
    assert plan(alarm=None).decision is RetrainDecision.NO_ALARM


def test_another_champion_another_alarm_or_other_data_is_another_cause() -> None:
    others = [
        retrain_key("tickets", "4", ALARM),
        retrain_key("letters", "3", ALARM),
        retrain_key("tickets", "3", replace(ALARM, day=date(2026, 3, 10))),
        retrain_key("tickets", "3", replace(ALARM, until=date(2026, 3, 10))),
        retrain_key("tickets", "3", replace(ALARM, detector="snapshot")),
    ]
    assert len({KEY, *others}) == 6
    assert plan(attempt(40, KEY), champion="4").decision is RetrainDecision.RETRAIN


@pytest.mark.parametrize(
    ("before", "decision", "told"),
    [
        ([attempt(6.9)], RetrainDecision.COOLING_DOWN, "the cooldown of 7d ends at 2026-03-20 02:24 UTC"),
        ([attempt(7)], RetrainDecision.RETRAIN, "drift raised an alarm"),
        ([attempt(20), attempt(8)], RetrainDecision.TOO_MANY, "2 in the last 30 days"),
        ([attempt(31), attempt(8)], RetrainDecision.RETRAIN, "drift raised an alarm"),
        ([attempt(3, KEY, has_failed=True)], RetrainDecision.COOLING_DOWN, "run run-3"),
        ([attempt(9, KEY, has_failed=True)], RetrainDecision.RETRAIN, "drift raised an alarm"),
    ],
)
def test_not_too_often(before: list[Retraining], decision: RetrainDecision, told: str) -> None:
    found = plan(*before)
    assert found.decision is decision
    assert told in found.reason
