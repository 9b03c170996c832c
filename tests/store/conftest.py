"""A tracking store, on a server and in a SQLite file, and a suite that every test has for itself."""

from __future__ import annotations

import uuid
from pathlib import Path
from shutil import copy

import pytest

from mlbaseline.records import Example, TaskData
from mlbaseline.store.comparison_runs import ComparisonRun, find_comparison
from mlbaseline.store.comparisons import log_comparison
from mlbaseline.store.preregistration import TASK_DIGEST
from mlbaseline.store.runs import find_evaluations
from mlbaseline.store.server.connection import Tracker, connect
from mlbaseline.store.server.tracking import open_run, suite_tags
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import parse_suite
from tests.support.ladders.stored import SUITE, Compare, Evaluate, found, made_up_training, make_assessment


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> str:
    return f"sqlite:///{copy(empty_database, tmp_path_factory.mktemp('database'))}"


@pytest.fixture(params=["sqlite", pytest.param("http", marks=pytest.mark.server)])
def tracking_uri(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("server" if request.param == "http" else "database"))


@pytest.fixture
def tracker(
    tracking_uri: str, suite: Suite, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Tracker:
    # SQLite without a server puts artifacts under the working folder.
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))
    return connect(tracking_uri, suite.name)


@pytest.fixture
def suite_text() -> str:
    """A name of its own for every test, so that tests can share a server."""
    unique = uuid.uuid4().hex[:8]
    return SUITE.replace("name: moods", f"name: moods-{unique}").replace("moods-model", f"moods-model-{unique}")


@pytest.fixture
def suite(suite_text: str) -> Suite:
    return parse_suite(suite_text)


@pytest.fixture
def data() -> TaskData:
    examples = tuple(
        Example(f"e{n:03}", {"text": f"text {n}"}, "good" if n % 3 else "bad", ("bad", "good"), None, {"length": "1"})
        for n in range(60)
    )
    return TaskData("test", examples, ("bad", "good"), "d" * 64)


@pytest.fixture
def evaluate(tracker: Tracker, suite: Suite, data: TaskData) -> Evaluate:
    return Evaluate(tracker, suite, data)


@pytest.fixture
def compare(evaluate: Evaluate, tmp_path: Path) -> Compare:
    """A ladder of lora and majority, with a comparison that says `decision`."""
    tracker, suite = evaluate.tracker, evaluate.suite

    def compare(decision: str = "promote", *, served: bool = True) -> ComparisonRun:
        for seed in (0, 1):
            training = made_up_training(tmp_path / "weights") if served else None
            evaluate("lora", seed, trained=training, weights=training.weights if training else None)
        evaluate("majority", None)
        majority, *loras = find_evaluations(tracker)[:3]
        run_ids = {"lora": {str(run.seed): run.run_id for run in loras}, "majority": {"none": majority.run_id}}
        tags = {**suite_tags(suite), TASK_DIGEST: evaluate.data.digest}
        with open_run(tracker, "comparison", name="comparison", tags=tags) as run:
            (tmp_path / "rendered").mkdir(exist_ok=True)
            assessment = make_assessment(suite, run_ids, decision)
            log_comparison(run, assessment, tmp_path / "rendered", suite=suite)
        return found(find_comparison(tracker, run.run_id))

    return compare
