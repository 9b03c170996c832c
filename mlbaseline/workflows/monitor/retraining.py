"""From an alarm to a training, whose result goes through the same gates as any other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from mlbaseline import store
from mlbaseline.errors import SuiteError
from mlbaseline.monitor import Ledger, latest_us
from mlbaseline.monitor.drift.decision import decide_drift
from mlbaseline.monitor.event_rows import EPOCH
from mlbaseline.monitor.holdout import period_of
from mlbaseline.monitor.retraining import Alarm, RetrainDecision, RetrainPlan, plan_retraining
from mlbaseline.monitor.snapshots import SnapshotOutcome
from mlbaseline.store.live import find_retrainings, find_snapshots, log_retraining, open_retraining, run_project
from mlbaseline.suite import Monitor, Suite
from mlbaseline.tasks import open_suite
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.comparisons.comparison import make_comparison
from mlbaseline.workflows.monitor.champion import ChampionModel, find_champion
from mlbaseline.workflows.monitor.ledgers import ledger_of, monitor_of
from mlbaseline.workflows.monitor.references import detector_start_us, reference_or_none
from mlbaseline.workflows.promotion import promote

FindAlarm = Callable[[Suite, Monitor, store.Tracker, ChampionModel, Ledger], "Alarm | None"]


def retrain(
    suite: str | Path,
    *,
    apply: bool = False,
    project: str = ".",
    ledger: str | None = None,
    tracking_uri: str | None = None,
) -> CommandResult:
    """Train again after an alarm, once for each alarm, and promote the result if it passes the gates.

    The run that records why is written before anything is trained. Two commands at once train once.

    Args:
        suite: Path of a suite file, or the name of a packaged suite.
        apply: Train. Without it, the result says what would be done.
        project: Folder or address of the MLflow Project that has the entry point `monitor.retrain.entry_point`.
        ledger: Path of a SQLite file, or a URL of SQLAlchemy. By default a file beside the tracking database.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document has `decision`, `reason`, `alarm` and `applied`; after a training also its `run_id`, the
        `project_run_id` and the `promotion`, whose exit code is that of the command: 3 and 4 where the gates hold.

    Raises:
        SuiteError: The suite has no `monitor`, or registers no model.
        TrackingError: The server cannot be reached, or the training failed; the record says so.
    """
    loaded = open_suite(suite)
    monitor = monitor_of(loaded)
    if loaded.register_as is None:
        raise SuiteError(loaded.name, ["register_as: is missing; there is no model that could be trained again"])
    tracker = store.connect(tracking_uri, loaded.name)
    champion = find_champion(loaded, tracker)
    opened = ledger_of(loaded, ledger, tracker.uri)
    if not apply:
        return _planned(_plan(loaded, monitor, tracker, champion, opened))
    with ExitStack() as stack:
        with opened.alone():  # from looking for an earlier run to writing ours
            plan = _plan(loaded, monitor, tracker, champion, opened)
            if plan.decision is not RetrainDecision.RETRAIN:
                return _planned(plan)
            run = stack.enter_context(open_retraining(tracker, loaded, plan))
        return _train(loaded, suite, run, plan, project=project)


def _train(suite: Suite, path: str | Path, run: store.Run, plan: RetrainPlan, *, project: str) -> CommandResult:
    """Train by the project, compare and promote by the gates, and write down what came of it."""
    entry_point, tracker = monitor_of(suite).retrain.entry_point, run.tracker
    reference = str(Path(path).resolve()) if Path(path).is_file() else str(path)
    stop = {"no_promote": "true"} if entry_point == "main" else {}
    project_run_id = run_project(tracker, project, entry_point, {"suite": reference, **stop})
    log_retraining(run, {"project_run_id": project_run_id})
    if entry_point != "main":  # which has compared already
        make_comparison(suite, tracker, None)
    promotion = promote(path, tracking_uri=tracker.uri)
    decision = "promote" if promotion.exit_code == 0 else str(promotion.document["verdict"])
    log_retraining(run, {"verdict": decision})
    document = {**_document(plan), "applied": True, "run_id": run.run_id, "project_run_id": project_run_id}
    return CommandResult(
        {**document, "promotion": promotion.document},
        lambda colour, width: (
            f"Trained because {plan.reason} (record: run {run.run_id})\n" + promotion.text(colour, width)
        ),
        exit_code=promotion.exit_code,
    )


def _plan(
    suite: Suite, monitor: Monitor, tracker: store.Tracker, champion: ChampionModel, ledger: Ledger
) -> RetrainPlan:
    alarms = [alarm for find in ALARMS if (alarm := find(suite, monitor, tracker, champion, ledger)) is not None]
    assert suite.register_as is not None  # `retrain` has checked it
    return plan_retraining(
        monitor.retrain,
        min(alarms, key=lambda alarm: alarm.day, default=None),
        model=suite.register_as,
        champion=champion.identity,
        before=find_retrainings(tracker),
        now=datetime.now(timezone.utc),
    )


def _snapshot_alarm(
    suite: Suite, monitor: Monitor, tracker: store.Tracker, champion: ChampionModel, ledger: Ledger
) -> Alarm | None:
    """Find the first snapshot of the champion at which there was a breach."""
    del suite, ledger
    for one in find_snapshots(tracker, champion.identity):
        if one.found.outcome is SnapshotOutcome.BREACH:
            last = (EPOCH + timedelta(days=period_of(one.found.period, monitor.holdout.refresh).last_day)).date()
            return Alarm("snapshot", last, (f"{monitor.metric} {one.found.delta:+.3f} over {monitor.reference}",), last)
    return None


def _drift_alarm(
    suite: Suite, monitor: Monitor, tracker: store.Tracker, champion: ChampionModel, ledger: Ledger
) -> Alarm | None:
    """Find the first day on which the loss on a slice was shown to exceed its bound."""
    del champion
    reference = reference_or_none(suite, monitor, tracker)
    if reference is None:
        return None
    events = ledger.read()
    since_us = detector_start_us(suite, tracker)
    report = decide_drift(events, reference, monitor.drift, now_us=max(latest_us(events), 0), since_us=since_us)
    days = [each.alarmed for each in report.alarms if each.alarmed is not None]
    if not days:
        return None
    first = min(days)
    return Alarm("drift", first, tuple(each.label for each in report.alarms if each.alarmed == first), first)


ALARMS: tuple[FindAlarm, ...] = (_snapshot_alarm, _drift_alarm)
"""What may start a training. Of several alarms the earliest counts."""


def _planned(plan: RetrainPlan) -> CommandResult:
    what = {
        RetrainDecision.RETRAIN: "Would train (with --apply)",
        RetrainDecision.NO_ALARM: "Nothing to do",
    }.get(plan.decision, "Not trained")
    return CommandResult({**_document(plan), "applied": False}, lambda *_: f"{what}: {plan.reason}")


def _document(plan: RetrainPlan) -> dict[str, Any]:
    return {
        "decision": plan.decision,
        "reason": plan.reason,
        "key": plan.key,
        "alarm": None if plan.alarm is None else asdict(plan.alarm),
        "earlier": plan.earlier,
    }
