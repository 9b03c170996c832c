"""An endpoint as the rung to beat, from the suite file to the verdict."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import mlflow
import pytest

from mlbaseline import workflows
from mlbaseline.errors import EndpointError
from tests.models.endpoint.test_hostile import KEY, LEAKS
from tests.support.ladders.cheap_ladder import WAIVED, CheapLadder
from tests.support.processes.http_server import Response, chat, serve
from tests.support.processes.servers import mlflow_server

RULE = "rule: {kind: trivial, strategy: keyword, rules: {good: '[+*^!]$'}, default: bad}"


def endpoint(url: str, more: str = "") -> str:
    return f"live: {{kind: production, endpoint: {{url: '{url}', protocol: chat, retries: 0{more}}}}}"


def say_bad(body: Any) -> Response:
    return chat("Bad.", prompt_tokens=10, completion_tokens=1)


def write(cheap_ladder: CheapLadder, live: str) -> None:
    cheap_ladder.write(RULE, live)
    matrix = "matrix:\n  primary: [{candidate: rule, over: [majority, live]}]\n"
    text = cheap_ladder.suite.read_text(encoding="utf-8") + "\n" + matrix + WAIVED
    prices = "cost: {usd_per_million_tokens: {live: {input: 1.0, output: 5.0}}, "
    cheap_ladder.suite.write_text(text.replace("cost: {", prices), encoding="utf-8")


def test_from_the_suite_to_the_verdict_without_a_word_of_the_key(
    cheap_ladder: CheapLadder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LIVE_KEY", "secret-1234")
    caplog.set_level(logging.DEBUG)
    with serve(say_bad) as server:
        write(cheap_ladder, endpoint(server.url, ", api_key_env: LIVE_KEY"))
        document = workflows.run(cheap_ladder.suite, tracking_uri=cheap_ladder.uri).document
        assert len(server.requests) == 120
        # Another patience changes no answer; what is complete stays what it is, here and in a comparison.
        write(cheap_ladder, endpoint(server.url, ", timeout_s: 5, max_concurrency: 2"))
        (again,) = workflows.evaluate(cheap_ladder.suite, kind="production", tracking_uri=cheap_ladder.uri).document[
            "evaluations"
        ]
        assert (again["reused"], len(server.requests)) == (True, 120)
        assert workflows.compare(cheap_ladder.suite, tracking_uri=cheap_ladder.uri).document["verdict"] == "promote"
        workflows.evaluate(cheap_ladder.suite, kind="production", fresh=True, tracking_uri=cheap_ladder.uri)
        assert len(server.requests) == 240
    assert document["comparison"]["verdict"] == "promote"
    run = cheap_ladder.run(next(e["run_id"] for e in document["evaluations"] if e["baseline"] == "live"))
    assert run.data.metrics["accuracy"] == pytest.approx(0.5, abs=0.15)
    assert run.data.metrics["cost_per_query_usd"] == pytest.approx(15e-6)
    assert run.data.metrics["latency_p95_s"] > 0
    assert run.data.params["hardware.device"] == "remote"
    assert run.data.params["endpoint.api_key_env"] == "LIVE_KEY"
    assert not {"peak_memory_bytes", "examples_per_s"} & run.data.metrics.keys()
    assert "secret-1234" not in caplog.text
    written = [path for path in cheap_ladder.folder.rglob("*") if path.is_file()]
    assert any(path.name == "mlflow.db" for path in written)
    assert not [path for path in written if b"secret-1234" in path.read_bytes()]


def test_nobody_wins_against_what_was_not_answered(cheap_ladder: CheapLadder) -> None:
    def answer(body: Any) -> Response:
        return say_bad(body) if len(server.requests) <= 50 else Response({}, 503)

    with serve(answer) as server:
        write(cheap_ladder, endpoint(server.url))
        broken = workflows.run(cheap_ladder.suite, tracking_uri=cheap_ladder.uri).document["comparison"]
        assert broken["verdict"] == "hold"
        (finding,) = (f for f in broken["findings"] if f["code"] == "answered")
        assert f"live: {finding['evidence']['unanswered']} of 120 examples were never answered" in finding["reason"]
        # While nothing comes at all there is nothing new to say, and no second run says it again.
        with pytest.raises(EndpointError, match="HTTP 503"):
            workflows.evaluate(cheap_ladder.suite, kind="production", tracking_uri=cheap_ladder.uri)
        server.answer = say_bad
        asked = len(server.requests)
        mended = workflows.run(cheap_ladder.suite, tracking_uri=cheap_ladder.uri).document
    assert len(server.requests) == asked + finding["evidence"]["unanswered"]
    assert mended["comparison"]["verdict"] == "promote"
    assert [e["reused"] for e in mended["evaluations"]] == [True, True, False]


def test_an_error_ends_the_command_and_leaves_a_failed_run(cheap_ladder: CheapLadder) -> None:
    with serve(lambda body: Response({"error": "no such key"}, 401)) as server:
        write(cheap_ladder, endpoint(server.url))
        with pytest.raises(EndpointError, match=r"baselines\.live\.endpoint: .*refuses the key"):
            workflows.evaluate(cheap_ladder.suite, kind="production", tracking_uri=cheap_ladder.uri)
        assert len(server.requests) == 1
    client = mlflow.MlflowClient(cheap_ladder.uri)
    experiment = client.get_experiment_by_name("reviews")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], "tags.`mlbaseline.baseline` = 'live'")
    assert [run.info.status for run in found] == ["FAILED"]
    assert not Path(cheap_ladder.folder, "cache", "answers").exists()


@pytest.mark.server
def test_an_endpoint_that_gives_the_key_away_gets_it_nowhere_on_a_server(
    cheap_ladder: CheapLadder,
    tmp_path_factory: pytest.TempPathFactory,
    empty_database: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It echoes the key, breaks off and redirects: params, tags, artifacts, tables, logs, errors and caches."""
    monkeypatch.setenv("LIVE_KEY", KEY)
    caplog.set_level(logging.INFO)  # at DEBUG, httpcore itself shows all headers that it gets
    leaks = [leak for leak in LEAKS.values() if leak.content_type != "text/event-stream" and leak.status < 500]
    redirects = [leak for leak in leaks if leak.status == 307]
    others = [leak for leak in leaks if leak.status != 307]
    asked = 0

    def answer(body: Any) -> Response:
        nonlocal asked
        asked += 1
        if asked > limit:
            return redirects[0]
        return others[asked % len(others)] if asked % 2 == 0 else say_bad(body)

    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(folder, empty_database) as uri, serve(answer) as server:
        write(cheap_ladder, endpoint(server.url, ", api_key_env: LIVE_KEY, max_concurrency: 1"))
        limit = 80
        with pytest.raises(EndpointError, match="leads on to") as stopped:
            workflows.run(cheap_ladder.suite, tracking_uri=uri)
        limit = 10_000
        document = workflows.run(cheap_ladder.suite, tracking_uri=uri).document
        client = mlflow.MlflowClient(uri)
        runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
        shown = [str(run.to_dictionary()) for run in runs]
    assert asked > 100
    assert len(redirects) == 1
    shown += [str(stopped.value), caplog.text, str(document)]
    files = [path for place in (folder, cheap_ladder.folder) for path in place.rglob("*") if path.is_file()]
    assert {"server.db", "examples.parquet", "server.log"} <= {path.name for path in files}
    for part in (KEY, KEY[3:12]):  # a piece of it is a leak as well
        assert not [text[:200] for text in shown if part in text]
        assert not [path for path in files if part.encode() in path.read_bytes()]
