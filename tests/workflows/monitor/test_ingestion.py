"""`mlbaseline ingest`: from files and traces into the ledger, stopped at any moment and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from mlbaseline.errors import DataError, LedgerError, SuiteError
from mlbaseline.monitor import open_ledger
from mlbaseline.workflows import ingest, mix
from tests.conftest import TINY_SUITE
from tests.support.checkout import ROOT
from tests.support.traffic import event, label, stream

MONITOR = """
monitor:
  traffic: {source: files, paths: ["events/*.jsonl"]}
  reference: majority
  slices: [topic]
  canary: {candidate: uniform, ramp: [{share: 0.05, hold: 1d}]}
"""


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY_SUITE + MONITOR)
    (tmp_path / "events").mkdir()
    return path


def write(folder: Path, name: str, *rows: dict[str, object]) -> Path:
    path = folder / "events" / name
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_the_files_that_the_suite_names(suite: Path, tmp_path: Path) -> None:
    write(tmp_path, "1.jsonl", event("a", share=0.05, **{"slice.topic": "food"}), event("b", arm="B"))
    write(tmp_path, "2.jsonl", label("a", 1), label("z", 0))
    document = ingest(suite).document
    assert (document["requests"], document["labels"]) == (1, 2)
    assert document["problems"]["unknown_arm"]["count"] == 1
    assert document["holds"]["arms"] == {"champion": 1, "candidate": 0}
    assert (document["holds"]["labels"], document["holds"]["waiting"]) == (1, 1)
    assert [source["source"] for source in document["sources"]] == ["1.jsonl", "2.jsonl"]
    assert (tmp_path / "tiny-traffic.db").is_file()
    again = ingest(suite)
    assert (again.document["requests"], again.document["labels"]) == (0, 0)
    assert all(source["unchanged"] for source in again.document["sources"])
    assert "2 files ingested before" in again.text(False, 100)


def test_what_is_told_of_the_traffic(suite: Path, tmp_path: Path) -> None:
    rows = [
        event("a", share=0.05, **{"slice.topic": "food"}),
        {**event("b", share=0.2), "time": "2026-03-05T00:00:00Z"},
        label("z", 0),
        label("a", 7),
    ]
    outcome = ingest(suite, [str(write(tmp_path, "1.jsonl", *rows))], ledger=str(tmp_path / "other.db"))
    assert outcome.document["unannounced_shares"] == [0.2]
    told = outcome.text(False, 100)
    for part in (
        "New: 2 requests, 1 labels",
        "bad_score 1: 1.jsonl: row 4: score.accuracy is 7",
        "no_slice 1: 1.jsonl: an event without slice.topic",
        "1 labels wait for their request",
        "3 days without a request",
        "shares that monitor.canary.ramp does not have: 0.2",
        f"Ledger sqlite:///{tmp_path}/other.db: 2 requests (champion 2, candidate 0), 0 labels",
    ):
        assert part in told


def test_what_is_missing_is_named(suite: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"monitor.traffic.paths: no file matches 'events/\*.jsonl'"):
        ingest(suite)
    with pytest.raises(SuiteError, match="--since"):
        ingest(suite, since=__import__("datetime").datetime(2026, 1, 1))
    (tmp_path / "plain.yaml").write_text(TINY_SUITE)
    with pytest.raises(SuiteError, match="monitor: is missing"):
        ingest(tmp_path / "plain.yaml")
    other = tmp_path / "other.yaml"
    other.write_text((TINY_SUITE + MONITOR).replace("name: tiny", "name: other"))
    open_ledger(tmp_path / "tiny-traffic.db", "tiny")
    with pytest.raises(LedgerError, match="expected the ledger of the suite 'other', got that of 'tiny'"):
        ingest(other, ledger=str(tmp_path / "tiny-traffic.db"))


def test_the_ledger_lies_beside_the_tracking_database(suite: Path, tmp_path: Path) -> None:
    write(tmp_path, "1.jsonl", event("a"))
    (tmp_path / "tracking").mkdir()
    ingest(suite, tracking_uri=f"sqlite:///{tmp_path}/tracking/mlflow.db")
    assert (tmp_path / "tracking" / "tiny-traffic.db").is_file()


def test_killed_at_any_moment_nothing_is_lost_or_counted_twice(suite: Path, tmp_path: Path) -> None:
    """The same command is killed again and again while it writes, and then runs to its end."""
    frame = stream(30_000, labelled=0.5)
    path = tmp_path / "events.parquet"
    frame.to_parquet(path)
    code = (
        "import mlbaseline.monitor.event_files as files, sys; files.BATCH_ROWS = 1_500\n"
        "from mlbaseline.cli import main\n"
        "main(['ingest', 'tiny.yaml', 'events.parquet', '--json'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ledger = tmp_path / "tiny-traffic.db"
    held = []
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment, stdout=subprocess.PIPE)
        before = ledger.stat().st_size if ledger.exists() else 0
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            log = ledger.with_name(ledger.name + "-wal")
            grown = (ledger.stat().st_size if ledger.exists() else 0) + (log.stat().st_size if log.exists() else 0)
            if grown > before + 400_000:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        held.append(open_ledger(ledger, "tiny").summary().requests)
    assert held == sorted(held)
    assert 0 < held[0] < len(frame)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    document = json.loads(done.stdout)
    assert document["requests"] == len(frame) - held[-1]
    summary = open_ledger(ledger, "tiny").summary()
    assert summary.requests == len(frame)
    assert summary.labels == int(frame["score.accuracy"].notna().sum())


def test_the_mix_of_recorded_traffic_is_printed_as_weights(suite: Path, tmp_path: Path) -> None:
    topics = ["food"] * 3 + ["travel"]
    rows = [event(f"r{n}", **{"slice.topic": topic}) for n, topic in enumerate(topics)]
    write(tmp_path, "1.jsonl", *rows, event("none"))
    ingest(suite)
    found = mix(suite, "topic")
    assert found.document == {"slice": "topic", "requests": 4, "unknown": 1, "mix": {"food": 0.75, "travel": 0.25}}
    assert "weights: {slice: topic, mix: {food: 0.75, travel: 0.25}}" in found.text(False, 80)
    with pytest.raises(SuiteError, match="'length' is not monitored"):
        mix(suite, "length")
    with pytest.raises(DataError, match="no request with a value of topic"):
        mix(suite, "topic", since=datetime(2100, 1, 1))
