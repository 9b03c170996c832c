"""The decisions over a recorded or packaged stream, at speed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

from mlbaseline import store
from mlbaseline.errors import DataError, TrackingError
from mlbaseline.monitor import OVERALL, EventArrays, open_ledger
from mlbaseline.monitor.canary.plan import CanaryPlan, plan_canary
from mlbaseline.monitor.delays import Delay, canary_delays, drift_delays
from mlbaseline.monitor.drift.reference import RecordedReference
from mlbaseline.monitor.ingesting import ingest_file
from mlbaseline.monitor.replaying import Replay, reference_of_stream, replay_events
from mlbaseline.monitor.story import TOPICS, tell_story
from mlbaseline.report.html import html_of
from mlbaseline.report.monitoring.replay_view import replay_view
from mlbaseline.report.terminal import terminal_of
from mlbaseline.suite import DriftRules, Suite
from mlbaseline.suite.reading import load_suite
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.monitor.documents import Document, iso
from mlbaseline.workflows.monitor.ledgers import monitor_of
from mlbaseline.workflows.monitor.references import canary_plan, find_reference


@dataclass(frozen=True, eq=False)
class _Stream:
    """What is replayed, and by which rules."""

    events: EventArrays
    plan: CanaryPlan | None
    reference: RecordedReference | None
    rules: DriftRules
    restarts_us: tuple[int, ...] = ()


def replay(
    suite: str | Path,
    events: Sequence[str] = (),
    *,
    power: bool = True,
    output: Path | None = None,
    tracking_uri: str | None = None,
) -> CommandResult:
    """Take every decision about a stream that was recorded, or about the packaged one.

    Args:
        suite: Path of a suite file, or the name of a packaged suite. `tweets` without events has a stream of its own:
            a canary that is fine, one that harms a slice, a drift and a retraining.
        events: Parquet, JSON Lines or CSV files.
        power: Simulate how soon effects would be found, by the volume of the traffic.
        output: File to write the page to, FILE.html.
        tracking_uri: MLflow's tracking server, for the recorded results of `monitor.reference`. Where there are none,
            the champion's first seven days are the reference.

    Returns:
        The document has `canary` (that of the newest experiment), `canaries`, `drift` with its `alarms`, and `power`.

    Raises:
        DataError: A file cannot be read, or there are no events.
        SuiteError: The suite has no `monitor`.

    Example:
        >>> import mlbaseline.workflows
        >>> outcome = mlbaseline.workflows.replay("tweets", power=False)
        >>> [canary["decision"].value for canary in outcome.document["canaries"]]
        ['promote', 'roll_back']
    """
    loaded = load_suite(suite)
    stream = _packaged() if loaded.monitor is None and not events else _recorded(loaded, events, tracking_uri)
    found = replay_events(
        stream.events,
        plan=stream.plan,
        reference=stream.reference,
        rules=stream.rules,
        restarts_us=stream.restarts_us,
    )
    delays = _delays(stream) if power else ()
    view = replay_view(found, delays, loaded.name)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(html_of(view), encoding="utf-8")
    document = _document(found, stream.reference, delays)
    return CommandResult(document, lambda colour, width: terminal_of(view, colour=colour, width=width))


def _packaged() -> _Stream:
    story = tell_story()
    plan = plan_canary(
        story.canary, slices={"topic": TOPICS}, centres={"accuracy": story.reference.losses[OVERALL].loss}
    )
    return _Stream(story.events, plan, story.reference, story.drift, story.restarts_us)


def _recorded(suite: Suite, paths: Sequence[str], tracking_uri: str | None) -> _Stream:
    monitor = monitor_of(suite)
    if not paths:
        raise DataError(f"{suite.name}: no events to replay; name files: mlbaseline replay SUITE EVENTS…")
    with TemporaryDirectory() as folder:
        ledger = open_ledger(Path(folder) / "replay.db", suite.name)
        try:
            for path in paths:
                ingest_file(ledger, Path(path), slices=monitor.slices, now=datetime.now(timezone.utc))
            events = ledger.read()
        finally:
            ledger.close()
    reference = _reference(suite, tracking_uri)
    reference = reference or reference_of_stream(events, metric=monitor.metric, slices=monitor.slices)
    plan = None if monitor.canary is None else canary_plan(monitor.canary, monitor, reference)
    return _Stream(events, plan, reference, monitor.drift)


def _reference(suite: Suite, tracking_uri: str | None) -> RecordedReference | None:
    try:
        return find_reference(suite, monitor_of(suite), store.connect(tracking_uri, suite.name))
    except (DataError, TrackingError):
        return None


def _delays(stream: _Stream) -> tuple[Delay, ...]:
    rows: tuple[Delay, ...] = ()
    if stream.plan is not None:
        test = next((each for each in stream.plan.tests if each.name == "error"), stream.plan.tests[0])
        ratio = test.limit if test.name == "error" else 1.0
        rate = float(stream.events.error.mean()) or 0.01
        share = stream.plan.ramp[-1].share
        rows += canary_delays(
            failure_rate=min(max(rate, 0.001), 0.5), share=share, ratio=ratio, alpha=test.alpha, horizon_days=14.0
        )
    if stream.reference is not None:
        overall = stream.reference.losses[OVERALL]
        bound = min(overall.upper + stream.rules.delta, 0.9)
        rows += drift_delays(bound=bound, slices=len(stream.reference.losses), arl_days=stream.rules.arl_days)
    return rows


def _document(found: Replay, reference: RecordedReference | None, delays: Sequence[Delay]) -> Document:
    canaries = [
        {
            "experiment": report.experiment,
            "decision": report.decision,
            "decided_at": iso(report.decided_us),
            "requests": report.requests,
            "units": report.units,
        }
        for report in found.canaries
    ]
    return {
        "canary": canaries[-1] if canaries else None,
        "canaries": canaries,
        "drift": {
            "alarms": [
                {"time": iso(alarm.time_us), "slice": alarm.watched.slice, "value": alarm.watched.value}
                for alarm in found.alarms
            ],
            "days": sum(len(report.days) for report in found.drifts),
            "reference": None if reference is None else reference.baseline,
        },
        "power": [asdict(delay) for delay in delays],
    }
