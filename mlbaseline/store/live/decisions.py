"""Runs of decisions about live traffic: the canary's and the drift's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlbaseline.store.items import Artifacts, Metrics, Series, write
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.run_search import search
from mlbaseline.store.server.tracking import COMPLETED, PREFIX, STATUS, open_run, suite_tags
from mlbaseline.store.suites import suite_artifact
from mlbaseline.suite import Suite

CANARY, DRIFT = "canary", "drift"
DECISION, LOOKED_AT = PREFIX + "decision", PREFIX + "looked_at"
TOLD = PREFIX + "told"
"""Tag: the host that a webhook sent the decision to."""
_LOOK = PREFIX + "look"


@dataclass(frozen=True)
class DecisionRecord:
    """What the run of a decision holds.

    Attributes:
        kind: `canary` or `drift`.
        decision: What was decided.
        looked_at: Time of the look, ISO 8601.
        look: Names what was looked at: the same look again is the same run.
        metrics: Numbers at the look.
        series: Metric ─▶ its values over time, for MLflow's charts.
        files: Path under the run's artifacts ─▶ content.
    """

    kind: str
    decision: str
    looked_at: str
    look: str
    metrics: Mapping[str, float]
    series: Mapping[str, tuple[float, ...]]
    files: Mapping[str, str]


def log_decision(tracker: Tracker, suite: Suite, record: DecisionRecord, *, note: str) -> str:
    """Write the run of a decision, or find the one that the same look has left already.

    Args:
        tracker: The tracking server, at the suite's experiment.
        suite: The suite.
        record: What the run holds.
        note: Markdown for the run's page.

    Returns:
        The run's id.

    Raises:
        TrackingError: The server cannot be reached or refuses.
    """
    known = next(search(tracker, record.kind, {STATUS: COMPLETED, _LOOK: record.look}, page_size=1), None)
    if known is not None:
        return str(known.info.run_id)
    tags = {**suite_tags(suite), DECISION: record.decision, LOOKED_AT: record.looked_at, _LOOK: record.look}
    name = f"{suite.name} {record.kind}: {record.decision}"
    with open_run(tracker, record.kind, name=name, tags=tags, note=note) as run, TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with reporting(f"store the decision {name!r}", tracker.uri):
            for path, content in record.files.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(content, encoding="utf-8")
            series = [Series(metric, values) for metric, values in record.series.items()]
            suite_artifact(suite, folder)
            write(run, Artifacts(folder), Metrics(dict(record.metrics)), *series)
    return run.run_id


def tell_once(tracker: Tracker, run_id: str, host: str, tell: Callable[[], None]) -> bool:
    """Tell somebody of a decision whose run does not say yet that they were told, and note it there.

    Args:
        tracker: The tracking server.
        run_id: The run of the decision.
        host: Who is told.
        tell: Tells them. What it raises passes through, and nothing is noted.

    Returns:
        Whether they were told now.

    Raises:
        TrackingError: The server cannot be reached.
    """
    with reporting(f"read the decision {run_id}", tracker.uri):
        if tracker.client.get_run(run_id).data.tags.get(TOLD) == host:
            return False
    tell()
    with reporting(f"record the receiver of the decision {run_id}", tracker.uri):
        tracker.client.set_tag(run_id, TOLD, host)
    return True
