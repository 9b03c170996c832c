"""Scorers of MLflow as judges: built-in, registered as instructions, and registered as code, which is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copy

import mlflow
import pytest
from mlflow.genai.judges import make_judge
from mlflow.genai.scorers import scorer

from mlbaseline.errors import SuiteError
from mlbaseline.serving import find_scorer
from mlbaseline.store import Tracker, connect
from mlbaseline.suite import Scorer


@pytest.fixture
def tracker(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracker]:
    monkeypatch.chdir(tmp_path)
    copy(empty_database, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker = connect(uri, "qa")
    mlflow.set_tracking_uri(uri)
    yield tracker


def test_a_built_in_scorer_scores(tracker: Tracker) -> None:
    score, fields = find_scorer(tracker, Scorer(name="ResponseLength", options={"max_length": 5}), "judge")
    assert score({"prompt": "q", "answer": "abc"}) == "yes"
    assert score({"prompt": "q", "answer": "abcdefgh", "target": "x"}) == "no"
    assert fields == {"scorer.mlflow_version": mlflow.__version__}
    with pytest.raises(SuiteError, match=r"judge\.options: [\s\S]*at least one of `min_length` or `max_length`"):
        find_scorer(tracker, Scorer(name="ResponseLength"), "judge")


def test_a_registered_scorer_is_known_by_its_content(tracker: Tracker) -> None:
    for instructions in ("Is {{ outputs }} polite? Say yes or no.", "Is {{ outputs }} kind? Say yes or no."):
        judge = make_judge(name="polite", instructions=instructions, model="openai:/none")
        judge.register(experiment_id=tracker.experiment_id)
        _, fields = find_scorer(tracker, Scorer(name="polite"), "judge")
        assert set(fields) == {"scorer.sha256"}
    first = find_scorer(tracker, Scorer(name="polite"), "judge")[1]
    assert first == fields
    with pytest.raises(SuiteError, match="polite is no built-in scorer"):
        find_scorer(tracker, Scorer(name="polite", options={"model": "x"}), "judge")
    with pytest.raises(SuiteError, match="none is registered in the experiment"):
        find_scorer(tracker, Scorer(name="nobody"), "judge")


def test_code_from_the_tracking_server_is_not_run(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SERVER_ENABLE_CUSTOM_SCORERS", "true")  # of a server that takes code

    @scorer
    def sneaky(outputs: str) -> float:
        return float(len(outputs))

    sneaky.register(experiment_id=tracker.experiment_id)
    with pytest.raises(SuiteError, match="sneaky is registered as code"):
        find_scorer(tracker, Scorer(name="sneaky"), "judge")
