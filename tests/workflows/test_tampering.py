"""What was changed after the fact is refused (exit 5) or holds the promotion (exit 3), end to end on a real store.

One ladder is walked; every test has a copy of its database and puts its artifacts back.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run

from mlbaseline import workflows
from mlbaseline.errors import DataError, IncomparableError
from mlbaseline.workflows import CommandResult
from tests.workflows.making import write_reviews

SUITE = """
name: reviews
task:
  kind: choice
  data: {source: reviews.csv}
  columns: {text: review, target: label}
  prompt: "{text}"
  choices: [bad, good]
  split: {train: 60, dev: 60, test: 120, seed: 1}
  slices: {topic: {column: review, patterns: {food: soup|bread|cheese}, default: other}}
metrics: [accuracy, macro_f1]
seeds: [0, 1]
evaluation: {answer_dev: true}
cost: {usd_per_hour: {cpu: 0.10}}
baselines:
  majority: {kind: trivial, strategy: majority}
  uniform: {kind: trivial, strategy: uniform}
  rule: {kind: trivial, strategy: keyword, rules: {good: '[+*^!]'}, default: bad}
matrix:
  primary: [{candidate: rule, over: [majority, uniform]}]
  guardrails: [{candidate: rule, over: [majority], slices: [topic], margin: -0.1}]
gates: {confirmatory: true, cost_per_query_usd: 1.0, waive: {MLB102: "rules only, there is no checkpoint"}}
"""


@dataclass(frozen=True)
class Walked:
    """A ladder that was walked in `folder`. uri: of a copy of its database."""

    folder: Path
    uri: str

    @property
    def suite(self) -> Path:
        return self.folder / "suite.yaml"

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(self.uri)

    def edit(self, old: str, new: str) -> None:
        text = self.suite.read_text(encoding="utf-8")
        assert old in text
        self.suite.write_text(text.replace(old, new), encoding="utf-8")

    def run_of(self, baseline: str, seed: str = "none", split: str = "test") -> Run:
        tags = {"kind": "evaluation", "baseline": baseline, "seed": seed, "split": split}
        query = " and ".join(f"tags.`mlbaseline.{key}` = '{value}'" for key, value in tags.items())
        experiment = self.client.get_experiment_by_name("reviews")
        assert experiment is not None
        (run,) = self.client.search_runs([experiment.experiment_id], query)
        return run

    def results(self, run: Run) -> Path:
        return Path(run.info.artifact_uri.removeprefix("file://")) / "results"

    def compare(self) -> CommandResult:
        return workflows.compare(self.suite, tracking_uri=self.uri)

    def verdict(self) -> tuple[str, int, str]:
        """Decision, exit code of the gate, and why."""
        outcome = self.compare()
        gated = workflows.gate(self.suite, comparison=outcome.document["comparison_run_id"], tracking_uri=self.uri)
        return outcome.document["verdict"], gated.exit_code, outcome.document["reason"]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("walked")
    shutil.copy(empty_database, folder / "mlflow.db")
    write_reviews(folder / "reviews.csv")
    (folder / "suite.yaml").write_text(SUITE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # SQLite without a server puts artifacts under the working folder
        patch.setenv("MLBASELINE_CACHE", str(folder / "cache"))
        workflows.evaluate(folder / "suite.yaml", tracking_uri=f"sqlite:///{folder}/mlflow.db")
    shutil.copytree(folder / "mlruns", folder / "kept")
    yield folder


@pytest.fixture
def walked(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Walked]:
    monkeypatch.chdir(pristine)
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "cache"))  # so that every table is fetched anew
    shutil.copy(pristine / "mlflow.db", tmp_path / "mlflow.db")
    (pristine / "suite.yaml").write_text(SUITE, encoding="utf-8")
    write_reviews(pristine / "reviews.csv")
    yield Walked(pristine, f"sqlite:///{tmp_path}/mlflow.db")
    shutil.rmtree(pristine / "mlruns")
    shutil.copytree(pristine / "kept", pristine / "mlruns")


def refused(walked: Walked, message: str) -> None:
    with pytest.raises(IncomparableError, match=message) as caught:
        walked.compare()
    assert caught.value.exit_code == 5


def test_untouched_it_is_promoted(walked: Walked) -> None:
    outcome = walked.compare()
    document = outcome.document
    assert (document["verdict"], document["registration"]["status"]) == ("promote", "before")
    assert {row["registered"] for row in document["comparisons"] if row["role"] != "exploratory"} == {"before"}
    assert [search["source"] for search in document["slices"]["searches"]] == ["dev"] * 2
    assert len({gap["slice"] for gap in document["slices"]["gaps"]}) >= 1
    assert walked.run_of("rule", split="dev").info.run_name == "rule · dev"


def _flip(path: Path) -> None:
    frame = pd.read_parquet(path / "examples.parquet")
    frame["score.accuracy"] = 1.0 - frame["score.accuracy"]
    frame.to_parquet(path / "examples.parquet", index=False)


def _hurt(path: Path) -> None:
    frame = pd.read_parquet(path / "examples.parquet")
    frame.loc[:50, "score.accuracy"] = np.nan
    frame.to_parquet(path / "examples.parquet", index=False)


def _resign(path: Path) -> None:
    signature = path / "signature.json"
    signature.write_text(signature.read_text().replace('"data.split": "test"', '"data.split": "dev"'))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_flip, r"results/examples.parquet of rule .* is not the file that the run was\s+completed with"),
        (_hurt, r"results/examples.parquet of rule"),
        (_resign, r"results/signature.json of rule"),
        (lambda path: (path / "examples.parquet").unlink(), r"says that it is completed, and has no results/examples"),
        (lambda path: (path / "signature.json").unlink(), r"says that it is completed, and has no results/signature"),
        (shutil.rmtree, r"has no results/examples.parquet and no results/signature.json"),
    ],
    ids=["scores", "nan", "signature", "no rows", "no signature", "nothing"],
)
def test_edited_files(walked: Walked, change: Callable[[Path], None], message: str) -> None:
    change(walked.results(walked.run_of("rule")))
    refused(walked, message)


@pytest.mark.parametrize(
    ("tag", "value", "message"),
    [
        ("seed", "0", "is tagged with seed 0, and its signature says 1"),
        ("task_digest", "0" * 64, "is tagged with data.digest '0000"),
        ("examples_sha256", "0" * 64, "One of them was edited afterwards"),
        ("signature_digest", "0" * 64, "One of them was edited afterwards"),
    ],
)
def test_edited_tags(walked: Walked, tag: str, value: str, message: str) -> None:
    run = walked.run_of("uniform", "1")
    walked.client.set_tag(run.info.run_id, f"mlbaseline.{tag}", value)
    refused(walked, message)


def test_a_matrix_that_was_changed_after_the_runs(walked: Walked) -> None:
    walked.edit("margin: -0.1", "margin: -0.2")
    decision, code, why = walked.verdict()
    assert (decision, code) == ("hold", 3)
    assert "registered after the first evaluation of the task" in why
    rows = [row for row in walked.compare().document["comparisons"] if row["role"] != "exploratory"]
    assert {(row["role"], row["registered"]) for row in rows} == {("primary", "before"), ("guardrail", "after")}


def test_changed_rules_do_not_become_the_old_ones_by_a_tag(walked: Walked) -> None:
    """The suite that the first run stored when it started still says otherwise."""
    from mlbaseline.suite.reading import load_suite

    walked.edit("margin: -0.1", "margin: -0.2")
    first = walked.run_of("majority")
    walked.client.set_tag(first.info.run_id, "mlbaseline.matrix_digest", load_suite(walked.suite).matrix_digest)
    decision, code, why = walked.verdict()
    assert (decision, code) == ("hold", 3)
    assert "registered after" in why


def test_runs_of_another_dataset_under_the_same_name(walked: Walked) -> None:
    text = (walked.folder / "reviews.csv").read_text(encoding="utf-8")
    (walked.folder / "reviews.csv").write_text(text.replace("soup", "stew"), encoding="utf-8")
    workflows.evaluate(walked.suite, baselines=["rule"], tracking_uri=walked.uri)
    refused(walked, r"majority and rule differ in data.digest")


def test_a_missing_seed(walked: Walked) -> None:
    walked.client.delete_run(walked.run_of("uniform", "1").info.run_id)
    decision, code, why = walked.verdict()
    assert (decision, code) == ("hold", 3)
    assert "uniform has no completed evaluation of seed 1, which the suite names" in why


def test_a_nan_metric(walked: Walked) -> None:
    """Scores are taken from the rows, whatever the run's metrics say; a cost that is none keeps no budget."""
    run_id = walked.run_of("rule").info.run_id
    before = walked.compare().document["comparisons"]
    walked.client.log_metric(run_id, "accuracy", float("nan"))
    assert walked.compare().document["comparisons"] == before


@pytest.mark.parametrize("status", ["RUNNING", "FAILED", "KILLED"])
def test_a_run_that_is_tagged_completed_and_is_not(walked: Walked, status: str) -> None:
    walked.client.update_run(walked.run_of("uniform", "0").info.run_id, status=status)
    decision, code, why = walked.verdict()
    assert (decision, code) == ("hold", 3)
    assert "uniform has no completed evaluation of seed 0" in why


def test_a_candidate_that_is_tagged_completed_and_is_not(walked: Walked) -> None:
    walked.client.update_run(walked.run_of("rule").info.run_id, status="RUNNING")
    with pytest.raises(DataError, match="the matrix compares rule, but no completed evaluation of it"):
        walked.compare()
