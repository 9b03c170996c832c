"""Runs that a training script starts, in a process of its own that finds our entry points."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from shutil import copy

import pytest
from mlflow.tracking.context.registry import _run_context_provider_registry, resolve_tags

from mlbaseline.mlflow_plugins.run_context import SuiteRunContext
from mlbaseline.passed_tags import PASSED_TAGS
from mlbaseline.store import connect, find_evaluations, open_program_run, open_run
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.tracking import suite_tags
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import load_suite
from tests.conftest import TINY_SUITE
from tests.support.checkout import ROOT
from tests.support.processes.installed import write_distribution

SCRIPT = """
import json, mlflow
tags = []
for name in ("first", "second"):
    with mlflow.start_run(run_name=name) as run:
        with mlflow.start_run(nested=True) as inner:
            pass
    tags += [mlflow.get_run(each.info.run_id).data.tags for each in (run, inner)]
print(json.dumps([{key: value for key, value in each.items() if key.startswith("mlbaseline.")} for each in tags]))
"""


@pytest.fixture
def tracker(tmp_path: Path, empty_database: Path) -> Tracker:
    copy(empty_database, tmp_path / "mlflow.db")
    return connect(f"sqlite:///{tmp_path}/mlflow.db", "tiny")


def run_script(tmp_path: Path, environment: Mapping[str, str]) -> tuple[list[dict[str, str]], str]:
    """Our tags on the runs of the script, and what was written to stderr."""
    if not (folder := tmp_path / "installed").exists():
        folder.mkdir()
        write_distribution(folder, "mlflow.run_context_provider")
    known = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "MLFLOW_DISABLE_TELEMETRY": "true"}
    paths = {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env={**known, **paths, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_runs_of_a_program_in_a_ladder_belong_to_its_suite(tmp_path: Path, tracker: Tracker, tiny_suite: Suite) -> None:
    with (
        open_run(tracker, "ladder", name="ladder", tags={}) as ladder,
        open_program_run(ladder, tiny_suite, "keyword") as program,
    ):
        (own, *others), _ = run_script(tmp_path, program.environment)
    assert own["mlbaseline.kind"] == "training"
    assert others == [{**suite_tags(tiny_suite), "mlbaseline.baseline": "keyword"}] * 3
    assert find_evaluations(tracker) == ()


def test_a_script_alone_names_its_suite(tmp_path: Path, tracker: Tracker) -> None:
    (tmp_path / "suite.yaml").write_text(TINY_SUITE, encoding="utf-8")
    store = {"MLFLOW_TRACKING_URI": tracker.uri}
    tags, _ = run_script(tmp_path, {**store, "MLBASELINE_SUITE": "suite.yaml"})
    assert tags == [suite_tags(load_suite(tmp_path / "suite.yaml"))] * 4
    tags, warned = run_script(tmp_path, {**store, "MLBASELINE_SUITE": "nowhere.yaml"})
    assert tags == [{}] * 4 and "nowhere.yaml" in warned


def test_our_own_runs_say_themselves_what_they_are_of(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_run_context_provider_registry, "_registry", [SuiteRunContext()])
    monkeypatch.setenv(PASSED_TAGS, json.dumps({"mlbaseline.suite": "another"}))
    assert resolve_tags() == {"mlbaseline.suite": "another"}
    with open_run(tracker, "ladder", name="ladder", tags={}) as run:
        assert "mlbaseline.suite" not in tracker.client.get_run(run.run_id).data.tags


def test_nothing_is_said_and_nothing_heavy_loaded_where_no_variable_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLBASELINE_SUITE", raising=False)
    monkeypatch.delenv(PASSED_TAGS, raising=False)
    assert not SuiteRunContext().in_context()
    modules = ("mlbaseline.mlflow_plugins.run_context", "mlbaseline.mlflow_plugins.evaluator")
    code = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(loaded) & {"mlflow", "numpy", "pandas", "pydantic", "scipy", "torch", "yaml"}


def test_tags_that_say_what_a_run_is_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"mlbaseline.suite": "tiny", "mlbaseline.kind": "evaluation", "mlbaseline.status": "completed"}
    monkeypatch.setenv(PASSED_TAGS, json.dumps(given))
    assert SuiteRunContext().tags() == {"mlbaseline.suite": "tiny"}
    monkeypatch.setenv(PASSED_TAGS, "[1]")
    with pytest.raises(ValueError, match="expected a JSON object of texts"):
        SuiteRunContext().tags()
