"""The whole way of a suite, as a user walks it, and what is left where it is cut short."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from xml.etree import ElementTree as ET

import mlflow
import pandas as pd
import pytest

from tests.support.checkout import ROOT
from tests.support.ladders.workplace import ENVIRONMENT, Workplace

CONTRACT_COLUMNS = [
    *("candidate", "baseline", "metric", "slice", "slice_value", "role", "estimand", "n", "n_clusters"),
    *("n_seeds_candidate", "n_seeds_baseline", "candidate_mean", "baseline_mean", "delta", "low", "high", "level"),
    *("simultaneous_low", "simultaneous_high", "effect_size", "p_value", "p_adjusted", "gained", "lost", "mde"),
    *("margin", "method", "outcome", "registered", "caution"),
    *("n_labels", "effective_labels", "undecided"),
    *("effective_n", "plain_delta", "plain_low", "plain_high"),
]
MEASURED = [
    *("accuracy", "macro_f1", "nll_nats", "ece", "latency_p50_s", "latency_p95_s", "examples_per_s", "tokens_per_s"),
    *("cost_per_query_usd", "peak_memory_bytes", "error_rate", "train_s", "train_cost_usd", "trainable_params"),
    *("latency_p99_s", "interval/cost_per_query_usd_low", "interval/cost_per_query_usd_high"),
    *("dev/accuracy", "slice/topic/food/accuracy"),
]


def test_the_whole_way(workplace: Workplace) -> None:
    """One long test, because the ladder takes a while and everything after it only looks. All seven kinds are in it."""
    document = workplace.document("run", str(workplace.suite))
    client = mlflow.MlflowClient(workplace.uri)
    experiment = client.get_experiment_by_name("reviews")
    assert experiment is not None
    runs = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id], max_results=100)}
    kinds = pd.Series([run.data.tags["mlbaseline.kind"] for run in runs.values()]).value_counts().to_dict()
    assert kinds == {"ladder": 1, "evaluation": 11, "comparison": 1, "promotion": 1}
    assert {run.data.tags["mlbaseline.status"] for run in runs.values()} == {"completed"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    _check_evaluations(client, runs, document)
    _check_comparison(client, document["comparison"])
    _check_registry(client, document)
    _check_notebook(workplace)
    _check_later_commands(workplace, document)


def _check_evaluations(client: mlflow.MlflowClient, runs: dict, document: dict) -> None:
    by_rung = {(e["baseline"], e["seed"]): runs[e["run_id"]] for e in document["evaluations"]}
    assert set(by_rung) == {
        *((name, None) for name in ("majority", "zero_shot", "few_shot", "annotator", "paper")),
        *((name, seed) for name in ("uniform", "lora", "full") for seed in (0, 1)),
    }
    lora = by_rung["lora", 0]
    for tag in ("suite_digest", "matrix_digest", "task_digest", "signature_digest"):
        assert len(lora.data.tags[f"mlbaseline.{tag}"]) == 64
    assert lora.data.tags["mlflow.parentRunId"] == document["ladder_run_id"]
    assert set(MEASURED) <= set(lora.data.metrics)
    for prefix in ("baseline.", "evaluation.", "hardware.", "software.", "distributed."):
        assert any(name.startswith(prefix) for name in lora.data.params), prefix
    assert lora.inputs.dataset_inputs[0].dataset.name == "reviews-test"
    rows = pd.read_parquet(client.download_artifacts(lora.info.run_id, "results/examples.parquet"))
    assert len(rows) == 120
    assert rows["score.accuracy"].mean() == pytest.approx(lora.data.metrics["accuracy"])
    assert {"loglik_nats.bad", "loglik_nats.good", "slice.topic", "latency_s", "error"} <= set(rows)


def _check_comparison(client: mlflow.MlflowClient, comparison: dict) -> None:
    run_id = comparison["comparison_run_id"]
    assert comparison["verdict"] == "promote"
    rows = pd.read_parquet(client.download_artifacts(run_id, "comparison/comparisons.parquet"))
    assert list(rows) == CONTRACT_COLUMNS
    primary = rows[(rows["role"] == "primary") & (rows["estimand"] == "checkpoint")]
    assert len(primary) == 4
    assert (primary["simultaneous_low"] <= primary["low"]).all()
    assert (primary["p_adjusted"] >= primary["p_value"]).all()
    guardrails = rows[(rows["role"] == "guardrail") & (rows["estimand"] == "checkpoint")]
    assert guardrails["slice_value"].fillna("overall").tolist() == ["overall", "food", "other"]
    recipe = rows[(rows["role"] == "primary") & (rows["estimand"] == "recipe")]
    assert set(recipe["n_seeds_candidate"]) == {2}
    annotated = rows[rows["baseline"] == "annotator"]
    assert (annotated["n"] < 120).all()  # without recorded agreement there is no score, on either side
    run = client.get_run(run_id)
    assert run.data.tags["mlbaseline.verdict"] == "promote"
    assert (run.data.tags["mlbaseline.registered"], run.data.tags["mlbaseline.test_looks"]) == ("before", "1")
    low = run.data.metrics["delta/lora-vs-majority/accuracy/low"]
    assert 0 < low < run.data.metrics["delta/lora-vs-majority/accuracy"]
    pairs = [(row["fine_tune"], row["prompt"]) for row in comparison["break_even"]]
    assert pairs == [("lora", "few_shot"), ("full", "few_shot")]
    assert all(row["train_usd"] > 0 and row["fine_tune_usd_per_query"] > 0 for row in comparison["break_even"])
    fronts = {front["axis"]: {p["baseline"]: p for p in front["points"]} for front in comparison["fronts"]}
    assert set(fronts) == {"usd_per_query", "latency_p95_s", "peak_memory_bytes", "trainable_params"}
    assert all(0 <= point["probability"] <= 1 for point in fronts["latency_p95_s"].values() if point["x"] is not None)
    assert fronts["usd_per_query"]["annotator"]["reason"] == "no price"
    assert fronts["trainable_params"]["lora"]["x"] > 0 == fronts["trainable_params"]["zero_shot"]["x"]
    audited = {finding["code"]: finding["outcome"] for finding in comparison["audit"]}
    failed = {code for code, outcome in audited.items() if outcome == "fail"}
    # Two seeds, margin 0, a random model that gives one answer to everything; the last two tell of a busy machine.
    assert failed - {"MLB205", "MLB206"} == {"MLB201", "MLB302", "MLB306"}
    names = {item.path for item in client.list_artifacts(run_id, "comparison")}
    assert {f"comparison/{name}" for name in ("comparisons.json", "findings.json", "report.html", "report.md")} <= names
    assert client.list_artifacts(run_id, "comparison/plots")


def _check_registry(client: mlflow.MlflowClient, document: dict) -> None:
    version = client.get_model_version_by_alias("reviews-label", "champion")
    winner, seed = document["comparison"]["winner"], document["comparison"]["winner_seed"]
    chosen = next(e for e in document["evaluations"] if (e["baseline"], e["seed"]) == (winner, seed))
    assert version.tags["mlbaseline.evaluation_run_id"] == chosen["run_id"]
    assert version.tags["mlbaseline.comparison_run_id"] == document["comparison"]["comparison_run_id"]
    assert version.tags["mlbaseline.delta.majority.accuracy"].startswith("+")
    assert len(version.tags["mlbaseline.baseline.lora.run_ids"].split(",")) == 2


def _check_notebook(workplace: Workplace) -> None:
    """The notebook's code runs on any ladder, as one script."""
    notebook = ROOT / "notebooks" / "look_into_a_ladder.ipynb"
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    environment = {
        **os.environ,
        **ENVIRONMENT,
        "MLFLOW_TRACKING_URI": workplace.uri,
        "MLBASELINE_EXPERIMENT": "reviews",
    }
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "over zero_shot where the majority class is wrong" in done.stdout


def _check_later_commands(workplace: Workplace, document: dict) -> None:
    suite, run_id = str(workplace.suite), document["comparison"]["comparison_run_id"]
    again = workplace.command("run", suite)
    assert again.stderr.count("reused, run") == 11
    assert "champion: evaluating" in again.stderr  # by now there is one
    assert "Champion of reviews-label: version 1" in again.stdout
    fewer = workplace.document("evaluate", suite, "--baseline", "uniform", "--seed", "1", "--fresh")
    assert [(e["baseline"], e["seed"], e["reused"]) for e in fewer["evaluations"]] == [("uniform", 1, False)]
    assert workplace.document("gate", suite)["verdict"] == "promote"
    _check_gate_formats(workplace, suite)
    assert workplace.document("promote", suite, "--comparison", run_id, "--dry-run")["dry_run"] is True
    workplace.command("report", run_id, "-o", "out/report.html", "--suite", suite)
    assert "<table" in (workplace.folder / "out/report.html").read_text(encoding="utf-8")
    for shown in ((suite,), (suite, "--comparison", run_id)):
        assert workplace.document("report", *shown, "-o", "out/of_suite.md")["comparison_run_id"]
    plans = workplace.document("power", suite, "--candidate", "lora", "--baseline", "majority", "--delta", "0.05")[
        "plans"
    ]
    assert {plan["estimand"] for plan in plans} == {"checkpoint", "recipe"}
    assert all(plan["needed"] is None or plan["needed"] > 120 for plan in plans)
    few = ("--simulate", "--simulations", "20", "--times", "1")
    simulated = workplace.document("power", suite, *few, "--baseline", "majority", "--delta", "0.0")
    assert simulated["truth"]["improvement"] == pytest.approx(0.0, abs=1e-6)
    (size,) = simulated["simulated"]
    shares = [size[name]["share"] for name in ("promote", "hold", "inconclusive")]
    assert size["n"] == 120 and sum(shares) == pytest.approx(1)
    stated = f"superiority: {simulated['truth']['candidate']} over majority"
    assert size["asked"][stated].get("pass", 0.0) <= 0.3  # nothing is better than the majority by nothing
    said = workplace.command("power", suite, *few).stdout
    assert "simulated tests of each size" in said and "as observed" in said
    refused = workplace.command("power", suite, *few, "--delta", "5", expect=1)
    assert "choose one between" in refused.stderr
    lineage = workplace.document("lineage", "reviews-label")
    assert (lineage["complete"], lineage["missing"]) == (True, [])
    assert lineage["versions"][0]["comparison"]["run_id"] == run_id
    assert "Every link holds." in workplace.command("lineage", "reviews-label", "--version", "1").stdout
    workplace.command("rollback", "reviews-label", expect=1)  # there is no version before the first
    workplace.edit("margin: -0.3", "margin: -0.2")
    changed = workplace.command("gate", suite, expect=5)
    assert "judged by other rules" in changed.stderr
    workplace.edit("gates: {", "gates: {confirmatory: true, ")
    late = workplace.document("compare", suite)
    assert (late["verdict"], late["registration"]["status"]) == ("hold", "after")
    assert late["registration"]["test_looks"] == 3  # the first run, the second, and this one
    assert "registered after the first evaluation" in late["reason"]


def _check_gate_formats(workplace: Workplace, suite: str) -> None:
    assert json.loads(workplace.command("gate", suite, "--format", "json").stdout)["verdict"] == "promote"
    written = workplace.command("gate", suite, "--format", "junit", "-o", "out/gate.xml")
    assert "Gate: out/gate.xml" in written.stdout
    cases = ET.parse(workplace.folder / "out/gate.xml").getroot().findall("testsuite/testcase")
    assert len(cases) == len({case.attrib["name"] for case in cases}) > 4
    assert workplace.command("gate", suite, "--format", "markdown").stdout.startswith(
        "# Keep"
    )  # the second run: champion already
    workplace.command("gate", suite, "--format", "pdf", expect=2)


def test_rules_that_do_not_hold_hold_the_promotion(workplace: Workplace) -> None:
    workplace.edit("max_error_rate: 0.0", "max_error_rate: 0.0, peak_memory_bytes: 1000")
    suite = str(workplace.suite)
    held = workplace.document(
        "run",
        suite,
        "--baseline",
        "majority",
        "--baseline",
        "zero_shot",
        "--baseline",
        "lora",
        "--baseline",
        "full",
        expect=3,
    )
    assert held["comparison"]["verdict"] == "hold"
    assert held["promotion"] is None
    assert mlflow.MlflowClient(workplace.uri).search_registered_models() == []


def test_compare_refuses_other_data(workplace: Workplace) -> None:
    suite = str(workplace.suite)
    workplace.edit("candidate: full, over: [majority, zero_shot]", "candidate: uniform, over: [majority]")
    workplace.edit("candidate: lora, over: [majority, zero_shot]", "candidate: uniform, over: [zero_shot]")
    workplace.edit(
        "candidate: lora, over: [majority, champion], slices: [topic], margin: -0.3",
        "candidate: uniform, over: [majority], margin: -0.9",
    )
    workplace.command("evaluate", suite, "--kind", "trivial")
    missing = workplace.command("compare", suite, expect=1)
    assert "the matrix compares zero_shot, but no completed evaluation" in missing.stderr
    workplace.edit("seed: 1}", "seed: 2}")
    workplace.command("evaluate", suite, "--baseline", "zero_shot")
    held = workplace.document("compare", suite)
    assert held["verdict"] == "hold"
    assert "uniform has no run that the suite would make now" in held["reason"]
    workplace.edit("zero_shot: {kind: pretrained,", "zero_shot: {kind: pretrained, shots: 1,")
    changed = workplace.command("compare", suite, expect=5)
    assert "no run is one that the suite would make now" in changed.stderr
    assert "baseline.shots.k" in changed.stderr


def test_a_killed_ladder_keeps_what_is_complete_and_goes_on(workplace: Workplace) -> None:
    suite = str(workplace.suite)
    process = subprocess.Popen(
        [sys.executable, "-m", "mlbaseline", "run", suite],
        cwd=workplace.folder,
        env={**os.environ, **ENVIRONMENT, "MLBASELINE_CACHE": str(workplace.folder / "cache")},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stderr is not None
        for line in process.stderr:
            if "lora (seed 0): evaluating" in line:
                break
        time.sleep(2.0)
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert process.returncode == 1
    assert "interrupted; what is complete is kept" in rest
    client = mlflow.MlflowClient(workplace.uri)
    experiment = client.get_experiment_by_name("reviews")
    assert experiment is not None
    statuses = [run.info.status for run in client.search_runs([experiment.experiment_id], max_results=50)]
    assert "RUNNING" not in statuses
    assert "KILLED" in statuses
    done = workplace.command("evaluate", suite, "--kind", "trivial")
    assert done.stderr.count("reused, run") == 3


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["evaluate", "SUITE", "--baseline", "nothing"], 1, "unknown baseline 'nothing'; reviews has: majority"),
        (["evaluate", "SUITE", "--baseline", "majorty"], 1, "; did you mean 'majority'?"),
        (["evaluate", "SUITE", "--kind", "nothing"], 1, "unknown kind 'nothing'"),
        (["evaluate", "SUITE", "--kind", "trivail"], 1, "external, human; did you mean 'trivial'?"),
        (["evaluate", "SUITE", "--seed", "7"], 1, "7 is not among the suite's seeds [0, 1]"),
        (["compare", "SUITE"], 1, "mlflow.db: no completed evaluation of 'reviews'. Run"),
        (["power", "SUITE"], 1, "`--discordance SHARE` plans without any run"),
        (["gate", "SUITE"], 1, "no completed comparison"),
        (["report", "SUITE", "-o", "x.pdf"], 1, "ends in .html or .md"),
        (["run", "SUITE", "--nonsense"], 2, "No such option"),
        (["run", "no-such-suite"], 1, "no packaged suite of that name"),
    ],
)
def test_bad_input(workplace: Workplace, arguments: list[str], code: int, message: str) -> None:
    shown = [str(workplace.suite) if argument == "SUITE" else argument for argument in arguments]
    failed = workplace.command(*shown, expect=code)
    assert message in failed.stderr
    assert "Traceback" not in failed.stderr


def test_unreachable_server_is_said_at_once(workplace: Workplace) -> None:
    started = time.monotonic()
    failed = workplace.command("run", str(workplace.suite), "--tracking-uri", "http://127.0.0.1:9", expect=1)
    assert "http://127.0.0.1:9: could not reach the tracking server" in failed.stderr
    assert time.monotonic() - started < 90


def test_doctor_and_schema(workplace: Workplace) -> None:
    healthy = workplace.document("doctor", str(workplace.suite))
    assert healthy["healthy"] is True
    assert {"device", "precision", "tracking server", "data", "model of zero_shot", "price"} <= {
        check["name"] for check in healthy["checks"]
    }
    workplace.edit("cpu: 0.10", "tpu: 0.10")
    (workplace.folder / "reviews.csv").unlink()
    sick = workplace.document("doctor", str(workplace.suite), expect=1)
    assert {check["name"] for check in sick["checks"] if check["outcome"] == "fail"} == {"data", "price"}
    schema = json.loads(workplace.command("schema").stdout)
    assert "baselines" in schema["properties"]
