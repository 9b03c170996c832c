"""Runs and registered models of an earlier commit are reused, compared, promoted, rolled back and served."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run

from mlbaseline import workflows
from mlbaseline.format_versions import FORMAT, RUN, VERSION
from mlbaseline.records import Signature
from tests.fixtures.earlier_runs import unpack
from tests.support.ladders.workplace import Workplace

SUITES = {"reviews": 14, "texts": 3, "perplexity": 3}
"""Suite ─▶ evaluations of it that are there: of each baseline and seed, and of the champion that was there before."""


@pytest.fixture
def earlier(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """The stored runs, with an empty cache. Their signatures say `cpu` and `fp32`, so that every machine has them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    uri = unpack(tmp_path, empty_database)
    return Workplace(tmp_path, uri, "reviews.yaml")


def of_suite(earlier: Workplace, name: str) -> Workplace:
    return replace(earlier, suite_name=f"{name}.yaml")


def runs_of(workplace: Workplace, kind: str) -> dict[str, Run]:
    """Run id ─▶ run, newest first."""
    client = mlflow.MlflowClient(workplace.uri)
    experiment = client.get_experiment_by_name(workplace.suite.stem)
    assert experiment is not None
    query = f"tags.`mlbaseline.kind` = '{kind}' and tags.`mlbaseline.status` = 'completed'"
    runs = client.search_runs([experiment.experiment_id], query, order_by=["attributes.start_time DESC"])
    return {run.info.run_id: run for run in runs}


def table_of(workplace: Workplace, run_id: str, path: str) -> pd.DataFrame:
    return pd.read_parquet(mlflow.MlflowClient(workplace.uri).download_artifacts(run_id, path))


@pytest.mark.parametrize("name", SUITES)
def test_evaluations_are_reused(earlier: Workplace, name: str) -> None:
    workplace = of_suite(earlier, name)
    before = runs_of(workplace, "evaluation")
    assert len(before) == SUITES[name]
    evaluations = workplace.document("evaluate", str(workplace.suite))["evaluations"]
    assert [e["baseline"] for e in evaluations if not e["reused"]] == []
    assert {e["run_id"] for e in evaluations} <= before.keys()
    assert runs_of(workplace, "evaluation").keys() == before.keys()


@pytest.mark.parametrize("name", SUITES)
def test_stored_signatures_have_their_digests(earlier: Workplace, name: str) -> None:
    client = mlflow.MlflowClient(earlier.uri)
    for run_id, run in runs_of(of_suite(earlier, name), "evaluation").items():
        fields = json.loads(Path(client.download_artifacts(run_id, "results/signature.json")).read_text("utf-8"))
        assert Signature(fields).digest == run.data.tags["mlbaseline.signature_digest"]


MEASURED = [
    *("n", "n_clusters", "n_seeds_candidate", "n_seeds_baseline", "candidate_mean", "baseline_mean", "delta"),
    *("gained", "lost", "margin", "registered"),
]
"""Columns of a comparison that a better method of inference does not change; but calibration error (`ece`) was then
the plug-in estimate, which is biased."""


@pytest.mark.parametrize("name", SUITES)
def test_the_same_differences_come_out(earlier: Workplace, name: str) -> None:
    workplace = of_suite(earlier, name)
    (stored, *_) = runs_of(workplace, "comparison")
    if name == "reviews":  # the stored comparison is with version 1, which was the champion then
        workplace.command("rollback", "reviews-label")
    comparison = workflows.compare(workplace.suite, tracking_uri=workplace.uri).document
    key = ["candidate", "baseline", "metric", "slice", "slice_value", "role", "estimand"]
    now, then = (
        table_of(workplace, run_id, "comparison/comparisons.parquet").set_index(key).sort_index()
        for run_id in (comparison["comparison_run_id"], stored)
    )
    assert comparison["comparison_run_id"] != stored
    now, then = (rows[rows.index.get_level_values("metric") != "ece"] for rows in (now, then))
    pd.testing.assert_frame_equal(now[MEASURED], then[MEASURED], rtol=1e-6)
    width = then["high"] - then["low"]
    for limit in ("low", "high"):
        assert ((now[limit] - then[limit]).abs() <= 0.25 * width).all()


def test_a_stored_comparison_is_reported_judged_and_promoted(earlier: Workplace) -> None:
    (stored, *_) = runs_of(earlier, "comparison")
    suite = str(earlier.suite)
    earlier.command("report", stored, "-o", "report.html", "--suite", suite)
    assert "zero_shot" in (earlier.folder / "report.html").read_text("utf-8")
    assert earlier.document("gate", suite)["verdict"] == "promote"
    assert earlier.document("promote", suite)["version"] == "2"  # champion already
    back = earlier.document("rollback", "reviews-label")
    assert (back["version"], back["previous_version"]) == ("1", "2")
    promotion = earlier.document("promote", suite, "--allow-rolled-back")
    assert (promotion["version"], promotion["previous_version"]) == ("3", "1")
    assert promotion["comparison_run_id"] == stored
    client = mlflow.MlflowClient(earlier.uri)
    before, after = (client.get_model_version("reviews-label", version).tags for version in ("2", "3"))
    dropped = before.keys() - after.keys()  # differences that decide nothing had tags once
    assert all(key.startswith("mlbaseline.delta.") for key in dropped)
    assert {key for key in after if before.get(key) != after[key]} == {"mlbaseline.promotion_run_id"}
    assert earlier.document("lineage", "reviews-label")["complete"] is True
    assert earlier.document("rollback", "reviews-label")["version"] == "1"


def test_runs_without_a_format_are_read_and_those_of_a_later_one_refused(earlier: Workplace) -> None:
    stored = {**runs_of(earlier, "evaluation"), **runs_of(earlier, "comparison")}
    assert not [run for run in stored.values() if FORMAT in run.data.tags]
    made = workflows.compare(earlier.suite, tracking_uri=earlier.uri).document["comparison_run_id"]
    client = mlflow.MlflowClient(earlier.uri)
    assert client.get_run(made).data.tags.items() >= RUN.metadata.items()
    assert earlier.document("gate", str(earlier.suite))["format_version"] == 1
    for run_id, command in ((made, "gate"), (next(iter(runs_of(earlier, "evaluation"))), "compare")):
        client.set_tag(run_id, FORMAT, "2")
        client.set_tag(run_id, VERSION, "9.0.0")
        refused = earlier.command(command, str(earlier.suite), expect=1)
        assert f"run {run_id}: the run has format 2, written by mlbaseline ≥ 9.0.0" in refused.stderr
        client.delete_tag(run_id, FORMAT)


def _choice(answers: pd.DataFrame, rows: pd.DataFrame) -> None:
    assert answers["label"].tolist() == rows["prediction"].tolist()
    nats = rows[["loglik_nats.bad", "loglik_nats.good"]].to_numpy()
    expected = np.exp(nats - np.logaddexp.reduce(nats, axis=1, keepdims=True))
    np.testing.assert_allclose(answers[["probability.bad", "probability.good"]], expected, atol=1e-4)


def _text(answers: pd.DataFrame, rows: pd.DataFrame) -> None:
    assert answers["text"].tolist() == rows["prediction"].tolist()
    assert answers["raw"].tolist() == rows["raw"].tolist()


def _likelihood(answers: pd.DataFrame, rows: pd.DataFrame) -> None:
    np.testing.assert_allclose(answers["nats"], rows["sum.nats"], rtol=1e-4)
    assert answers["tokens"].tolist() == rows["sum.tokens"].tolist()


@pytest.mark.parametrize(
    ("name", "model", "agree"),
    [
        ("reviews", "reviews-label/1", _choice),  # an adapter
        ("reviews", "reviews-label/2", _choice),  # a whole model
        ("texts", "texts-model/1", _text),
        ("perplexity", "perplexity-model/1", _likelihood),
    ],
)
def test_registered_models_answer_as_when_they_were_evaluated(
    earlier: Workplace, name: str, model: str, agree: Callable[[pd.DataFrame, pd.DataFrame], None]
) -> None:
    workplace = of_suite(earlier, name)
    workplace.command("export", str(workplace.suite), "-o", "items.csv")
    items = pd.read_csv(workplace.folder / "items.csv").head(24)
    version = mlflow.MlflowClient(workplace.uri).get_model_version(*model.split("/"))
    rows = table_of(workplace, version.tags["mlbaseline.evaluation_run_id"], "results/examples.parquet")
    mlflow.set_tracking_uri(workplace.uri)
    answers = mlflow.pyfunc.load_model(f"models:/{model}").predict(items[["text"]])
    assert answers["error"].isna().all()
    agree(answers, rows.set_index("example_id").loc[items["example_id"]])
