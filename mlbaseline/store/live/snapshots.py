"""Snapshots as runs: what was found, the scores it rests on, and a line on the registered version's page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from mlbaseline.errors import TrackingError
from mlbaseline.monitor.event_arrays import Floats
from mlbaseline.monitor.snapshots import AnchorCheck, Snapshot, SnapshotOutcome
from mlbaseline.store.items import Artifacts, Metrics, Series, Tags, write
from mlbaseline.store.server.artifacts import fetch_artifact
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.run_search import OLDEST, search
from mlbaseline.store.server.tracking import COMPLETED, PREFIX, STATUS, Run
from mlbaseline.suite import Suite

SNAPSHOT = "snapshot"
CHAMPION_ID, PERIOD = PREFIX + "champion", PREFIX + "period"
MONITOR_DIGEST = PREFIX + "monitor_digest"
_FOUND, _HOLDOUT, _ANCHOR = "snapshot.json", "holdout.parquet", "anchor.parquet"
_LATEST = "Latest snapshot: "


@dataclass(frozen=True)
class StoredSnapshot:
    """A completed snapshot on the server."""

    run_id: str
    found: Snapshot


def find_snapshots(tracker: Tracker, champion: str) -> list[StoredSnapshot]:
    """Find the completed snapshots of a champion, one for each period, the earliest period first.

    Args:
        tracker: The server and the suite's experiment.
        champion: What identifies it, such as `NAME/VERSION`.

    Raises:
        TrackingError: The server cannot be asked.
    """
    tags = {STATUS: COMPLETED, PREFIX + "suite": tracker.experiment, CHAMPION_ID: champion}
    by_period: dict[int, StoredSnapshot] = {}
    for run in search(tracker, SNAPSHOT, tags, everywhere=True, order=OLDEST):
        if run.info.status == "FINISHED":
            with TemporaryDirectory() as folder, reporting(f"read the snapshot {run.info.run_id}", tracker.uri):
                path = fetch_artifact(tracker, run.info.run_id, f"{SNAPSHOT}/{_FOUND}", Path(folder))
                found = _parsed(path.read_text(encoding="utf-8"), run.info.run_id)
            by_period.setdefault(found.period, StoredSnapshot(run.info.run_id, found))
    return [by_period[period] for period in sorted(by_period)]


def _parsed(text: str, run_id: str) -> Snapshot:
    try:
        content = json.loads(text)
        anchor = content.pop("anchor")
        content["outcome"] = SnapshotOutcome(content["outcome"])
        names = {field.name for field in fields(Snapshot)} - {"anchor"}
        known = {name: content[name] for name in names}
        return Snapshot(**known, anchor=None if anchor is None else AnchorCheck(**anchor))
    except (KeyError, TypeError, ValueError) as error:
        raise TrackingError(f"run {run_id}: {SNAPSHOT}/{_FOUND} is not that of a snapshot: {error}") from error


def anchor_scores(tracker: Tracker, run_id: str) -> Mapping[str, float]:
    """Read a snapshot's scores on the anchor items, by request id. Raises TrackingError."""
    with TemporaryDirectory() as folder, reporting(f"read the snapshot {run_id}", tracker.uri):
        frame = pd.read_parquet(fetch_artifact(tracker, run_id, f"{SNAPSHOT}/{_ANCHOR}", Path(folder)))
    return dict(zip(frame["request_id"], frame["champion"].tolist(), strict=True))


def snapshot_tags(suite: Suite, champion: str, period: int) -> dict[str, str]:
    """Tags by which a snapshot is found."""
    assert suite.monitor_digest is not None  # a suite without rules has no snapshots
    return {CHAMPION_ID: champion, PERIOD: str(period), MONITOR_DIGEST: suite.monitor_digest}


def log_snapshot(
    run: Run,
    found: Snapshot,
    history: list[Snapshot],
    *,
    scores: Mapping[str, Mapping[str, Floats]],
    ids: Mapping[str, list[str]],
    plot: str,
) -> None:
    """Store a snapshot in its run.

    Args:
        run: Its run.
        found: What was found.
        history: The champion's snapshots so far, this one at the end.
        scores: `holdout` and `anchor` ─▶ side ─▶ scores (n,).
        ids: `holdout` and `anchor` ─▶ request ids (n,).
        plot: The history as SVG.

    Raises:
        TrackingError: The server cannot be reached or refuses.
    """
    with TemporaryDirectory() as temporary:
        folder = Path(temporary, SNAPSHOT)
        folder.mkdir()
        (folder / _FOUND).write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")
        (folder / "history.svg").write_text(plot, encoding="utf-8")
        for name, file in (("holdout", _HOLDOUT), ("anchor", _ANCHOR)):
            pd.DataFrame({"request_id": ids[name], **scores[name]}).to_parquet(folder / file, index=False)
        write(
            run,
            Artifacts(Path(temporary)),
            Metrics(_metrics(found)),
            Series("history/champion", [one.champion_mean for one in history]),
            Series("history/reference", [one.reference_mean for one in history]),
            Series("history/log_e_total", [one.log_e_total for one in history]),
            Tags({PREFIX + "outcome": found.outcome.value}),
        )


def _metrics(found: Snapshot) -> dict[str, float | None]:
    anchor = found.anchor
    return {
        "snapshot/champion": found.champion_mean,
        "snapshot/reference": found.reference_mean,
        "snapshot/delta": found.delta,
        "snapshot/delta/low": found.low,
        "snapshot/delta/high": found.high,
        "snapshot/log_e": found.log_e,
        "snapshot/log_e_total": found.log_e_total,
        "snapshot/n": float(found.n),
        "snapshot/anchor_delta": None if anchor is None else anchor.delta,
        "snapshot/anchor_changed": None if anchor is None else float(anchor.changed),
    }


def tell_version(run: Run, champion: str, found: Snapshot) -> None:
    """Put the latest snapshot onto the page of a registered version, `NAME/NUMBER`. Raises TrackingError."""
    name, _, number = champion.rpartition("/")
    text = f"{found.delta:+.3f} [{found.low:+.3f}, {found.high:+.3f}] over the reference, {found.outcome}"
    line = f"{_LATEST}[{text}](#/experiments/{run.experiment_id}/runs/{run.run_id})"
    client = run.tracker.client
    with reporting(f"write to the page of {champion}", run.tracker.uri):
        version = client.get_model_version(name, number)
        kept = [old for old in (version.description or "").splitlines() if not old.startswith(_LATEST)]
        client.update_model_version(name, number, "\n".join([*kept, line] if kept else [line]))
        client.set_model_version_tag(name, number, PREFIX + "snapshot", text)
        client.set_model_version_tag(name, number, PREFIX + "snapshot_run_id", run.run_id)
