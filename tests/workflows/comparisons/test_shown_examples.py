"""Rows of rungs as MLflow traces and as an evaluation dataset: the same examples for every rung, each once."""

from __future__ import annotations

import mlflow

from mlbaseline import workflows
from mlbaseline.store.example_traces import EXAMPLE_ID, EXPECTED
from mlbaseline.suite.reading import load_suite
from tests.support.ladders.cheap_ladder import CheapLadder


def traces_of(ladder: CheapLadder, run_id: str) -> dict[str, mlflow.entities.Trace]:
    found = mlflow.MlflowClient(ladder.uri).search_traces(
        locations=[ladder.run(run_id).info.experiment_id],
        filter_string=f"request_metadata.`mlflow.sourceRun` = '{run_id}'",
        include_spans=False,
        max_results=500,
    )
    return {trace.info.tags[EXAMPLE_ID]: trace for trace in found}


def test_rows_of_every_rung_are_traces_once(cheap_ladder: CheapLadder) -> None:
    ladder = cheap_ladder
    ladder.write("rule: {kind: production, recorded: {path: rule.csv}}", candidate="rule")
    answers = ladder.answers(lambda position: position % 3 > 0).assign(latency_s=0.25)
    answers.to_csv(ladder.folder / "rule.csv", index=False)
    without = load_suite(ladder.suite)
    runs = workflows.run(ladder.suite, tracking_uri=ladder.uri).document["evaluations"]
    assert not any(traces_of(ladder, run["run_id"]) for run in runs)

    ladder.suite.write_text(f"{ladder.suite.read_text(encoding='utf-8')}\ntraces: 12\n", encoding="utf-8")
    assert load_suite(ladder.suite).digest == without.digest
    for _ in range(2):  # a second comparison adds nothing
        workflows.compare(ladder.suite, tracking_uri=ladder.uri)
        shown = {run["baseline"]: traces_of(ladder, run["run_id"]) for run in runs}
        assert len(shown["rule"]) == 12
        assert shown["rule"].keys() == shown["majority"].keys()
    by_id = answers.set_index("example_id")
    examples = {example.id: example for example in ladder.test_data().examples}
    for id, trace in shown["rule"].items():
        held = {one.name: (one.feedback or one.expectation).value for one in trace.info.assessments}
        right = by_id.loc[id, "prediction"] == examples[id].target
        assert held == {"accuracy": right, EXPECTED: examples[id].target}
        assert trace.info.response_preview == by_id.loc[id, "prediction"]
        assert examples[id].fields["text"] in trace.info.request_preview
        assert trace.info.execution_duration == 250

    experiment = ladder.run(runs[0]["run_id"]).info.experiment_id
    (dataset,) = mlflow.MlflowClient(ladder.uri).search_datasets(experiment_ids=[experiment])
    assert {record.tags[EXAMPLE_ID] for record in dataset.records} == set(shown["rule"])


def test_an_interrupted_log_is_completed(cheap_ladder: CheapLadder) -> None:
    cheap_ladder.write("rule: {kind: production, recorded: {path: rule.csv}}", candidate="rule")
    cheap_ladder.answers(lambda position: position % 2 > 0).to_csv(cheap_ladder.folder / "rule.csv", index=False)
    text = cheap_ladder.suite.read_text(encoding="utf-8")
    for n in (3, 7):
        cheap_ladder.suite.write_text(f"{text}\ntraces: {n}\n", encoding="utf-8")
        run = workflows.run(cheap_ladder.suite, tracking_uri=cheap_ladder.uri).document["evaluations"][0]["run_id"]
        traces = traces_of(cheap_ladder, run)
        assert len(traces) == n
        assert all(len(trace.info.assessments) == 2 for trace in traces.values())
