"""Tasks of free text and of whole texts, from the suite file to the served winner."""

from __future__ import annotations

import math

import mlflow
import pandas as pd

from tests.support.ladders.workplace import Workplace

HEAD = """
name: {name}
register_as: {name}-model
task:
  kind: {kind}
  data: {{source: reviews.csv}}
  split: {{train: 96, dev: 32, test: 100, seed: 1}}
  slices:
    topic: {{column: review, patterns: {{food: soup|bread|cheese}}, default: other}}
"""
TAIL = """
seeds: [0, 1]
evaluation: {batch_tokens: 1024, max_length: 64, latency_sample: 2}
cost: {usd_per_hour: {cpu: 0.10}, queries: 1000}
gates: {min_seeds: 2, max_error_rate: 0.0}
"""
GENERATE = """
  columns: {text: review, target: label}
  prompt: "{text}:"
  stop: ["\\n"]
  max_new_tokens: 8
  extract: "\\\\w+"
metrics: [exact_match, chrf]
baselines:
  majority: {kind: trivial, strategy: majority}
  zero_shot: {kind: pretrained, model: {source: MODEL}, shots: 1}
  full: {kind: full, base: zero_shot, epochs: 8, learning_rate: 3.0e-3, batch_size: 8}
  said: {kind: production, recorded: {path: said.csv}}
matrix:
  primary: [{candidate: full, over: [majority, zero_shot], margin: 0.1}]
  guardrails: [{candidate: full, over: [zero_shot], metric: chrf, slices: [topic], margin: -5}]
"""
PERPLEXITY = """
  columns: {text: review}
metrics: [bits_per_byte, token_perplexity]
baselines:
  frequencies: {kind: trivial, strategy: stratified}
  zero_shot: {kind: pretrained, model: {source: MODEL}}
  full: {kind: full, base: zero_shot, epochs: 5, learning_rate: 5.0e-3, batch_size: 8}
matrix:
  primary: [{candidate: full, over: [frequencies, zero_shot], margin: 0.1}]
"""


def write(workplace: Workplace, kind: str, body: str) -> None:
    model = next(line for line in workplace.suite.read_text("utf-8").splitlines() if "source: /" in line)
    model = model.split("source: ")[1].split("}")[0]
    text = HEAD.format(name=kind, kind=kind).rstrip() + body.rstrip() + TAIL
    workplace.suite.write_text(text.replace("MODEL", model), encoding="utf-8")


def test_generation_from_suite_to_served_model(workplace: Workplace) -> None:
    write(workplace, "generate", GENERATE)
    sheet = workplace.folder / "items.csv"
    workplace.command("export", str(workplace.suite), "-o", str(sheet))
    items = pd.read_csv(sheet)
    items.assign(prediction="Good.")[["example_id", "prediction"]].to_csv(workplace.folder / "said.csv", index=False)
    document = workplace.document("run", str(workplace.suite))
    runs = {(e["baseline"], e["seed"]): e for e in document["evaluations"]}
    assert {name for name, _ in runs} == {"majority", "zero_shot", "full", "said"}
    assert 0.3 < runs["said", None]["metrics"]["exact_match"] < 0.7
    assert document["comparison"]["verdict"] == "promote"
    contrasts = {(row["metric"], row["role"]) for row in document["comparison"]["comparisons"]}
    assert {("exact_match", "primary"), ("chrf", "guardrail")} <= contrasts

    client = mlflow.MlflowClient(workplace.uri)
    run_id = runs["full", 0]["run_id"]
    rows = pd.read_parquet(client.download_artifacts(run_id, "results/examples.parquet"))
    assert {"score.exact_match", "raw", "tokens_out"} <= set(rows)
    assert (rows["tokens_out"] < 8).all()  # it learnt where to stop
    assert "dev/nll_nats" in client.get_run(run_id).data.metrics
    again = workplace.document("evaluate", str(workplace.suite))
    assert all(evaluation["reused"] for evaluation in again["evaluations"])

    mlflow.set_tracking_uri(workplace.uri)
    served = mlflow.pyfunc.load_model("models:/generate-model@champion")
    winner = runs["full", document["comparison"]["winner_seed"]]["run_id"]
    rows = pd.read_parquet(client.download_artifacts(winner, "results/examples.parquet")).set_index("example_id")
    asked = items.sample(8, random_state=1)
    said = served.predict(asked[["text"]])
    assert list(said["text"]) == list(rows.loc[asked["example_id"], "prediction"])
    assert said["error"].isna().all()
    assert list(said["raw"]) == list(rows.loc[asked["example_id"], "raw"])  # for whoever extracts by rules of their own


def test_perplexity_from_suite_to_served_model(workplace: Workplace) -> None:
    write(workplace, "perplexity", PERPLEXITY)
    document = workplace.document("run", str(workplace.suite))
    metrics = {e["baseline"]: e["metrics"] for e in document["evaluations"]}
    assert metrics["full"]["bits_per_byte"] < metrics["frequencies"]["bits_per_byte"] < 8
    assert "token_perplexity" not in metrics["frequencies"]
    assert document["comparison"]["verdict"] == "promote"
    report = workplace.folder / "report.md"
    workplace.command("report", document["comparison"]["comparison_run_id"], "-o", str(report))
    assert "bits_per_byte" in report.read_text("utf-8")

    mlflow.set_tracking_uri(workplace.uri)
    served = mlflow.pyfunc.load_model("models:/perplexity-model@champion")
    likely, unlikely = served.predict(pd.DataFrame({"text": ["the soup today +", "zqx vw jk"]}))["nats"]
    assert 0 < likely < unlikely < 9 * math.log(256) * 3
