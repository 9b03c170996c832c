"""The run of an audit of determinism."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlbaseline.records import Scalar
from mlbaseline.store.items import Artifacts, Metrics, Params, Tags, metric_name, write
from mlbaseline.store.server.run_search import search
from mlbaseline.store.server.tracking import COMPLETED, PREFIX, STATUS, Run, Tracker, reporting, suite_tags
from mlbaseline.store.suites import suite_artifact
from mlbaseline.suite import Suite

DETERMINISM = "determinism"
STABILITY = PREFIX + "stability"
"""Tag: what the repetitions came to."""


@dataclass(frozen=True)
class DeterminismRecord:
    """What the run of an audit of determinism holds.

    Attributes:
        stability: What the repetitions came to.
        metrics: Numbers, by the parts of their names.
        params: What was repeated, and with what.
        files: Name of a file under `determinism/` ─▶ content.
    """

    stability: str
    metrics: Mapping[tuple[str, ...], float]
    params: Mapping[str, Scalar]
    files: Mapping[str, str]


def find_determinism(tracker: Tracker, suite: Suite) -> str | None:
    """Describe the newest completed audit of this very suite; None without one.

    Raises:
        TrackingError: The server cannot be reached or refuses.
    """
    found = next(search(tracker, DETERMINISM, {STATUS: COMPLETED, **suite_tags(suite)}, page_size=1), None)
    if found is None:
        return None
    params, stability = found.data.params, found.data.tags.get(STABILITY)
    what = " ".join(params.get(f"determinism.{name}", "") for name in ("baseline", "precision", "device"))
    return f"{stability} ({what}, run {found.info.run_id})"


def log_determinism(run: Run, suite: Suite, record: DeterminismRecord) -> None:
    """Write what an audit of determinism found into its open run.

    Raises:
        TrackingError: The server cannot be reached or refuses.
    """
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with reporting(f"store the audit {run.name!r}", run.tracker.uri):
            (folder / DETERMINISM).mkdir()
            for name, content in record.files.items():
                (folder / DETERMINISM / name).write_text(content, encoding="utf-8")
            suite_artifact(suite, folder)
        metrics = {metric_name(DETERMINISM, *parts): value for parts, value in record.metrics.items()}
        write(run, Artifacts(folder), Metrics(metrics), Params(record.params), Tags({STABILITY: record.stability}))
