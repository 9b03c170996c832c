"""`mlbaseline retrain`: a breach starts one training, whose result goes through the gates."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mlbaseline import workflows
from mlbaseline.errors import TrackingError
from tests.support.checkout import ROOT
from tests.support.ladders.cheap_ladder import CheapLadder
from tests.support.ladders.live_traffic import write_week
from tests.support.ladders.workplace import ENVIRONMENT
from tests.support.models.rule_model import register


@pytest.fixture
def breached(live: CheapLadder, monkeypatch: pytest.MonkeyPatch) -> CheapLadder:
    """A champion whose first snapshot is a breach; `mlflow run` finds the Python of this test."""
    register(live, "+", "text")
    write_week(live, 0)
    assert workflows.snapshot(live.suite, tracking_uri=live.uri).exit_code == 3
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return live


def test_without_an_alarm_there_is_nothing_to_do(live: CheapLadder) -> None:
    outcome = workflows.retrain(live.suite, apply=True, tracking_uri=live.uri)
    assert (outcome.exit_code, outcome.document["decision"], outcome.document["applied"]) == (0, "no_alarm", False)
    assert outcome.text(False, 100) == "Nothing to do: no alarm"


def test_a_breach_starts_one_training_and_the_gates_judge_it(breached: CheapLadder) -> None:
    dry = workflows.retrain(breached.suite, tracking_uri=breached.uri)
    assert (dry.exit_code, dry.document["decision"], dry.document["applied"]) == (0, "retrain", False)
    assert "Would train (with --apply): snapshot raised an alarm after 2026-03-08: accuracy -0." in dry.text(False, 100)

    done = workflows.retrain(breached.suite, apply=True, project=str(ROOT), tracking_uri=breached.uri)
    assert (done.exit_code, done.document["promotion"]["verdict"]) == (3, "hold")
    record = breached.run(done.document["run_id"])
    assert record.info.status == "FINISHED"
    assert record.data.tags["mlbaseline.kind"] == "retrain"
    assert record.data.tags["mlbaseline.retrain_key"] == done.document["key"]
    assert record.data.tags["mlbaseline.verdict"] == "hold"
    project_run = breached.run(done.document["project_run_id"])
    assert (project_run.info.status, project_run.data.tags["mlbaseline.kind"]) == ("FINISHED", "ladder")

    again = workflows.retrain(breached.suite, apply=True, project=str(ROOT), tracking_uri=breached.uri)
    assert (again.document["decision"], again.document["earlier"]) == ("already_done", record.info.run_id)


def test_a_training_that_fails_is_recorded_and_not_repeated_at_once(breached: CheapLadder, tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="expected a folder with a file MLproject"):
        workflows.retrain(breached.suite, apply=True, project=str(tmp_path), tracking_uri=breached.uri)
    outcome = workflows.retrain(breached.suite, apply=True, project=str(ROOT), tracking_uri=breached.uri)
    assert outcome.document["decision"] == "cooling_down"
    record = breached.run(outcome.document["earlier"])
    assert (record.info.status, record.data.tags["mlbaseline.status"]) == ("FAILED", "failed")
