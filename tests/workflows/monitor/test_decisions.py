"""`mlbaseline canary`, `drift` and `replay`: from a ledger and recorded runs to a decision, a run and a page."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from shutil import copy

import pandas as pd
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from mlbaseline import store, workflows
from mlbaseline.errors import DataError, SuiteError
from mlbaseline.monitor import open_ledger
from mlbaseline.store.live.decisions import DECISION
from tests.support.ladders.suites import reviews_suite
from tests.support.ladders.workplace import write_reviews
from tests.support.processes.http_server import Response, serve
from tests.support.traffic import stream

SUITE = reviews_suite(
    """
baselines:
  majority: {kind: trivial, strategy: majority}
  uniform: {kind: trivial, strategy: uniform}
monitor:
  traffic: {source: files, paths: ["events/*.parquet"]}
  reference: majority
  slices: [topic]
  drift: {delta: 0.02, label_delay: 1d}
  canary:
    candidate: uniform
    ramp: [{share: 0.2, hold: 1d}]
    guardrails: {error: {ratio: 1.25}, accuracy: {margin: 0.05}, latency_p95: {ratio: 1.5}, cost: {ratio: 1.5}}
""",
    slices="{topic: {column: review, patterns: {billing: soup|bread, login: chair|lamp}, default: other}}",
)


@pytest.fixture
def suite(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "cache"))
    copy(empty_database, tmp_path / "mlflow.db")
    write_reviews(tmp_path / "reviews.csv")
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE)
    return path


def uri(suite: Path) -> str:
    return f"sqlite:///{suite.parent}/mlflow.db"


def ingest(suite: Path, frame: pd.DataFrame, name: str = "1.parquet") -> Path:
    path = suite.parent / "events" / name
    path.parent.mkdir(exist_ok=True)
    frame.to_parquet(path)
    workflows.ingest(suite, tracking_uri=uri(suite))
    return path


def canary_runs(suite: Path) -> list[Run]:
    client = MlflowClient(uri(suite))
    experiment = client.get_experiment_by_name("reviews")
    return list(client.search_runs([experiment.experiment_id], "tags.`mlbaseline.kind` = 'canary'"))


def test_a_harmful_canary_leaves_one_run_with_its_page(suite: Path) -> None:
    ingest(suite, stream(20_000, share=0.2, failure_rate=(0.02, 0.2), labelled=0.5))
    outcome = workflows.canary(suite, tracking_uri=uri(suite))
    document = json.loads(json.dumps(outcome.document, default=str))
    assert (outcome.exit_code, document["decision"], document["share"]) == (3, "roll_back", 0.0)
    assert {"name", "log_e_harm", "log_e_non_inferior", "threshold", "outcome"} <= set(document["guardrails"][0])
    assert document["mismatch"]["outcome"] == "pass"
    assert "Roll back" in outcome.text(False, 100)
    again = workflows.canary(suite, tracking_uri=uri(suite))
    assert again.document == outcome.document
    (run,) = canary_runs(suite)
    assert run.data.tags[DECISION] == "roll_back"
    history = MlflowClient(uri(suite)).get_metric_history(run.info.run_id, "log_e/error/harm")
    assert len(history) > 3
    page = Path(store.artifact_path(store.connect(uri(suite), "reviews"), run.info.run_id, "canary/report.html"))
    text = page.read_text(encoding="utf-8")
    assert "Canary of <code>reviews</code>" in text
    assert "does harm by error" in text
    assert text.count("<svg") == 1


def test_an_alarm_is_told_once_and_again_only_where_it_did_not_arrive(
    suite: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLBASELINE_WEBHOOK_SECRET", base64.b64encode(bytes(32)).decode())
    ingest(suite, stream(20_000, share=0.2, failure_rate=(0.02, 0.2), labelled=0.5))
    with serve(lambda _: Response({}, status=400)) as server:

        def look() -> int:
            return workflows.canary(suite, webhook=server.url, tracking_uri=uri(suite)).exit_code

        assert look() == 3, "what is decided does not hang on who is told"
        assert "127.0.0.1 did not receive" in caplog.text
        server.answer = lambda _: Response({})
        assert (look(), look(), len(server.requests)) == (3, 3, 2)
    (run,) = canary_runs(suite)
    assert server.requests[1]["type"] == "mlbaseline.canary.roll_back"
    assert server.requests[1]["data"]["run_id"] == run.info.run_id
    with pytest.raises(SuiteError, match="--webhook needs the run of the decision"):
        workflows.canary(suite, webhook=server.url, record=False, tracking_uri=uri(suite))


def test_looking_without_a_record_leaves_no_run(suite: Path) -> None:
    ingest(suite, stream(2_000, share=0.2))
    outcome = workflows.canary(suite, record=False, tracking_uri=uri(suite))
    assert (outcome.exit_code, outcome.document["decision"], outcome.document["run_id"]) == (0, "continue", None)
    assert canary_runs(suite) == []


def test_a_split_that_is_not_what_it_claims_exits_with_5(suite: Path) -> None:
    frame = stream(5_000, share=0.2)
    frame["share"] = 0.1
    ingest(suite, frame)
    assert workflows.canary(suite, record=False, tracking_uri=uri(suite)).exit_code == 5


def test_drift_is_measured_against_the_recorded_runs(suite: Path) -> None:
    workflows.evaluate(suite, baselines=["majority"], tracking_uri=uri(suite))
    quiet = stream(20_000, days=30, share=0.0, accuracy=(0.7, 0.7), labelled=0.5)
    ingest(suite, quiet)
    outcome = workflows.drift(suite, tracking_uri=uri(suite))
    assert (outcome.exit_code, outcome.document["alarm"]) == (0, False)
    assert outcome.document["days"] == 29
    worse = stream(20_000, seed=1, days=30, share=0.0, accuracy=(0.2, 0.2), labelled=0.5)
    for column in ("time", "label_time"):
        worse[column] += pd.Timedelta(days=30)
    ingest(suite, worse, "2.parquet")
    outcome = workflows.drift(suite, tracking_uri=uri(suite))
    assert (outcome.exit_code, outcome.document["alarm"]) == (3, True)
    overall = outcome.document["slices"][0]
    assert (overall["slice"], overall["outcome"].value) == (None, "alarm")
    assert overall["alarmed_at"] > "2026-03-30"
    assert "retrain" in outcome.text(False, 100)


def test_drift_without_recorded_runs_says_what_to_do(suite: Path) -> None:
    open_ledger(suite.parent / "reviews-traffic.db", "reviews").close()
    with pytest.raises(DataError, match="mlbaseline evaluate reviews --baseline majority"):
        workflows.drift(suite, tracking_uri=uri(suite))


def test_a_recorded_stream_is_replayed_and_leaves_the_ledger_alone(suite: Path) -> None:
    path = suite.parent / "recorded.parquet"
    stream(20_000, share=0.2, failure_rate=(0.02, 0.2), labelled=0.5).to_parquet(path)
    page = suite.parent / "replay.html"
    outcome = workflows.replay(suite, [str(path)], output=page, tracking_uri=uri(suite))
    assert outcome.document["canary"]["decision"].value == "roll_back"
    assert outcome.document["canary"]["decided_at"] < "2026-03-05"
    assert outcome.document["drift"] == {"alarms": [], "days": 9, "reference": "the first 7 days"}
    assert {row["volume"] for row in outcome.document["power"]} >= {"10,000 requests a day", "100 labels a day"}
    assert "Replay of" in page.read_text(encoding="utf-8")
    assert not (suite.parent / "reviews-traffic.db").exists()


def test_a_suite_without_rules_is_refused(suite: Path) -> None:
    suite.write_text(SUITE.partition("  canary:")[0])
    with pytest.raises(SuiteError, match=r"monitor\.canary: is missing"):
        workflows.canary(suite, tracking_uri=uri(suite))
