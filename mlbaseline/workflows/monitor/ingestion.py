"""Events of live traffic into the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from mlbaseline import store
from mlbaseline.errors import DataError, SuiteError
from mlbaseline.monitor import DAY_US, EventProblem, Ledger, LedgerSummary
from mlbaseline.monitor.event_rows import EPOCH, microseconds
from mlbaseline.monitor.ingesting import SourceReport, ingest_batches, ingest_file
from mlbaseline.store.live import read_traces
from mlbaseline.suite import GuardrailKind, Monitor, guardrail_kind
from mlbaseline.suite.reading import load_suite
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.monitor.ledgers import ledger_of, monitor_of


def ingest(
    suite: str | Path,
    events: Sequence[str] = (),
    *,
    ledger: str | None = None,
    since: datetime | None = None,
    tracking_uri: str | None = None,
) -> CommandResult:
    """Read events of live traffic, and their labels, into the suite's ledger.

    What the ledger has already does not count again, so that the same command may run at any time and as often as
    one likes; one that was stopped goes on from there.

    Args:
        suite: Path of a suite file, or the name of a packaged suite.
        events: Parquet, JSON Lines or CSV files. Default: what `monitor.traffic` names.
        ledger: Path of a SQLite file, or a URL of SQLAlchemy. By default a file beside the tracking database.
        since: Read traces from this time on. By default those that are new, or whose labels may still come.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document has `requests` and `labels` (new ones), `problems` with their counts and first examples, and what
        the ledger now holds.

    Raises:
        DataError: A file cannot be read, or no row of it can be used.
        LedgerError: The ledger cannot be used, or is that of another suite.
        SuiteError: The suite has no `monitor`.
        TrackingError: The server cannot be read.
    """
    loaded = load_suite(suite)
    monitor, now = monitor_of(loaded), datetime.now(timezone.utc)
    opened = ledger_of(loaded, ledger, tracking_uri)
    traces = not events and monitor.traffic.source == "mlflow"
    if since is not None and not traces:
        raise SuiteError("--since", ["files are read as a whole; the option is for traces"])
    if traces:
        reports = [_ingest_traces(opened, monitor, since, now, tracking_uri)]
    else:
        paths = [Path(name) for name in events] or list(matching_files(monitor, loaded.root))
        reports = [ingest_file(opened, path, slices=monitor.slices, now=now) for path in paths]
    return _result(opened, monitor, reports)


def matching_files(monitor: Monitor, root: Path) -> Iterator[Path]:
    """Find the files that the suite's paths and patterns name."""
    for pattern in monitor.traffic.paths:
        path = root / pattern
        found = [path] if path.is_file() else sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        if not found:
            raise DataError(f"monitor.traffic.paths: no file matches {pattern!r} (from {root.resolve()})")
        yield from found


def _ingest_traces(
    ledger: Ledger, monitor: Monitor, since: datetime | None, now: datetime, tracking_uri: str | None
) -> SourceReport:
    server = store.reach(tracking_uri)
    experiment = monitor.traffic.experiment
    assert experiment is not None  # the suite is valid
    source = hashlib.sha256(f"traces:{experiment}".encode()).hexdigest()
    start = since or _open_since(ledger.read_until_us(source), monitor.drift.label_delay)
    batches = read_traces(server, experiment, since=start, until=now, scores=_scores(monitor))
    report = ingest_batches(ledger, batches, source=experiment, slices=monitor.slices, now=now)
    if report.requests or report.labels or report.read:
        ledger.mark_read(source, experiment, microseconds(now))
    return report


def _open_since(read_until_us: int | None, label_delay: timedelta) -> datetime:
    """Return the beginning of the first day that was not closed when traces were last read."""
    if read_until_us is None:
        return EPOCH
    moment_us = read_until_us - label_delay // timedelta(microseconds=1)
    return EPOCH + timedelta(days=moment_us // DAY_US)


def _scores(monitor: Monitor) -> dict[str, str]:
    """Name of an assessment ─▶ score that it is: of everything that the rules look at."""
    names = {monitor.metric, *([monitor.drift.judged_by] if monitor.drift.judged_by else [])}
    guardrails = monitor.canary.guardrails if monitor.canary else {}
    names |= {name for name in guardrails if guardrail_kind(name) is GuardrailKind.SCORE}
    return {monitor.traffic.assessments.get(name, name): name for name in sorted(names)}


def _result(ledger: Ledger, monitor: Monitor, reports: Sequence[SourceReport]) -> CommandResult:
    summary = ledger.summary()
    planned = {step.share for step in monitor.canary.ramp} if monitor.canary else set()
    unannounced = [share for share in summary.shares if share not in {0.0, 1.0} | planned]
    counts: dict[str, dict[str, Any]] = {}
    for report in reports:
        for problem, count in report.problems.counts.items():
            entry = counts.setdefault(problem, {"count": 0, "first": report.problems.examples[problem]})
            entry["count"] += count
    document = {
        "ledger": ledger.url,
        "requests": sum(report.requests for report in reports),
        "labels": sum(report.labels for report in reports),
        "problems": counts,
        "sources": [
            {
                "source": report.source,
                "rows": report.read,
                "requests": report.requests,
                "labels": report.labels,
                "unchanged": report.is_unchanged,
            }
            for report in reports
        ],
        "holds": {**asdict(summary), "first": _day(summary.first_us), "last": _day(summary.last_us)},
        "unannounced_shares": unannounced,
    }
    return CommandResult(document, lambda *_: _text(document, summary, counts, unannounced))


def _day(time_us: int | None) -> str | None:
    return None if time_us is None else (EPOCH + timedelta(microseconds=time_us)).isoformat(timespec="seconds")


def _text(
    document: Mapping[str, Any],
    summary: LedgerSummary,
    counts: Mapping[str, Mapping[str, Any]],
    unannounced: Sequence[float],
) -> str:
    lines = [f"New: {document['requests']:,} requests, {document['labels']:,} labels"]
    if unchanged := sum(source["unchanged"] for source in document["sources"]):
        lines.append(f"{unchanged} file{'s' * (unchanged != 1)} ingested before, and not changed since")
    known = EventProblem.DUPLICATE.value
    lines += [f"  {name} {entry['count']:,}: {entry['first']}" for name, entry in counts.items() if name != known]
    if known in counts:
        lines.append(f"  known before: {counts[known]['count']:,} rows")
    arms = ", ".join(f"{arm} {count:,}" for arm, count in summary.arms.items())
    lines.append(f"Ledger {document['ledger']}: {summary.requests:,} requests ({arms}), {summary.labels:,} labels")
    if summary.waiting:
        lines.append(f"  {summary.waiting:,} labels wait for their request")
    if summary.empty_days:
        lines.append(f"  {summary.empty_days} days without a request")
    if unannounced:
        listed = ", ".join(f"{share:g}" for share in unannounced)
        lines.append(f"  shares that monitor.canary.ramp does not have: {listed}")
    return "\n".join(lines)
