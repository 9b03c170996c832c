"""What MLflow's own evaluations leave on a real store: a table of results, traces with assessments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copy
from typing import Any

import mlflow
import pandas as pd
import pytest

from mlbaseline.errors import DataError, TrackingError
from mlbaseline.store import Server, reach, read_mlflow_results


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("mlflow")
    copy(empty_database, folder / "mlflow.db")
    server = reach(f"sqlite:///{folder}/mlflow.db")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(server.uri)
    mlflow.create_experiment("others", artifact_location=str(folder / "artifacts"))
    mlflow.set_experiment("others")
    yield server
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def evaluated(server: Server) -> str:
    """Run of `mlflow.evaluate` over answers that were there already."""
    right = mlflow.models.make_metric(
        eval_fn=lambda predictions, targets, metrics: mlflow.metrics.MetricValue(
            scores=[float(p == t) for p, t in zip(predictions, targets, strict=True)]
        ),
        greater_is_better=True,
        name="right",
    )
    frame = pd.DataFrame({"inputs": ["q0", "q1"], "truth": ["a", "b"], "predictions": ["a", "c"], "key": ["e0", "e1"]})
    with mlflow.start_run() as run:
        mlflow.models.evaluate(data=frame, targets="truth", predictions="predictions", extra_metrics=[right])
    return str(run.info.run_id)


@pytest.fixture(scope="module")
def judged(server: Server) -> str:
    """Run of `mlflow.genai.evaluate`: one trace right, one wrong, one failed; one judge that fails, one overruled."""

    @mlflow.genai.scorer
    def correct(outputs: Any, expectations: dict[str, Any]) -> bool:
        return bool(outputs == expectations["expected_response"])

    @mlflow.genai.scorer
    def judge(outputs: Any) -> str:
        if outputs == "c":
            raise RuntimeError("the judge broke")
        return "yes"

    def predict(question: str, key: str) -> str:
        if question == "q2":
            raise RuntimeError("the model broke")
        return {"q0": "a", "q1": "c"}[question]

    data = [
        {"inputs": {"question": f"q{i}", "key": f"e{i}"}, "expectations": {"expected_response": "a"}} for i in range(3)
    ]
    run_id = str(mlflow.genai.evaluate(data=data, predict_fn=predict, scorers=[correct, judge]).run_id)
    for trace in server.client.search_traces(locations=_experiment(server), run_id=run_id):
        if trace.info.request_preview and '"q0"' in trace.info.request_preview:
            mlflow.log_feedback(trace_id=trace.info.trace_id, name="judge", value="no")
    return run_id


def _experiment(server: Server) -> list[str]:
    return [server.client.get_experiment_by_name("others").experiment_id]


def test_the_table_of_an_evaluation(server: Server, evaluated: str) -> None:
    results = read_mlflow_results(server, evaluated)
    assert [(said.text, said.scores) for said in results.answers] == [("a", {"right": 1.0}), ("c", {"right": 0.0})]
    assert [said.fields["key"] for said in results.answers] == ["e0", "e1"]
    assert results.known == {"model.mlflow_run_id": evaluated}


def test_traces_with_assessments(server: Server, judged: str) -> None:
    said = {one.fields["key"]: one for one in read_mlflow_results(server, judged).answers}
    assert {key: one.text for key, one in said.items()} == {"e0": "a", "e1": "c", "e2": None}
    assert said["e0"].scores == {"correct": True, "judge": "no"}  # the later word counts
    assert said["e1"].scores == {"correct": False, "judge": None}  # a judge that failed has said nothing
    assert "the model broke" in str(said["e2"].error)
    assert said["e0"].columns["latency_s"] >= 0


def test_traces_that_two_runs_have_scored(server: Server, judged: str) -> None:
    @mlflow.genai.scorer
    def correct(outputs: Any) -> bool:
        return False

    traces = mlflow.search_traces(run_id=judged, locations=_experiment(server), return_type="list")
    again = str(mlflow.genai.evaluate(data=[{"trace": trace} for trace in traces], scorers=[correct]).run_id)
    scores = {
        run_id: {one.fields["key"]: one.scores["correct"] for one in read_mlflow_results(server, run_id).answers}
        for run_id in (judged, again)
    }
    assert (scores[judged]["e0"], scores[again]["e0"]) == (True, False)


def test_answers_that_were_there_already_have_no_latency(server: Server) -> None:
    @mlflow.genai.scorer
    def short(outputs: Any) -> float:
        return 1.0 / len(outputs)

    data = [{"inputs": {"question": "q", "key": "e0"}, "outputs": "yes!"}]
    (answer,) = read_mlflow_results(server, str(mlflow.genai.evaluate(data=data, scorers=[short]).run_id)).answers
    assert (answer.text, answer.scores, answer.columns["latency_s"]) == ("yes!", {"short": 0.25}, None)


def test_a_run_that_holds_neither_and_one_that_is_not_there(server: Server) -> None:
    with mlflow.start_run() as run:
        pass
    with pytest.raises(DataError, match=r"has neither eval_results_table\.json, .* nor traces"):
        read_mlflow_results(server, run.info.run_id)
    with pytest.raises(TrackingError, match="read the run nothing"):
        read_mlflow_results(server, "nothing")


def test_a_table_of_another_shape(server: Server) -> None:
    with mlflow.start_run() as run:
        mlflow.log_dict({"rows": []}, "eval_results_table.json")
    with pytest.raises(DataError, match="expected an object with `columns` and `data`"):
        read_mlflow_results(server, run.info.run_id)
    with mlflow.start_run() as run:
        mlflow.log_dict({"columns": ["x"], "data": [[1]]}, "eval_results_table.json")
    with pytest.raises(DataError, match="neither a column of answers"):
        read_mlflow_results(server, run.info.run_id)
