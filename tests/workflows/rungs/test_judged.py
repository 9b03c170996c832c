"""A judged metric from the suite file to the verdict: a real endpoint as judge, labels of people, and what decides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from shutil import copy
from typing import Any

import mlflow
import pandas as pd
import pytest

from mlbaseline import workflows
from mlbaseline.errors import DataError, SuiteError
from tests.support.ladders.judged_suite import (
    RUBRIC,
    JudgedSuite,
    better_one,
    biased_judge,
    endpoint,
    fill_in,
    first_lover,
    true_level,
)
from tests.support.processes.http_server import RecordingServer, Response, chat, serve


@pytest.fixture
def judged(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JudgedSuite]:
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    copy(empty_database, tmp_path / "mlflow.db")
    suite = JudgedSuite(tmp_path, f"sqlite:///{tmp_path}/mlflow.db")
    suite.write_answers()
    yield suite


def metric(server: RecordingServer, **more: Any) -> dict[str, Any]:
    return {"rubric": RUBRIC, "judge": {"endpoint": endpoint(server.url)}, **more}


def rows_of(judged: JudgedSuite, run_id: str) -> pd.DataFrame:
    client = mlflow.MlflowClient(judged.uri)
    return pd.read_parquet(client.download_artifacts(run_id, "results/examples.parquet"))


def test_a_judge_decides_nothing_until_people_have_labelled(judged: JudgedSuite) -> None:
    with serve(biased_judge) as server:
        judged.write(metric(server))
        document = workflows.run(judged.suite, tracking_uri=judged.uri).document
        asked = len(server.requests)
        assert asked == 320
        again = workflows.evaluate(judged.suite, tracking_uri=judged.uri).document
        assert all(each["reused"] for each in again["evaluations"])
        assert len(server.requests) == asked
    comparison = document["comparison"]
    assert comparison["verdict"] == "inconclusive", comparison["reason"]
    (row,) = [row for row in comparison["comparisons"] if row["role"] == "primary"]
    assert (row["outcome"], row["method"], row["undecided"]) == ("inconclusive", "judge_alone", "no human labels")
    assert row["delta"] > 0.3  # of a true +0.15 or so
    assert "helpful is not decided: no human labels" in comparison["reason"]
    (new,) = [each for each in document["evaluations"] if each["baseline"] == "new"]
    figures = mlflow.MlflowClient(judged.uri).get_run(new["run_id"]).data.metrics
    assert figures["judge/helpful/questions"] == 160
    assert figures["judge/helpful/tokens_in"] == 16_000
    assert figures["judge/helpful/errors"] == 0

    sheet, labels = judged.folder / "sheet.csv", judged.folder / "labels.csv"
    exported = workflows.export(judged.suite, output=sheet, labels=60, tracking_uri=judged.uri).document
    assert exported["inclusion_probability"] == 60 / 160
    assert exported["rungs"] == ["old", "new"]
    assert not {"old", "new", "baseline"} & set(pd.read_csv(sheet))
    fill_in(sheet, true_level, labels)
    judged.write(metric(server, labels="labels.csv"))
    decided = workflows.compare(judged.suite, tracking_uri=judged.uri).document
    (row,) = [row for row in decided["comparisons"] if row["role"] == "primary"]
    assert (row["outcome"], row["method"], row["undecided"]) == ("pass", "ppi++", None)
    truth = true_difference(judged)
    assert row["low"] < truth < row["high"]
    assert row["n_labels"] == 60
    assert row["effective_labels"] > 60
    assert decided["verdict"] == "promote"
    (judge,) = decided["judges"]
    people = judge["people"]
    assert (people["drawn"], people["annotators"], people["people_alpha"]) == (60, 1, None)
    assert people["bias"] > 0.05
    assert 0.8 < people["correlation"] < 1
    assert judge["cost"]["questions"] == 320


def true_difference(judged: JudgedSuite) -> float:
    old, new = (pd.read_csv(judged.folder / f"{name}.csv") for name in ("old", "new"))
    levels = [side["prediction"].str.extract(r"level (\d)")[0].astype(int) for side in (old, new)]
    return float((levels[1] - levels[0]).mean() / 4)


def test_two_answers_are_compared_in_both_orders(judged: JudgedSuite) -> None:
    with serve(first_lover) as server:
        judged.write(metric(server, against="old"))
        document = workflows.evaluate(judged.suite, baselines=["new"], tracking_uri=judged.uri).document
        by_name = {each["baseline"]: each for each in document["evaluations"]}
        assert list(by_name) == ["old", "new"]  # what answers are compared with comes first, asked for or not
        sheet, labels = judged.folder / "sheet.csv", judged.folder / "labels.csv"
        workflows.export(judged.suite, output=sheet, labels=60, tracking_uri=judged.uri)
        fill_in(sheet, better_one, labels)
        judged.write(metric(server, against="old", labels="labels.csv"))
        decided = workflows.compare(judged.suite, tracking_uri=judged.uri).document
    rows = rows_of(judged, by_name["new"]["run_id"])
    assert (rows_of(judged, by_name["old"]["run_id"])["score.helpful"] == 0.5).all()
    disagree = rows["judge.helpful.first"] != rows["judge.helpful.second"]
    assert (rows["score.helpful"][disagree] == 0.5).all()
    figures = mlflow.MlflowClient(judged.uri).get_run(by_name["new"]["run_id"]).data.metrics
    assert figures["judge/helpful/position_bias"] > 0.4
    assert figures["judge/helpful/orders_disagree"] > 0.8
    assert figures["judge/helpful/questions"] == 320
    (row,) = [row for row in decided["comparisons"] if row["role"] == "primary"]
    assert (row["outcome"], row["n_labels"]) == ("pass", 60)
    assert row["baseline_mean"] == pytest.approx(0.5)


def test_labels_that_are_missing_or_chosen_decide_nothing(judged: JudgedSuite) -> None:
    with serve(biased_judge) as server:
        judged.write(metric(server))
        workflows.evaluate(judged.suite, tracking_uri=judged.uri)
    sheet, labels = judged.folder / "sheet.csv", judged.folder / "labels.csv"
    workflows.export(judged.suite, output=sheet, labels=40, tracking_uri=judged.uri)
    judged.write(metric(server, labels="labels.csv"))

    def undecided() -> str:
        document = workflows.compare(judged.suite, tracking_uri=judged.uri).document
        assert document["verdict"] == "inconclusive", document["reason"]
        (row,) = [row for row in document["comparisons"] if row["role"] == "primary"]
        return str(row["undecided"])

    skipped = set(pd.read_csv(sheet)["item"].head(3))
    fill_in(sheet, lambda row: "" if row["item"] in skipped else true_level(row), labels)
    assert "of the 40 drawn examples lack a human label" in undecided()
    # Another draw than the registered one: the labels are of answers that nobody drew.
    frame = pd.read_csv(sheet, dtype=str)
    frame.assign(label="3", item=[f"{i:016x}" for i in range(len(frame))]).to_csv(labels, index=False)
    assert undecided() == "40 of the 40 drawn examples lack a human label"
    frame.assign(label="seven").to_csv(labels, index=False)
    with pytest.raises(DataError, match=r"metrics\.helpful\.labels: .*\n.*labels that are none of 1, 2, 3, 4, 5"):
        workflows.compare(judged.suite, tracking_uri=judged.uri)
    with pytest.raises(SuiteError, match="may hold labels"):
        workflows.export(judged.suite, output=sheet, labels=50, tracking_uri=judged.uri)


def test_an_odd_reply_is_one_row_and_asked_once(judged: JudgedSuite) -> None:
    def odd(body: Any) -> Response:
        return chat("I cannot say.") if "What is 7 and 7" in str(body) else biased_judge(body)

    with serve(odd) as server:
        judged.write(metric(server))
        document = workflows.evaluate(judged.suite, baselines=["old"], tracking_uri=judged.uri).document
        (old,) = document["evaluations"]
        asked = len(server.requests)
        workflows.evaluate(judged.suite, baselines=["new"], tracking_uri=judged.uri)
    rows = rows_of(judged, old["run_id"])
    failed = rows["judge.helpful.error"].notna()
    assert (asked, failed.sum(), rows["score.helpful"][failed].item()) == (160, 1, 0.5)
    assert rows["error"].isna().all()
    assert "begins with none of the choices" in rows["judge.helpful.error"][failed].item()


def test_a_judge_that_stops_answering_is_asked_for_the_rest(judged: JudgedSuite) -> None:
    def broken(body: Any) -> Response:
        return biased_judge(body) if len(server.requests) <= 50 else Response({}, 503)

    with serve(broken) as server:
        judged.write(metric(server))
        workflows.evaluate(judged.suite, baselines=["old"], tracking_uri=judged.uri)
        server.answer = biased_judge
        before = len(server.requests)
        (mended,) = workflows.evaluate(judged.suite, baselines=["old"], tracking_uri=judged.uri).document["evaluations"]
        # All that was not answered, and ten anchors to see whether it is still the same judge.
        assert len(server.requests) - before == 110 + 10
    assert not mended["reused"]
    assert "judge.helpful.error" not in rows_of(judged, mended["run_id"])
    figures = mlflow.MlflowClient(judged.uri).get_run(mended["run_id"]).data.metrics
    assert (figures["judge/helpful/anchors"], figures["judge/helpful/anchors_changed"]) == (10, 0)


def test_another_judge_is_another_metric(judged: JudgedSuite) -> None:
    with serve(biased_judge) as server:
        judged.write(metric(server))
        workflows.evaluate(judged.suite, tracking_uri=judged.uri)
        judged.write({**metric(server), "rubric": "How polite is the answer?"})
        workflows.evaluate(judged.suite, baselines=["new"], tracking_uri=judged.uri)
    document = workflows.compare(judged.suite, tracking_uri=judged.uri).document
    assert document["verdict"] == "hold"
    assert "judge.helpful.rubric_sha256 is" in document["reason"]


class ModelJudge:
    """A tiny Llama behind HTTP that decodes one of the options of `response_format`, as servers that constrain do."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer, LlamaForCausalLM

        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = LlamaForCausalLM.from_pretrained(folder).eval()

    def __call__(self, body: Any) -> Response:
        import torch

        options = body["response_format"]["json_schema"]["schema"]["properties"]["answer"]["enum"]
        ids = self._tokenizer(body["messages"][-1]["content"])["input_ids"]
        with torch.inference_mode():
            logits = self._model(torch.tensor([ids[-250:]])).logits[0, -1]
        chosen = max(options, key=lambda option: float(logits[self._tokenizer(option)["input_ids"][-1]]))
        return chat(json.dumps({"answer": chosen}), prompt_tokens=len(ids), completion_tokens=1)


def test_a_real_model_judges_from_evaluate_to_a_verdict(judged: JudgedSuite, tiny_model: Path) -> None:
    """Its weights are random, so that it is a bad judge: with people's labels the verdict is right all the same."""
    with serve(ModelJudge(tiny_model)) as server:
        options = endpoint(server.url, choose_by="constrained", max_concurrency=1)
        spec = {"rubric": RUBRIC, "judge": {"endpoint": options}}
        judged.write(spec)
        workflows.evaluate(judged.suite, tracking_uri=judged.uri)
        sheet = judged.folder / "sheet.csv"
        workflows.export(judged.suite, output=sheet, labels=100, tracking_uri=judged.uri)
        fill_in(sheet, true_level, judged.folder / "labels.csv")
        judged.write({**spec, "labels": "labels.csv"})
        decided = workflows.run(judged.suite, no_promote=True, tracking_uri=judged.uri).document["comparison"]
        assert len(server.requests) == 320
    (row,) = [row for row in decided["comparisons"] if row["role"] == "primary"]
    assert (decided["verdict"], row["n_labels"]) == ("promote", 100)
    assert row["low"] < true_difference(judged) < row["high"]
    (judge,) = decided["judges"]
    assert judge["cost"]["errors"] == 0
    assert abs(judge["people"]["correlation"] or 0.0) < 0.5


def test_a_judge_that_drifts_is_noticed(judged: JudgedSuite, caplog: pytest.LogCaptureFixture) -> None:
    with serve(biased_judge) as server:
        judged.write(metric(server))
        workflows.evaluate(judged.suite, baselines=["old"], tracking_uri=judged.uri)
        server.answer = lambda _: chat("5")
        (new,) = workflows.evaluate(judged.suite, baselines=["new"], tracking_uri=judged.uri).document["evaluations"]
    figures = mlflow.MlflowClient(judged.uri).get_run(new["run_id"]).data.metrics
    assert figures["judge/helpful/anchors_changed"] == 10
    assert figures["judge/helpful/anchors_shift"] > 0.2
    assert "the judge answers 10 of 10 anchors otherwise than before" in caplog.text
