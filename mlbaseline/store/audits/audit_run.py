"""The run of an audit of a suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from mlbaseline.records import Scalar
from mlbaseline.store.items import Artifacts, Metrics, Params, Tags, metric_name, write
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.tracking import Run
from mlbaseline.store.suites import suite_artifact
from mlbaseline.suite import Suite

DETERMINISM, VARIANCE = "determinism", "variance"
"""Kinds of run, and the folders of their files."""


@dataclass(frozen=True)
class AuditRecord:
    """What the run of an audit holds.

    Attributes:
        kind: `DETERMINISM` or `VARIANCE`.
        metrics: Numbers, by the parts of their names.
        params: What was repeated, and with what.
        files: Name of a file ─▶ content.
        tags: Of the run.
    """

    kind: str
    metrics: Mapping[tuple[str, ...], float]
    params: Mapping[str, Scalar]
    files: Mapping[str, str]
    tags: Mapping[str, str] = field(default_factory=dict)


def log_audit(run: Run, suite: Suite, record: AuditRecord) -> None:
    """Write what an audit found into its open run.

    Raises:
        TrackingError: The server cannot be reached or refuses.
    """
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with reporting(f"store the audit {run.name!r}", run.tracker.uri):
            (folder / record.kind).mkdir()
            for name, content in record.files.items():
                (folder / record.kind / name).write_text(content, encoding="utf-8")
            suite_artifact(suite, folder)
        metrics = {metric_name(record.kind, *parts): value for parts, value in record.metrics.items()}
        write(run, Artifacts(folder), Metrics(metrics), Params(record.params), Tags(record.tags))
