"""Decide about the canary and the drift from the ledger, and leave a run for each decision."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from mlbaseline import store
from mlbaseline.errors import SuiteError, WebhookError
from mlbaseline.monitor import latest_us
from mlbaseline.monitor.alarm_webhook import AlarmWebhook, open_webhook
from mlbaseline.monitor.canary.decision import decide_canary
from mlbaseline.monitor.canary.report import CanaryDecision, CanaryReport
from mlbaseline.monitor.drift.decision import decide_drift
from mlbaseline.monitor.drift.report import DriftReport
from mlbaseline.monitor.event_rows import microseconds
from mlbaseline.records import digest_of
from mlbaseline.report.html import html_of
from mlbaseline.report.markdown import markdown_of
from mlbaseline.report.monitoring.canary_view import canary_sentence, canary_view
from mlbaseline.report.monitoring.drift_view import drift_sentence, drift_view
from mlbaseline.report.plots.render import render_plot
from mlbaseline.report.terminal import terminal_of
from mlbaseline.report.view import View
from mlbaseline.store.items import metric_name
from mlbaseline.store.live.decisions import CANARY, DRIFT, DecisionRecord, log_decision, tell_once
from mlbaseline.suite import CanaryRules, Monitor, Suite
from mlbaseline.suite.reading import load_suite
from mlbaseline.tasks import open_suite
from mlbaseline.untrusted import escape_markdown
from mlbaseline.workflows.command_result import CommandResult, document_json
from mlbaseline.workflows.monitor.canary_action import apply_decision, plan_action
from mlbaseline.workflows.monitor.documents import Document, canary_document, drift_document
from mlbaseline.workflows.monitor.holdout import find_vocabulary_shift
from mlbaseline.workflows.monitor.ledgers import ledger_of, monitor_of
from mlbaseline.workflows.monitor.references import canary_plan, detector_start_us, find_reference, reference_or_none

log = logging.getLogger("mlbaseline")
CANARY_EXIT_CODES: Mapping[CanaryDecision, int] = {
    CanaryDecision.CONTINUE: 0,
    CanaryDecision.PROMOTE: 0,
    CanaryDecision.ROLL_BACK: 3,
    CanaryDecision.HOLD: 3,
    CanaryDecision.INVALID: 5,
}
_METRICS = ("share", "units", "requests", "labels", "days")


def canary(
    suite: str | Path,
    *,
    apply: bool = False,
    ledger: str | None = None,
    record: bool = True,
    webhook: str | None = None,
    tracking_uri: str | None = None,
) -> CommandResult:
    """Decide about the candidate on the live traffic in the ledger.

    The clock is that of the newest event: the same ledger gives the same answer, however often anybody looks.

    Args:
        suite: Path of a suite file, or the name of a packaged suite.
        apply: Carry the decision out: move the alias of the champion back, or promote the candidate through the gates.
            Without it, the result says what would be done. Doing it again changes nothing.
        ledger: Path of a SQLite file, or a URL of SQLAlchemy. By default a file beside the tracking database.
        record: Leave a run with the decision and its page. The same look again leaves no second one.
        webhook: Address that is told, once, of a decision other than to go on (of an alarm), signed with the key in
            MLBASELINE_WEBHOOK_SECRET.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document has `decision`, `share`, `guardrails`, `mismatch` and counts, and as `action` what the decision
        comes to. The exit code is 0 (continue or promote), 3 (roll back, or hold at the horizon) or 5 (the split is not
        what it claims to be); with `apply`, 3 or 4 as well where the gates hold a promotion back.

    Raises:
        IncomparableError: The comparison to promote from was made with another suite, or does not verify.
        LedgerError: The ledger cannot be used.
        NotRegisteredError: The candidate has no model, or was rolled back before.
        PromotionError: The aliases cannot be moved, or the winner of the comparison is not what was tried.
        SuiteError: The suite has no `monitor.canary`, or registers no model.
        TrackingError: The server cannot be reached.
        WebhookError: The address or the key of the webhook is not as it should be.
    """
    told = _webhook(webhook, record)
    if apply and not record:
        raise SuiteError("--no-record", ["--apply needs the run with the decision: the record of the move names it"])
    loaded = open_suite(suite) if apply else load_suite(suite)
    monitor, rules = monitor_of(loaded), canary_rules(loaded)
    tracker = store.connect(tracking_uri, loaded.name)
    report = look_at_canary(loaded, monitor, tracker, ledger)
    registers = loaded.register_as is not None
    view = canary_view(report, loaded.name, rules.candidate, advises_promotion=registers and not apply)
    document, exit_code = canary_document(report), CANARY_EXIT_CODES[report.decision]
    run_id = record_canary(loaded, tracker, report) if record else None
    if told and run_id and report.decision is not CanaryDecision.CONTINUE:
        sentence = canary_sentence(report, rules.candidate)
        _tell(told, tracker, run_id, _message(f"canary.{report.decision}", loaded, run_id, sentence))
    if apply:
        assert run_id is not None  # `record` is set
        opened = ledger_of(loaded, ledger, tracker.uri)
        action = apply_decision(loaded, tracker, rules, report, ledger=opened, evidence=run_id)
    else:
        action = plan_action(loaded, tracker, rules, report)
    if action is not None:
        exit_code = action.exit_code
    shown = None if action is None else {"applied": action.applied, "text": action.text, **action.document}
    return _result({**document, "run_id": run_id, "action": shown}, view, exit_code, action.text if action else "")


def record_canary(suite: Suite, tracker: store.Tracker, report: CanaryReport) -> str:
    """Leave the run of a look at the canary, with its page and its evidence; the same look has one.

    Raises:
        TrackingError: The server cannot be reached.
    """
    candidate = canary_rules(suite).candidate
    view = canary_view(report, suite.name, candidate, advises_promotion=suite.register_as is not None)
    entry = _record(CANARY, str(report.decision), canary_document(report), view, _canary_series(report))
    return log_decision(tracker, suite, entry, note=_note(view.title, canary_sentence(report, candidate)))


def drift(
    suite: str | Path,
    *,
    ledger: str | None = None,
    since: datetime | None = None,
    record: bool = True,
    webhook: str | None = None,
    tracking_uri: str | None = None,
) -> CommandResult:
    """Compare the champion's loss on live traffic with its recorded one, slice by slice.

    Args:
        suite: Path of a suite file, or the name of a packaged suite.
        ledger: Path of a SQLite file, or a URL of SQLAlchemy. By default a file beside the tracking database.
        since: Start of the detector. By default the champion's promotion, or the first event where there is none.
        record: Leave a run with the decision and its page. The same look again leaves no second one.
        webhook: Address that is told, once, of a decision other than to go on (of an alarm), signed with the key in
            MLBASELINE_WEBHOOK_SECRET.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document has `alarm`, `slices`, `since` and `days`. The exit code is 3 after an alarm, else 0.

    Raises:
        DataError: The reference has no recorded results.
        LedgerError: The ledger cannot be used.
        SuiteError: The suite has no `monitor`.
        TrackingError: The server cannot be reached.
        WebhookError: The address or the key of the webhook is not as it should be.
    """
    told = _webhook(webhook, record)
    loaded = load_suite(suite)
    monitor = monitor_of(loaded)
    tracker = store.connect(tracking_uri, loaded.name)
    report = look_at_drift(loaded, monitor, tracker, ledger, since)
    report = replace(report, vocabulary=find_vocabulary_shift(suite, tracker, report.looked_us))
    view, document = drift_view(report, loaded.name), drift_document(report)
    run_id = None
    if record:
        entry = _record(DRIFT, "alarm" if report.alarms else "none", document, view, _drift_series(report))
        run_id = log_decision(tracker, loaded, entry, note=_note(view.title, drift_sentence(report)))
    if told and run_id and report.alarms:
        _tell(told, tracker, run_id, _message("drift.alarm", loaded, run_id, drift_sentence(report)))
    return _result({**document, "run_id": run_id}, view, 3 if report.alarms else 0)


def canary_rules(suite: Suite) -> CanaryRules:
    """Return the suite's rules of the canary. Raises SuiteError where it has none."""
    rules = monitor_of(suite).canary
    if rules is None:
        raise SuiteError(suite.name, ["monitor.canary: is missing; it has the candidate and the rules of its canary"])
    return rules


def look_at_canary(suite: Suite, monitor: Monitor, tracker: store.Tracker, ledger: str | None) -> CanaryReport:
    """Read the ledger and decide about the canary."""
    events = ledger_of(suite, ledger, tracker.uri).read()
    plan = canary_plan(canary_rules(suite), monitor, reference_or_none(suite, monitor, tracker))
    return decide_canary(events, plan, max(latest_us(events), 0))


def look_at_drift(
    suite: Suite, monitor: Monitor, tracker: store.Tracker, ledger: str | None, since: datetime | None
) -> DriftReport:
    """Read the ledger and the reference, and decide about the drift."""
    events = ledger_of(suite, ledger, tracker.uri).read()
    return decide_drift(
        events,
        find_reference(suite, monitor, tracker),
        monitor.drift,
        now_us=max(latest_us(events), 0),
        since_us=detector_start_us(suite, tracker) if since is None else microseconds(since),
    )


def _webhook(url: str | None, record: bool) -> AlarmWebhook | None:
    if url is not None and not record:
        raise SuiteError("--no-record", ["--webhook needs the run of the decision, which records the receiver"])
    return None if url is None else open_webhook(url)


def _tell(webhook: AlarmWebhook, tracker: store.Tracker, run_id: str, content: Document) -> None:
    """Tell of a decision once. One that does not arrive is an error in the log; the next look tells of it again."""
    try:
        tell_once(tracker, run_id, webhook.host, partial(webhook.send, run_id, content))
    except WebhookError as error:
        log.error("%s", error)


def _message(type: str, suite: Suite, run_id: str, sentence: str) -> Document:
    return {"type": f"mlbaseline.{type}", "data": {"suite": suite.name, "run_id": run_id, "sentence": sentence}}


def _record(
    kind: str, decision: str, document: Document, view: View, series: Mapping[str, tuple[float, ...]]
) -> DecisionRecord:
    text = document_json(document)
    plots = {f"{kind}/plots/{plot.name}.svg": render_plot(plot) for plot in view.plots}
    return DecisionRecord(
        kind=kind,
        decision=decision,
        looked_at=str(document["looked_at"]),
        look=digest_of(text)[:32],
        metrics={name: float(document[name]) for name in _METRICS if name in document},
        series=series,
        files={
            f"{kind}/report.html": html_of(view),
            f"{kind}/report.md": markdown_of(view),
            f"{kind}/decision.json": text,
            **plots,
        },
    )


def _canary_series(report: CanaryReport) -> dict[str, tuple[float, ...]]:
    series = {}
    for result in report.guardrails:
        test = result.test
        where = () if test.slice is None else (test.slice, str(test.value))
        series[metric_name("log_e", test.name, *where, "harm")] = tuple(result.harm.log_e.tolist())
        if result.non_inferior is not None:
            series[metric_name("log_e", test.name, "non_inferior")] = tuple(result.non_inferior.log_e.tolist())
    series[metric_name("log_e", "mismatch")] = tuple(report.mismatch.requests.log_e.tolist())
    return {name: values for name, values in series.items() if values}


def _drift_series(report: DriftReport) -> dict[str, tuple[float, ...]]:
    return {
        metric_name("log_e", *each.label.split("/", 1)): tuple(each.log_e.tolist())
        for each in report.slices
        if len(each.log_e)
    }


def _note(title: str, sentence: str) -> str:
    return f"**{escape_markdown(title)}.** {escape_markdown(sentence)}"


def _result(document: Document, view: View, exit_code: int, action: str = "") -> CommandResult:
    def text(colour: bool, width: int) -> str:
        return "\n\n".join([terminal_of(view, colour=colour, width=width), *([action] if action else [])])

    return CommandResult(document, text, exit_code=exit_code)
