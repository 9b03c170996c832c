"""What killed processes left: `doctor` tells of it, `doctor --fix` clears it, and then there is nothing to tell."""

from __future__ import annotations

import os
import time
from pathlib import Path
from shutil import copy

import pytest
from mlflow import MlflowClient

from mlbaseline.journal import Journal
from tests.support.ladders.whole_ladders import WholeLadder
from tests.support.ladders.workplace import Workplace
from tests.support.processes.kills import run_and_kill

EARLY = 40
"""A write of the ladder's second or third rung."""


@pytest.fixture
def killed(tmp_path: Path, tiny_model: Path, empty_database: Path) -> Workplace:
    """The place of a ladder that was killed in the middle of a rung."""
    copy(empty_database, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    ladder = WholeLadder.write(tmp_path, "killed", uri, tiny_model, os.environ)
    ended = run_and_kill(ladder.command, tmp_path, dict(ladder.environment), at=EARLY, later_s=0.0)
    assert ended.returncode == -9
    return Workplace(tmp_path, uri)


def statuses(place: Workplace) -> list[str]:
    client = MlflowClient(place.uri)
    experiment = client.get_experiment_by_name("killed")
    assert experiment is not None
    return sorted(run.info.status for run in client.search_runs([experiment.experiment_id]))


def write_torn_entries(cache: Path) -> Journal:
    """A journal with a line that broke off, a folder that was never finished, and one that still may be."""
    (cache / "answers").mkdir(parents=True, exist_ok=True)
    journal = Journal(cache / "answers" / "torn.jsonl")
    journal.add('"whole"')
    with journal.path.open("ab") as file:
        file.write(b"\n0123 tor")
    for name in ("tmpold", "tmpnew"):
        (cache / "references" / name).mkdir(parents=True)
    for path in (journal.path, cache / "references" / "tmpold"):
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    return journal


def test_leftovers_are_told_and_cleared(killed: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = killed.folder / "cache"
    monkeypatch.setenv("MLBASELINE_CACHE", str(cache))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", killed.uri)
    journal = write_torn_entries(cache)
    before = statuses(killed)
    n_open = before.count("RUNNING")
    assert n_open >= 1  # the ladder and, unless it died between two of them, a rung

    told = killed.document("doctor", "suite.yaml")
    kinds = [leftover["kind"] for leftover in told["leftovers"]]
    assert kinds == ["torn cache entry"] * 2 + ["dead run"] * n_open
    assert not any(leftover["cleared"] for leftover in told["leftovers"])
    assert told["healthy"] is True
    assert statuses(killed) == before
    assert "with --fix it is ended as killed" in killed.command("doctor").stdout  # of the whole server

    fixed = killed.document("doctor", "suite.yaml", "--fix")
    assert [leftover["kind"] for leftover in fixed["leftovers"]] == kinds
    assert all(leftover["cleared"] and leftover["error"] is None for leftover in fixed["leftovers"])
    assert "RUNNING" not in statuses(killed)
    assert [content for _, content in journal.lines()] == ['"whole"']
    assert journal.count_damaged() == 0
    assert [path.name for path in (cache / "references").iterdir()] == ["tmpnew"]
    assert killed.document("doctor", "suite.yaml")["leftovers"] == []


def test_a_leftover_that_cannot_be_cleared_is_a_failure(killed: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = killed.folder / "cache"
    monkeypatch.setenv("MLBASELINE_CACHE", str(cache))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", killed.uri)
    journal = write_torn_entries(cache)
    journal.path.with_suffix(".part").mkdir()  # where the new file would be written
    failed = killed.document("doctor", "suite.yaml", "--fix", expect=1)
    errors = {leftover["where"]: leftover["error"] for leftover in failed["leftovers"] if leftover["error"]}
    assert list(errors) == [f"{journal.path}: 1 damaged entries"]
    assert "RUNNING" not in statuses(killed)  # the others are cleared all the same
