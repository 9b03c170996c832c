"""Answers from other tools become evaluations: lm-eval's own run of the same model says the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlbaseline import workflows
from mlbaseline.assets import fetch
from mlbaseline.cli import cli
from mlbaseline.errors import DataError, SuiteError
from mlbaseline.store import connect, find_evaluations, load_tables
from mlbaseline.suite.reading import load_suite
from mlbaseline.tasks import load_task
from mlbaseline.workflows.evaluations.importing import FORMATS
from tests.support.ladders.cheap_ladder import CheapLadder
from tests.support.ladders.workplace import ENVIRONMENT

SUITE = """
name: harness
task:
  kind: choice
  data: {test: data.jsonl}
  columns: {text: review, target: label}
  prompt: "Review: {text}\\nLabel:"
  choices: [bad, wonderful thing]
metrics: [accuracy, nll_nats]
evaluation: {max_length: 128, latency_sample: 0, precision: fp32}
baselines:
  ours: {kind: pretrained, model: {source: MODEL}}
  theirs: {kind: pretrained, model: {source: MODEL}}
"""
TASK = """
task: reviews
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: multiple_choice
doc_to_text: "Review: {{review}}\\nLabel:"
doc_to_target: label
doc_to_choice: [bad, wonderful thing]
metric_list: [{metric: acc}]
"""


def run_harness(folder: Path, model: Path) -> None:
    (folder / "tasks").mkdir()
    (folder / "tasks" / "reviews.yaml").write_text(TASK.replace("DATA", str(folder / "data.jsonl")), encoding="utf-8")
    command = ["run", "--model", "hf", "--model_args", f"pretrained={model},dtype=float32"]
    command += ["--tasks", "reviews", "--device", "cpu"]
    command += ["--include_path", str(folder / "tasks"), "--output_path", str(folder / "out"), "--log_samples"]
    environment = {**os.environ, **ENVIRONMENT, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
    done = subprocess.run(
        [sys.executable, "-m", "lm_eval", *command], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_same_items_through_the_harness_and_through_us(cheap_ladder: CheapLadder, tiny_model: Path) -> None:
    """The harness as a user starts it, in fp32; tests of its tasks (`test_lm_eval_tasks`) compare in bf16, too."""
    rows = [
        {"review": f"{opening} {thing}", "label": label}
        for thing in ("soup", "bread", "bus", "room", "lamp", "park", "hotel", "chair")
        for opening, label in (("what a poor", "bad"), ("I love the", "wonderful thing"), ("so nice, this", "bad"))
    ]
    (cheap_ladder.folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    cheap_ladder.suite.write_text(SUITE.replace("MODEL", str(tiny_model)), encoding="utf-8")
    run_harness(cheap_ladder.folder, tiny_model)
    workflows.evaluate(cheap_ladder.suite, baselines=["ours"], tracking_uri=cheap_ladder.uri)
    imported = workflows.import_results(
        "lm-eval", cheap_ladder.folder / "out", cheap_ladder.suite, baseline="theirs", tracking_uri=cheap_ladder.uri
    )
    tracker = connect(cheap_ladder.uri, "harness")
    theirs, ours = load_tables(tracker, find_evaluations(tracker), cache=cheap_ladder.folder / "tables")
    assert (theirs.baseline, ours.baseline) == ("theirs", "ours")
    assert theirs.frame["prediction"].tolist() == ours.frame["prediction"].tolist()
    assert theirs.frame["score.accuracy"].tolist() == ours.frame["score.accuracy"].tolist()
    labels = ("bad", "wonderful thing")
    np.testing.assert_allclose(theirs.logliks(labels), ours.logliks(labels), atol=1e-3)
    (results,) = (cheap_ladder.folder / "out").rglob("results_*.json")
    reported = json.loads(results.read_text(encoding="utf-8"))["results"]["reviews"]["acc,none"]
    (evaluation,) = imported.document["evaluations"]
    assert evaluation["metrics"]["accuracy"] == pytest.approx(reported)
    assert theirs.signature.fields["engine.version"].startswith("lm-eval 0.4.")
    assert theirs.signature.fields["engine.precision"] == ours.signature.fields["engine.precision"] == "fp32"
    # Its samples hold the prompts, and they are the suite's.
    assert theirs.signature.fields["prompt.template"] == "Review: {text}\nLabel:"
    params = cheap_ladder.run(evaluation["run_id"]).data.params
    assert params["imported.format"] == "lm-eval"
    assert params["imported.file"].startswith("samples_reviews_")


@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl", "parquet"])
def test_a_table_of_answers(cheap_ladder: CheapLadder, format: str) -> None:
    answers, file = cheap_ladder.answers(lambda position: position > 30), cheap_ladder.folder / "answers"
    match format:
        case "parquet":
            answers.to_parquet(file)
        case "jsonl":
            answers.to_json(file, orient="records", lines=True)
        case _:
            answers.to_csv(file, index=False, sep="\t" if format == "tsv" else ",")
    cheap_ladder.write("rule: {kind: trivial, strategy: keyword, rules: {good: x}, default: bad}", candidate="rule")
    workflows.evaluate(cheap_ladder.suite, tracking_uri=cheap_ladder.uri)
    first, again = (
        workflows.import_results(format, file, cheap_ladder.suite, baseline="rule", tracking_uri=cheap_ladder.uri)
        for _ in range(2)
    )
    assert [outcome.document["evaluations"][0]["reused"] for outcome in (first, again)] == [False, True]
    compared = workflows.compare(cheap_ladder.suite, tracking_uri=cheap_ladder.uri).document
    rows = [row for row in compared["comparisons"] if row["metric"] == "accuracy" and row["role"] == "primary"]
    assert rows[0]["candidate_mean"] == pytest.approx(89 / 120)  # the newest evaluation of the rung counts


def test_a_seed_for_answers_that_name_none(cheap_ladder: CheapLadder) -> None:
    cheap_ladder.write("coin: {kind: trivial, strategy: uniform}")
    file = cheap_ladder.folder / "coin.csv"
    cheap_ladder.answers(bool).to_csv(file, index=False)
    with pytest.raises(DataError, match="is trained or drawn with a seed"):
        workflows.import_results("csv", file, cheap_ladder.suite, baseline="coin", tracking_uri=cheap_ladder.uri)
    outcome = workflows.import_results(
        "csv", file, cheap_ladder.suite, baseline="coin", seed=1, tracking_uri=cheap_ladder.uri
    )
    assert [e["seed"] for e in outcome.document["evaluations"]] == [1]
    cheap_ladder.answers(bool).assign(seed=0).to_csv(file, index=False)
    with pytest.raises(SuiteError, match="has seeds of its own"):
        workflows.import_results(
            "csv", file, cheap_ladder.suite, baseline="coin", seed=1, tracking_uri=cheap_ladder.uri
        )


def test_what_cannot_be_imported(cheap_ladder: CheapLadder) -> None:
    cheap_ladder.write("paper: {kind: external, metric: accuracy, value: 0.7, source: a paper}")
    file = cheap_ladder.folder / "answers.csv"
    cheap_ladder.answers(bool).to_csv(file, index=False)

    def attempt(**options: str) -> None:
        workflows.import_results(
            "csv", file, cheap_ladder.suite, tracking_uri=cheap_ladder.uri, **{"baseline": "majority", **options}
        )

    with pytest.raises(SuiteError, match="unknown baseline 'new'; reviews has: majority, paper"):
        attempt(baseline="new")
    with pytest.raises(SuiteError, match="has no answers to import"):
        attempt(baseline="paper")
    with pytest.raises(SuiteError, match="--filter goes with lm-eval, not with csv"):
        attempt(filter="none")
    file.unlink()
    with pytest.raises(DataError, match="no such file or folder"):
        attempt()


def test_the_command_offers_every_format() -> None:
    format = next(parameter for parameter in cli.commands["import"].params if parameter.name == "format")
    assert tuple(format.type.choices) == FORMATS  # type: ignore[attr-defined]


def test_imported_answers_stay_until_something_supersedes_them(
    cheap_ladder: CheapLadder, caplog: pytest.LogCaptureFixture
) -> None:
    cheap_ladder.write("theirs: {kind: pretrained, recorded: imported}", candidate="theirs")
    with pytest.raises(DataError, match="mlbaseline import FORMAT PATH SUITE --as theirs"):
        workflows.evaluate(cheap_ladder.suite, tracking_uri=cheap_ladder.uri)
    suite = load_suite(cheap_ladder.suite)
    loaded = load_task(suite, lambda asset: fetch(asset, root=suite.root))
    others = [example.id for split in ("train", "dev") for example in loaded.splits[split].examples]
    answers = cheap_ladder.answers(lambda position: position % 4 > 0)
    more = pd.DataFrame({"example_id": others, "prediction": "good"})
    pd.concat([more, answers]).to_csv(cheap_ladder.folder / "theirs.csv", index=False)
    with caplog.at_level("INFO", logger="mlbaseline"):
        imported = workflows.import_results(
            "csv",
            cheap_ladder.folder / "theirs.csv",
            cheap_ladder.suite,
            baseline="theirs",
            tracking_uri=cheap_ladder.uri,
        )
        assert f"{len(others)} of {len(others) + len(answers)} rows left out, which are of train or dev" in caplog.text
        ran = workflows.run(cheap_ladder.suite, tracking_uri=cheap_ladder.uri)
    (theirs,) = [each for each in ran.document["evaluations"] if each["baseline"] == "theirs"]
    assert theirs == {**imported.document["evaluations"][0], "reused": True}
    assert "theirs: keeps the answers imported from csv" in caplog.text
    assert "; another import replaces them" in caplog.text  # --fresh could not: there is no model
    assert ran.document["comparison"]["winner"] == "theirs"

    text = cheap_ladder.suite.read_text(encoding="utf-8")
    cheap_ladder.suite.write_text(text.replace("test: 120", "test: 100"), encoding="utf-8")
    with pytest.raises(DataError), caplog.at_level("WARNING", logger="mlbaseline"):
        workflows.evaluate(cheap_ladder.suite, tracking_uri=cheap_ladder.uri)
    assert "is not taken any more: it is of other data" in caplog.text


def test_answers_to_train_alone_are_refused(cheap_ladder: CheapLadder) -> None:
    cheap_ladder.write("theirs: {kind: pretrained, recorded: imported}")
    suite = load_suite(cheap_ladder.suite)
    train = load_task(suite, lambda asset: fetch(asset, root=suite.root)).splits["train"]
    rows = pd.DataFrame({"example_id": [example.id for example in train.examples], "prediction": "good"})
    rows.to_csv(cheap_ladder.folder / "train.csv", index=False)
    with pytest.raises(DataError, match=r"all of its \d+ rows are of train or dev"):
        workflows.import_results(
            "csv",
            cheap_ladder.folder / "train.csv",
            cheap_ladder.suite,
            baseline="theirs",
            tracking_uri=cheap_ladder.uri,
        )
