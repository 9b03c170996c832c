"""Answers that stop at a registered look, end to end: what is saved, what is kept, and what holds the promotion."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.entities import Run

from mlbaseline import workflows
from mlbaseline.assets import fetch
from mlbaseline.errors import IncomparableError, SuiteError
from mlbaseline.records import LookSchedule
from mlbaseline.suite.reading import load_suite
from mlbaseline.tasks import load_task
from tests.support.ladders.workplace import Workplace, write_reviews

COUNTED = '''
from pathlib import Path


def answer(fields):
    """Right on all; says how often it was asked."""
    with Path("asked.txt").open("a") as file:
        file.write("x")
    return "good" if any(sign in fields["review"] for sign in "+*^!") else "bad"
'''
SUITE = """
name: reviews
task:
  kind: choice
  data: {source: reviews.csv}
  columns: {text: review, target: label}
  prompt: "{review}"
  choices: [bad, good]
  split: {train: 60, dev: 24, test: 120, seed: 1}
  slices: {topic: {column: review, patterns: {food: soup|bread|cheese}, default: other}}
metrics: [accuracy, macro_f1]
seeds: [0, 1]
cost: {usd_per_hour: {cpu: 0.10}}
baselines:
  majority: {kind: trivial, strategy: majority}
  uniform: {kind: trivial, strategy: uniform}
  other: {kind: trivial, strategy: stratified}
  rule: {kind: trivial, strategy: callable, function: "rules:answer"}
matrix:
  looks: [0.25, 0.5, 0.75, 1.0]
  primary: [{candidate: rule, over: [majority, uniform]}]
gates: {confirmatory: true, waive: {MLB102: "rules only, there is no checkpoint"}}
"""
GUARDED = "  guardrails: [{candidate: rule, over: [other], margin: -0.1}]\ngates:"


class CountedWorkplace(Workplace):
    """A workplace that counts the candidate's answers."""

    @property
    def n_asked(self) -> int:
        """How often the candidate was asked."""
        return len((self.folder / "asked.txt").read_text(encoding="utf-8"))

    def evaluate(self, **options: Any) -> dict[tuple[str, int | None], dict[str, Any]]:
        document = workflows.evaluate(self.suite, tracking_uri=self.uri, **options).document
        return {(each["baseline"], each["seed"]): each for each in document["evaluations"]}

    def compare(self) -> dict[str, Any]:
        return dict(workflows.compare(self.suite, tracking_uri=self.uri).document)

    def run(self, run_id: str) -> Run:
        return mlflow.MlflowClient(self.uri).get_run(run_id)

    def rows(self, run_id: str) -> pd.DataFrame:
        folder = Path(self.run(run_id).info.artifact_uri.removeprefix("file://"))
        return pd.read_parquet(folder / "results" / "examples.parquet")


@pytest.fixture
def place(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CountedWorkplace]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "cache"))
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    write_reviews(tmp_path / "reviews.csv")
    (tmp_path / "rules.py").write_text(COUNTED, encoding="utf-8")
    (tmp_path / "suite.yaml").write_text(SUITE, encoding="utf-8")
    yield CountedWorkplace(tmp_path, f"sqlite:///{tmp_path}/mlflow.db")


def schedule_of(place: CountedWorkplace) -> LookSchedule:
    suite = load_suite(place.suite)
    task = load_task(suite, lambda asset: fetch(asset, root=suite.root))
    return LookSchedule.of(task.splits["test"], suite.matrix.looks)


def test_answers_stop_where_every_candidate_is_settled_and_a_later_evaluation_keeps_them(
    place: CountedWorkplace,
) -> None:
    stopped = place.evaluate(until_settled=True)
    assert place.n_asked == 60  # two looks of thirty: the rest is not answered
    first = schedule_of(place).first(60)
    for evaluation in stopped.values():
        run = place.run(evaluation["run_id"])
        assert run.data.tags["mlbaseline.answered"] == "60"
        assert set(place.rows(evaluation["run_id"])["example_id"]) == first
    compared = place.compare()
    assert (compared["verdict"], compared["looks"]["status"], compared["looks"]["n"]) == ("promote", "settled", 60)
    assert "on 60 test examples of 120, stopped for efficacy at look 2 of 4" in compared["summary"]
    tags = place.run(compared["comparison_run_id"]).data.tags
    assert tags["mlbaseline.stopped"] == "60 of 120 (50%), look 2 of 4: rule efficacy"
    assert [look["settled"] for look in compared["looks"]["looks"]] == [{}, {"rule": "efficacy"}]
    report = Path(compared["report"]).read_text(encoding="utf-8")
    assert "Registered looks" in report
    gated = workflows.gate(place.suite, verify=True, tracking_uri=place.uri)
    assert gated.exit_code == 0

    again = place.evaluate(until_settled=True)
    assert all(evaluation["reused"] for evaluation in again.values())
    assert place.n_asked == 60
    whole = place.evaluate()
    assert place.n_asked == 120  # the sixty answers are kept
    rows, before = (place.rows(each["rule", None]["run_id"]).set_index("example_id") for each in (whole, stopped))
    pd.testing.assert_frame_equal(rows.loc[before.index], before)
    assert place.compare()["looks"]["status"] == "whole"
    assert all(evaluation["reused"] for evaluation in place.evaluate(until_settled=True).values())


def test_with_guardrails_their_rungs_answer_the_whole_test(place: CountedWorkplace) -> None:
    place.edit("gates:", GUARDED)
    evaluated = place.evaluate(until_settled=True)
    n = {name: len(place.rows(each["run_id"])) for (name, _), each in evaluated.items()}
    assert n == {"rule": 120, "majority": 60, "uniform": 60, "other": 120}
    compared = place.compare()
    rows = {row["role"]: row for row in compared["comparisons"] if row["estimand"] == "checkpoint"}
    assert (rows["primary"]["n"], rows["guardrail"]["n"], compared["verdict"]) == (60, 120, "promote")
    assert compared["looks"]["guardrails_whole"] is True


def test_with_stop_all_guardrails_are_looked_at_too(place: CountedWorkplace) -> None:
    place.edit("gates:", GUARDED)
    place.edit("  looks:", "  stop: all\n  looks:")
    evaluated = place.evaluate(until_settled=True)
    assert {len(place.rows(each["run_id"])) for each in evaluated.values()} == {60}
    compared = place.compare()
    assert compared["verdict"] == "promote"
    assert {look["baseline"] for look in compared["looks"]["looks"][-1]["contrasts"]} == {
        "majority",
        "uniform",
        "other",
    }


def test_a_guardrail_that_has_not_seen_the_whole_test_is_open(place: CountedWorkplace) -> None:
    place.evaluate(until_settled=True)  # without guardrails: all stop at sixty
    place.edit("gates:", GUARDED)
    place.edit("confirmatory: true, ", "")
    compared = place.compare()
    assert compared["verdict"] == "inconclusive"
    assert {row["outcome"] for row in compared["comparisons"] if row["role"] == "guardrail"} == {"inconclusive"}


def test_futility_stops_a_candidate_that_is_no_better(place: CountedWorkplace) -> None:
    place.edit("candidate: rule, over: [majority, uniform]", "candidate: uniform, over: [rule]")
    evaluated = place.evaluate(until_settled=True)
    assert {len(place.rows(each["run_id"])) for each in evaluated.values()} == {30}
    compared = place.compare()
    assert compared["verdict"] != "promote"
    assert compared["looks"]["looks"][-1]["settled"]["uniform"] in ("futility", "harm")


def edit_runs(place: CountedWorkplace, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Change the rows of every evaluation, together with the digest and the tag that vouch for them."""
    client = mlflow.MlflowClient(place.uri)
    experiment = client.get_experiment_by_name("reviews")
    assert experiment is not None
    for run in client.search_runs([experiment.experiment_id], "tags.`mlbaseline.kind` = 'evaluation'"):
        path = Path(run.info.artifact_uri.removeprefix("file://"), "results", "examples.parquet")
        frame = change(pd.read_parquet(path))
        frame.to_parquet(path, index=False)
        client.set_tag(run.info.run_id, "mlbaseline.answered", str(len(frame)))
        client.set_tag(run.info.run_id, "mlbaseline.examples_sha256", hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ("before a boundary", "unsettled", "answers stop where no boundary is crossed"),
        ("between looks", "unplanned", "45 of 120 examples were answered, looks are registered at 30, 60, 90, 120"),
        ("other rows", "unplanned", "these are not the first of the registered order"),
    ],
)
def test_a_stop_that_was_not_registered_holds(place: CountedWorkplace, change: str, status: str, reason: str) -> None:
    place.evaluate()
    ids = schedule_of(place).ids
    kept = {"before a boundary": ids[:30], "between looks": ids[:45], "other rows": ids[60:]}[change]
    edit_runs(place, lambda frame: frame[frame["example_id"].isin(kept)].reset_index(drop=True))
    compared = place.compare()
    assert (compared["verdict"], compared["looks"]["status"]) == ("hold", status)
    assert reason in compared["reason"]
    if status == "unplanned":  # always valid, and decides nothing
        primary = [row for row in compared["comparisons"] if row["role"] == "primary"]
        checkpoint = next(row for row in primary if row["estimand"] == "checkpoint")
        assert (checkpoint["method"], checkpoint["outcome"]) == ("confidence_sequence", "inconclusive")
        assert 0.0 < checkpoint["low"] < checkpoint["delta"] < checkpoint["high"]


def test_a_stop_does_not_verify_where_the_boundary_is_not_crossed(place: CountedWorkplace) -> None:
    """Somebody takes rows away after the comparison, and makes digests and tags fit."""
    place.evaluate(until_settled=True)
    assert place.compare()["verdict"] == "promote"
    kept = schedule_of(place).ids[:30]
    edit_runs(place, lambda frame: frame[frame["example_id"].isin(kept)].reset_index(drop=True))
    with pytest.raises(IncomparableError, match="verdict: stored promote, derived hold"):
        workflows.gate(place.suite, verify=True, tracking_uri=place.uri)


def test_a_part_of_the_test_counts_only_with_registered_looks(place: CountedWorkplace) -> None:
    place.evaluate(until_settled=True)
    place.edit("  looks: [0.25, 0.5, 0.75, 1.0]\n", "")
    with pytest.raises(IncomparableError, match=r"answers to 60 of 120 examples.*matrix\.looks"):
        place.compare()
    with pytest.raises(SuiteError, match="registers no looks at the test"):
        place.evaluate(until_settled=True)


def test_rungs_may_not_be_left_out(place: CountedWorkplace) -> None:
    with pytest.raises(SuiteError, match="the baselines majority, uniform are left out"):
        place.evaluate(until_settled=True, baselines=["rule"])
    with pytest.raises(SuiteError, match="some seeds are left out"):
        place.evaluate(until_settled=True, seeds=[0])


def test_a_test_that_grows_is_tested_more_strictly(place: CountedWorkplace) -> None:
    """The test of ninety is a part of that of a hundred and twenty, which is looked at for the second time."""
    place.edit("test: 120", "test: 90")
    place.edit("  looks: [0.25, 0.5, 0.75, 1.0]\n", "")
    place.edit("confirmatory: true, ", "")
    place.evaluate()
    first = place.compare()
    assert (first["registration"]["test_looks"], first["registration"]["rate"]) == (1, None)
    place.edit("test: 90", "test: 120")
    place.evaluate()
    second = place.compare()["registration"]
    assert (second["test_looks"], second["earlier_looks"]) == (2, 1)
    assert second["rate"] == pytest.approx(0.05 * 6 / (3.14159265 * 2) ** 2)
    assert 0.05 < second["rate_so_far"] < 0.07
    compared = place.compare()
    assert {row["level"] for row in compared["comparisons"] if row["role"] == "primary"} == {1 - second["rate"]}
    assert {row["level"] for row in compared["comparisons"] if row["role"] == "exploratory"} == {0.95}
    assert "looked at once before it grew" in Path(compared["report"]).read_text(encoding="utf-8")
    assert workflows.gate(place.suite, verify=True, tracking_uri=place.uri).exit_code == 0


def test_a_ladder_of_models_stops_and_says_so_everywhere(workplace: Workplace) -> None:
    """Trained seeds, timed answers, promotion and lineage, through the command line."""
    workplace.edit("matrix:\n", "matrix:\n  looks: [0.25, 0.5, 0.75, 1.0]\n")
    workplace.edit("    - {candidate: full, over: [majority, zero_shot]}\n", "")
    workplace.edit("slices: [topic], margin: -0.3", "margin: -0.3")
    names = [part for name in ("majority", "zero_shot", "few_shot", "lora") for part in ("--baseline", name)]
    document = workplace.document("run", str(workplace.suite), *names, "--until-settled")
    looks = document["comparison"]["looks"]
    assert (document["comparison"]["verdict"], looks["status"]) == ("promote", "settled")
    client = mlflow.MlflowClient(workplace.uri)
    n = {}
    for each in document["evaluations"]:
        run = client.get_run(each["run_id"])
        n[each["baseline"]] = int(run.data.tags.get("mlbaseline.answered", 120))
        timed = pd.read_parquet(client.download_artifacts(each["run_id"], "results/examples.parquet"))["latency_s"]
        if each["baseline"] in ("zero_shot", "lora"):
            assert timed.notna().sum() == 4  # of all looks together
    assert looks["n"] < 120
    # Its guardrail is over the majority, on the whole test; the champion does not exist yet.
    assert n == {name: 120 if name in ("lora", "majority") else looks["n"] for name in n}
    lineage = workplace.command("lineage", "reviews-label").stdout
    assert f"answers end  at {looks['n']} of 120" in lineage
    version = client.get_model_version_by_alias("reviews-label", "champion")
    assert version.tags["mlbaseline.stopped"].startswith(f"{looks['n']} of 120")
