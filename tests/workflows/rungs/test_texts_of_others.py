"""Tasks of free text, answered by an endpoint and by a registered model of another flavor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from mlbaseline import workflows
from mlbaseline.errors import DataError
from tests.support.ladders.cheap_ladder import CheapLadder
from tests.support.ladders.suites import fill, written_reviews_suite
from tests.support.models.rule_model import name_by_digest
from tests.support.processes.http_server import RecordingServer, Response, chat, completion, serve

LADDER = """
metrics: [METRICS]
seeds: [0, 1]
evaluation: {latency_sample: 2}
baselines:
  majority: {kind: trivial, strategy: majority}
  RUNGS
matrix: {primary: [{candidate: live, over: [majority]}]}
gates: {waive: {MLB102: "texts of an endpoint, there is no checkpoint"}}
"""
MODEL = """
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

class Writer(PythonModel):
    def predict(self, context, model_input, params=None):
        return [f"It is {'good' if text[-1] in '+*^!' else 'bad'}\\nIt is ugly" for text in model_input["text"]]

set_model(Writer())
"""


def write(cheap_ladder: CheapLadder, rungs: str, metrics: str = "exact_match", options: str = "") -> None:
    text = written_reviews_suite(fill(LADDER, rungs=rungs, metrics=metrics), options=f'extract: "good|bad"\n{options}')
    cheap_ladder.suite.write_text(text, encoding="utf-8")


def rows_of(cheap_ladder: CheapLadder, run_id: str) -> pd.DataFrame:
    path = mlflow.MlflowClient(cheap_ladder.uri).download_artifacts(run_id, "results/examples.parquet")
    return pd.read_parquet(path)


def signature_of(cheap_ladder: CheapLadder, run_id: str) -> dict[str, Any]:
    path = mlflow.MlflowClient(cheap_ladder.uri).download_artifacts(run_id, "results/signature.json")
    fields: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return fields


def endpoint(server: RecordingServer, protocol: str) -> str:
    return f"live: {{kind: production, endpoint: {{url: '{server.url}', protocol: {protocol}, retries: 0}}}}"


def right(prompt: str) -> str:
    return "good" if prompt[-2] in "+*^!" else "bad"


def test_completions_from_the_suite_to_the_verdict(cheap_ladder: CheapLadder) -> None:
    with serve(lambda body: completion(f" It is {right(body['prompt'])}\nIt is ugly")) as server:
        write(cheap_ladder, endpoint(server, "completions"))
        document = workflows.run(cheap_ladder.suite, tracking_uri=cheap_ladder.uri).document
        again = workflows.evaluate(cheap_ladder.suite, tracking_uri=cheap_ladder.uri).document["evaluations"]
    assert all(evaluation["reused"] for evaluation in again)
    assert len(server.requests) == 40
    assert (server.requests[0]["stop"], server.requests[0]["max_tokens"]) == (["\n"], 8)
    (live,) = (e for e in document["evaluations"] if e["baseline"] == "live")
    assert (live["seed"], live["metrics"]["exact_match"]) == (None, 1.0)
    rows = rows_of(cheap_ladder, live["run_id"])
    assert set(rows["raw"]) == {" It is good", " It is bad"}
    assert document["comparison"]["verdict"] == "promote"
    fields = signature_of(cheap_ladder, live["run_id"])
    assert (fields["generation.max_new_tokens"], fields["generation.extract"]) == (8, "good|bad")
    assert "model.choose_by" not in fields


def test_a_chat_draws_several_samples_in_a_run_per_seed(cheap_ladder: CheapLadder) -> None:
    def answer(body: Any) -> Response:
        system, asked = body["messages"]
        assert system == {"role": "system", "content": "Judge."}
        wrong = {"good": "bad", "bad": "good"}[right(asked["content"])]
        return chat(right(asked["content"]) if body["seed"] == 3 else wrong)

    options = "temperature: 0.7\nsamples: 2\nk: 2\nchat_template: true\nsystem: Judge."
    with serve(answer) as server:
        write(cheap_ladder, endpoint(server, "chat"), "exact_match, pass_at_k", options)
        found = workflows.evaluate(cheap_ladder.suite, kind="production", tracking_uri=cheap_ladder.uri).document[
            "evaluations"
        ]
    assert len(server.requests) == 40 * 2 * 2
    metrics = {e["seed"]: (e["metrics"]["exact_match"], e["metrics"]["pass_at_k"]) for e in found}
    assert metrics == {0: (0.0, 0.0), 1: (0.0, 1.0)}  # only the second sample of the second seed is right
    assert {body["seed"] for body in server.requests} == {0, 1, 2, 3}


def test_a_registered_model_of_another_flavor_writes(cheap_ladder: CheapLadder) -> None:
    register(cheap_ladder)
    write(cheap_ladder, "live: {kind: production, uri: 'models:/writer/1'}")
    name_by_digest(cheap_ladder, "models:/writer/1")
    document = workflows.run(cheap_ladder.suite, tracking_uri=cheap_ladder.uri).document
    (live,) = (e for e in document["evaluations"] if e["baseline"] == "live")
    assert live["metrics"]["exact_match"] == 1.0
    rows = rows_of(cheap_ladder, live["run_id"])
    assert set(rows["raw"]) == {"It is good", "It is bad"}
    fields = signature_of(cheap_ladder, live["run_id"])
    assert (fields["generation.max_new_tokens"], fields["generation.extract"]) == ("unknown", "good|bad")
    # What it draws, it draws again for every seed, and for every sample.
    write(cheap_ladder, "live: {kind: production, uri: 'models:/writer/1'}", options="temperature: 0.5\nsamples: 2")
    name_by_digest(cheap_ladder, "models:/writer/1")
    found = workflows.evaluate(cheap_ladder.suite, kind="production", tracking_uri=cheap_ladder.uri).document[
        "evaluations"
    ]
    assert [e["seed"] for e in found] == [0, 1]
    assert all(len(samples) == 2 for samples in rows_of(cheap_ladder, found[0]["run_id"])["samples"])


def test_nobody_elses_model_tells_the_likelihood_of_a_text(cheap_ladder: CheapLadder) -> None:
    register(cheap_ladder)
    rungs = fill(LADDER, rungs="live: {kind: production, uri: 'models:/writer/1'}", metrics="bits_per_byte")
    text = written_reviews_suite(rungs)
    head, tail = text.split("  stop:")
    head = head.replace("generate", "perplexity").replace(", target: label", "").replace('  prompt: "{text}:"\n', "")
    tail = tail[tail.index("metrics:") :].replace("majority}", "stratified}")
    cheap_ladder.suite.write_text(head + tail, encoding="utf-8")
    name_by_digest(cheap_ladder, "models:/writer/1")
    with pytest.raises(DataError, match="answers tasks of kind choice and generate, not perplexity"):
        workflows.evaluate(cheap_ladder.suite, kind="production", tracking_uri=cheap_ladder.uri)


def register(cheap_ladder: CheapLadder) -> None:
    code = cheap_ladder.folder / "writer.py"
    code.write_text(MODEL, encoding="utf-8")
    mlflow.set_tracking_uri(cheap_ladder.uri)
    mlflow.set_experiment("somebody-elses")
    with mlflow.start_run():
        mlflow.pyfunc.log_model(
            name="writer",
            python_model=str(code),
            pip_requirements=["mlflow"],
            signature=ModelSignature(Schema([ColSpec("string", "text")]), Schema([ColSpec("string")])),
            registered_model_name="writer",
        )


def test_a_pipeline_is_sent_the_prompt_and_writes_behind_it(cheap_ladder: CheapLadder, tiny_model: Path) -> None:
    from transformers import pipeline

    mlflow.set_tracking_uri(cheap_ladder.uri)
    mlflow.set_experiment("somebody-elses")
    with mlflow.start_run():
        mlflow.transformers.log_model(
            transformers_model=pipeline("text-generation", model=str(tiny_model), device="cpu"),
            model_config={"max_new_tokens": 4},
            name="pipeline",
            pip_requirements=["mlflow"],
            signature=ModelSignature(Schema([ColSpec("string")]), Schema([ColSpec("string")])),
            registered_model_name="pipeline",
        )
    write(cheap_ladder, "live: {kind: production, uri: 'models:/pipeline/1'}")
    name_by_digest(cheap_ladder, "models:/pipeline/1")
    cheap_ladder.suite.write_text(
        cheap_ladder.suite.read_text("utf-8").replace("good|bad", "(?s)^.*"), encoding="utf-8"
    )
    (live,) = workflows.evaluate(cheap_ladder.suite, kind="production", tracking_uri=cheap_ladder.uri).document[
        "evaluations"
    ]
    rows = rows_of(cheap_ladder, live["run_id"])
    assert rows["error"].isna().all()
    prompts = {example.id: f"{example.fields['text']}:" for example in cheap_ladder.test_data().examples}
    written = rows.set_index("example_id")["raw"]
    assert written.str.len().between(1, 60).all()
    assert not [id for id, text in written.items() if text.startswith(prompts[str(id)])]  # the pipeline repeats it
    assert signature_of(cheap_ladder, live["run_id"])["prompt.template"] == "{text}:"
