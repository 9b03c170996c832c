"""When an alarm starts a training: once for each alarm, not too often, and never by two commands at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from mlbaseline.records import digest_of
from mlbaseline.records.decisions import StoredText
from mlbaseline.suite import RetrainRules, duration_text

_MONTH = timedelta(days=30)


class RetrainDecision(StoredText):
    """What is to be done about an alarm."""

    RETRAIN = "retrain"
    NO_ALARM = "no_alarm"
    ALREADY_DONE = "already_done"
    COOLING_DOWN = "cooling_down"
    TOO_MANY = "too_many"


@dataclass(frozen=True)
class Alarm:
    """An alarm that has been raised.

    Attributes:
        detector: What raised it, such as `drift`.
        day: The day after which it was raised: its epoch.
        slices: The slice values that raised it, in words.
        until: The day until which its data reach: what has come since is no new cause.
    """

    detector: str
    day: date
    slices: tuple[str, ...]
    until: date


@dataclass(frozen=True)
class Retraining:
    """An earlier attempt. is_open: whether it is still running. key: see `retrain_key`."""

    run_id: str
    key: str
    started: datetime
    is_open: bool
    has_failed: bool


@dataclass(frozen=True)
class RetrainPlan:
    """What is to be done, and why. key: None where there is no alarm. earlier: the attempt that stands in the way."""

    decision: RetrainDecision
    reason: str
    alarm: Alarm | None
    key: str | None
    earlier: str | None = None


def retrain_key(model: str, champion: str, alarm: Alarm) -> str:
    """Name a retraining by its cause: the same alarm about the same champion has the same key.

    Args:
        model: Name of the registered model.
        champion: Its version.
        alarm: The alarm, with its epoch and the end of its data.

    Returns:
        SHA-256, 64 hexadecimal digits.

    Example:
        >>> alarm = Alarm("drift", date(2026, 3, 9), ("topic/billing",), date(2026, 3, 9))
        >>> retrain_key("tickets", "3", alarm)[:12]
        '1a6780e4ce94'
    """
    return digest_of(
        {
            "model": model,
            "champion": champion,
            "detector": alarm.detector,
            "alarm_epoch": alarm.day.isoformat(),
            "data_cutoff": alarm.until.isoformat(),
        }
    )


def plan_retraining(
    rules: RetrainRules,
    alarm: Alarm | None,
    *,
    model: str,
    champion: str,
    before: Sequence[Retraining],
    now: datetime,
) -> RetrainPlan:
    """Decide whether an alarm starts a training.

    Args:
        rules: `monitor.retrain` of the suite.
        alarm: The alarm; None where there is none.
        model: Name of the registered model.
        champion: Its version.
        before: Earlier attempts, in any order. One that failed may be repeated after the cooldown.
        now: The present.
    """
    if alarm is None:
        return RetrainPlan(RetrainDecision.NO_ALARM, "no alarm", None, None)
    key = retrain_key(model, champion, alarm)
    done = next((one for one in before if one.key == key and not one.has_failed), None)
    if done is not None:
        state = "is under way" if done.is_open else "is done"
        reason = f"the retraining for this alarm {state} (run {done.run_id})"
        return RetrainPlan(RetrainDecision.ALREADY_DONE, reason, alarm, key, done.run_id)
    newest = max(before, key=lambda one: one.started, default=None)
    if newest is not None and now - newest.started < rules.cooldown:
        until = newest.started + rules.cooldown
        reason = (
            f"the last one was started at {newest.started:%Y-%m-%d %H:%M} UTC (run {newest.run_id}); the cooldown of "
            f"{duration_text(rules.cooldown)} ends at {until:%Y-%m-%d %H:%M} UTC"
        )
        return RetrainPlan(RetrainDecision.COOLING_DOWN, reason, alarm, key, newest.run_id)
    recent = [one for one in before if now - one.started < _MONTH]
    if len(recent) >= rules.max_per_month:
        reason = f"{len(recent)} in the last 30 days, and monitor.retrain.max_per_month is {rules.max_per_month}"
        return RetrainPlan(RetrainDecision.TOO_MANY, reason, alarm, key, recent[-1].run_id)
    where = ", ".join(alarm.slices)
    reason = f"{alarm.detector} raised an alarm after {alarm.day:%Y-%m-%d}: {where}"
    return RetrainPlan(RetrainDecision.RETRAIN, reason, alarm, key)
