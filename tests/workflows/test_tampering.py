"""What was changed after the fact is refused (exit 5) or holds the promotion (exit 3), end to end on a real store.

One ladder is walked; every test has a copy of its database and puts its artifacts back.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run

from mlbaseline import workflows
from mlbaseline.errors import DataError, IncomparableError, TrackingError
from mlbaseline.records import Decision
from mlbaseline.suite.reading import load_suite
from mlbaseline.workflows import CommandResult
from tests.support.suites import reviews_suite
from tests.support.workplace import Workplace, write_reviews

SUITE = reviews_suite(
    """
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
""",
    split="{train: 60, dev: 60, test: 120, seed: 1}",
    slices="{topic: {column: review, patterns: {food: soup|bread|cheese}, default: other}}",
)


@dataclass(frozen=True)
class Walked(Workplace):
    """A ladder that was walked in `folder`. uri: of a copy of its database."""

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(self.uri)

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
        (shutil.rmtree, r"has no results/examples.parquet and no results/measured.json and no results/signature.json"),
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
    decision, code, why = walked.verdict()
    assert (decision, code) == ("hold", 3)
    assert "majority has no run that the suite would make now" in why
    assert "it is of other data (digest" in why


def test_a_tag_that_says_other_data_leaves_the_run_aside(walked: Walked) -> None:
    walked.client.set_tag(walked.run_of("uniform", "1").info.run_id, "mlbaseline.task_digest", "0" * 64)
    decision, code, why = walked.verdict()
    assert (decision, code) == ("hold", 3)
    assert "uniform has no completed evaluation of seed 1" in why


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


# ---- what counts is bound to the present suite -----------------------------------------------------------------------

CHANGES = {
    "prompt": ('prompt: "{text}"', 'prompt: "Review: {text}"', "task.prompt: '{text}' before, 'Review: {text}' now"),
    "split": ("test: 120, seed: 1", "test: 100, seed: 2", "task.split.seed: 1 before, 2 now"),
    "options": ("default: bad", "default: good", "baselines.rule.default: 'bad' before, 'good' now"),
    "metrics": ("[accuracy, macro_f1]", "[accuracy]", "metrics: ['accuracy', 'macro_f1'] before, ['accuracy'] now"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_suite_that_was_changed_after_the_comparison_has_no_verdict(walked: Walked, change: str) -> None:
    walked.compare()
    old, new, difference = CHANGES[change]
    walked.edit(old, new)
    for command in (workflows.gate, workflows.promote):
        with pytest.raises(IncomparableError) as caught:
            command(walked.suite, tracking_uri=walked.uri)
        assert caught.value.exit_code == 5
        assert difference in str(caught.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("split", "it is of other data"),
        ("metrics", "metric.names is 'accuracy,macro_f1' in the run, 'accuracy' by the suite"),
    ],
)
def test_runs_of_a_suite_that_was_changed_do_not_count(walked: Walked, change: str, reason: str) -> None:
    walked.edit(*CHANGES[change][:2])
    refused(walked, reason)


def test_a_rung_whose_options_were_changed_holds(walked: Walked) -> None:
    walked.edit(*CHANGES["options"][:2])
    decision, code, why = walked.verdict()
    assert (decision, code) == ("hold", 3)
    assert "rule has no run that the suite would make now" in why
    assert "baseline.default is bad in the run, good by the suite" in why


def test_data_that_was_replaced_after_the_runs(walked: Walked) -> None:
    text = (walked.folder / "reviews.csv").read_text(encoding="utf-8")
    (walked.folder / "reviews.csv").write_text(text.replace("soup", "stew"), encoding="utf-8")
    refused(walked, "it is of other data")


def test_a_namesake_with_other_data_warns_at_evaluation_and_is_not_compared(
    walked: Walked, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_reviews(tmp_path / "reviews.csv")
    text = (tmp_path / "reviews.csv").read_text(encoding="utf-8")
    (tmp_path / "reviews.csv").write_text(text.replace("soup", "stew"), encoding="utf-8")
    (tmp_path / "suite.yaml").write_text(SUITE, encoding="utf-8")
    workflows.evaluate(tmp_path / "suite.yaml", tracking_uri=walked.uri)
    assert "another suite of the same name" in caplog.text
    assert walked.verdict()[0] == "promote"  # with its own runs, although the other's are newer


# ---- what decides is derived ----------------------------------------------------------------------------------------


def forge_comparison(walked: Walked, run_id: str, **changes: object) -> str:
    """A comparison written by hand: a copy of a real one with its verdict turned, and with a digest that fits."""
    from mlbaseline.store import connect, load_assessment
    from mlbaseline.store.comparisons import log_comparison
    from mlbaseline.store.preregistration import TASK_DIGEST
    from mlbaseline.store.server.tracking import open_run, suite_tags

    tracker = connect(walked.uri, "reviews")
    assessment = load_assessment(tracker, run_id)
    verdict = replace(assessment.verdict, decision=Decision.PROMOTE, winner="rule", winner_seed=None)
    suite = load_suite(walked.suite)
    tags = {**suite_tags(suite), TASK_DIGEST: walked.client.get_run(run_id).data.tags[TASK_DIGEST]}
    rendered = walked.folder / "rendered"
    rendered.mkdir(exist_ok=True)
    with open_run(tracker, "comparison", name="forged", tags=tags) as run:
        log_comparison(run, replace(assessment, verdict=verdict, **changes), rendered, suite=suite)  # type: ignore[arg-type]
    return run.run_id


def test_a_comparison_that_was_written_by_hand_is_found_out_by_deriving_it_again(walked: Walked) -> None:
    walked.client.delete_run(walked.run_of("uniform", "1").info.run_id)
    held = walked.compare().document["comparison_run_id"]
    forged = forge_comparison(walked, held)
    assert workflows.gate(walked.suite, comparison=forged, tracking_uri=walked.uri).exit_code == 0
    with pytest.raises(IncomparableError, match="verdict: stored promote, derived hold") as caught:
        workflows.gate(walked.suite, comparison=forged, verify=True, tracking_uri=walked.uri)
    assert caught.value.exit_code == 5


def test_an_honest_comparison_verifies(walked: Walked) -> None:
    run_id = walked.compare().document["comparison_run_id"]
    assert workflows.gate(walked.suite, comparison=run_id, verify=True, tracking_uri=walked.uri).exit_code == 0


def test_means_that_were_edited_with_their_digest_are_found_out(walked: Walked) -> None:
    from mlbaseline.store import connect, load_assessment

    run_id = walked.compare().document["comparison_run_id"]
    assessment = load_assessment(connect(walked.uri, "reviews"), run_id)
    rows = tuple(replace(row, delta=0.6) for row in assessment.comparisons)
    forged = forge_comparison(walked, run_id, comparisons=rows)
    with pytest.raises(IncomparableError, match=r"accuracy checkpoint: delta stored 0\.6, derived 0\.49"):
        workflows.gate(walked.suite, comparison=forged, verify=True, tracking_uri=walked.uri)


@pytest.mark.parametrize("what", ["running", "another experiment", "dated 2100", "dated 1970"])
def test_a_comparison_that_cannot_be_one_is_none(walked: Walked, what: str) -> None:
    real = walked.compare().document["comparison_run_id"]
    run, client = walked.client.get_run(real), walked.client
    experiment = run.info.experiment_id if what != "another experiment" else client.create_experiment("elsewhere")
    start = {"dated 2100": 4_102_444_800_000, "dated 1970": 1}.get(what)
    forged = client.create_run(experiment, start_time=start, tags=run.data.tags).info.run_id
    if what != "running":
        client.set_terminated(forged, "FINISHED")
    with pytest.raises(TrackingError, match=r"expected .* to be a completed comparison"):
        workflows.gate(walked.suite, comparison=forged, tracking_uri=walked.uri)
    document = workflows.gate(walked.suite, tracking_uri=walked.uri).document
    assert document["comparison_run_id"] == real  # the newest one that counts


def test_run_metrics_and_parameters_decide_nothing(walked: Walked) -> None:
    """Memory, times, dev scores and the machine come from `results/measured.json`, under a digest."""
    walked.edit("cost_per_query_usd: 1.0", "cost_per_query_usd: 1.0, peak_memory_bytes: 1000")
    before = walked.compare().document
    (memory,) = (f for f in before["findings"] if f["code"] == "peak_memory")
    assert memory["outcome"] == "fail"
    for name in ("peak_memory_bytes", "train_s", "dev/accuracy"):
        walked.client.log_metric(walked.run_of("rule").info.run_id, name, 1.0)
    after = walked.compare().document
    for key in ("verdict", "findings", "standings"):
        assert after[key] == before[key]


def test_an_edited_measured_file_is_refused(walked: Walked) -> None:
    path = walked.results(walked.run_of("rule")) / "measured.json"
    path.write_text(path.read_text().replace('"peak_memory_bytes": ', '"peak_memory_bytes": 0'), encoding="utf-8")
    refused(walked, r"results/measured.json of rule .* is not the file that the run was\s+completed with")


def test_a_started_run_of_1970_does_not_register_rules(walked: Walked) -> None:
    """trust.md: one `started` run with start_time=1 made rules "registered before the first evaluation"."""
    walked.edit("margin: -0.1", "margin: -0.2")
    first = walked.run_of("majority")
    tags = {**first.data.tags, "mlbaseline.status": "started"}
    tags["mlbaseline.matrix_digest"] = load_suite(walked.suite).matrix_digest
    walked.client.create_run(first.info.experiment_id, start_time=1, tags=tags)
    decision, code, why = walked.verdict()
    assert (decision, code) == ("hold", 3)
    assert "registered after the first evaluation" in why


def test_comparing_the_same_runs_by_the_same_rules_is_one_look(walked: Walked) -> None:
    looks = [walked.compare().document["registration"]["test_looks"] for _ in range(3)]
    assert looks == [1, 1, 1]
    walked.edit("margin: -0.1", "margin: -0.2")
    assert walked.compare().document["registration"]["test_looks"] == 2
    workflows.evaluate(walked.suite, baselines=["rule"], fresh=True, tracking_uri=walked.uri)
    assert walked.compare().document["registration"]["test_looks"] == 3


def test_a_winner_without_a_model_gets_its_table_and_an_exit_code_that_says_so(walked: Walked) -> None:
    walked.edit("name: reviews", "name: reviews\nregister_as: reviews-rule")
    outcome = workflows.run(walked.suite, tracking_uri=walked.uri)
    assert outcome.exit_code == 1
    assert (outcome.document["comparison"]["verdict"], outcome.document["promotion"]) == ("promote", None)
    assert "left no model that could be registered" in outcome.document["not_registered"]
    assert Path(outcome.document["comparison"]["report"]).is_file()
    assert "Not registered: rule" in outcome.text(False, 100)
    ladder = walked.client.get_run(outcome.document["ladder_run_id"])
    assert (ladder.info.status, ladder.data.tags["mlbaseline.status"]) == ("FINISHED", "completed")


def test_a_waiver_stands_in_the_verdict_and_in_the_tags(walked: Walked) -> None:
    document = walked.compare().document
    assert document["waived"] == {"MLB102": "rules only, there is no checkpoint"}
    assert "waived: MLB102 (rules only, there is no checkpoint)" in document["reason"]
    tags = walked.client.get_run(document["comparison_run_id"]).data.tags
    assert tags["mlbaseline.waived"] == "MLB102: rules only, there is no checkpoint"
    walked.edit(', waive: {MLB102: "rules only, there is no checkpoint"}', "")
    decision, code, why = walked.verdict()
    assert (decision, code) == ("hold", 3)
    assert "untouched models: none" in why
