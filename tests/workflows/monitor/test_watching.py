"""The decisions over HTTP: the answers of the command line, as each splitter asks for them."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from mlbaseline import store, workflows
from mlbaseline.errors import SuiteError
from mlbaseline.suite.reading import load_suite
from mlbaseline.workflows.command_result import document_json
from mlbaseline.workflows.monitor.request_border import LARGEST_BODY
from mlbaseline.workflows.monitor.watching import Watcher, make_app, watch
from tests.support.checkout import ROOT
from tests.support.traffic import stream
from tests.workflows.monitor.test_decisions import ingest, suite, uri

__all__ = ["suite"]
MONITORING = ROOT / "docs" / "how-to" / "monitoring"
SELECTOR = re.compile(r"\b(mlbaseline_[a-z0-9_]+)(\{[^}]*\})?")
LABEL = re.compile(r'(\w+)="([^"]*)"')
FLAGGER = {"name": "api", "namespace": "prod", "phase": "Progressing", "metadata": {}}


@pytest.fixture
def watcher(suite: Path) -> Watcher:
    return Watcher(load_suite(suite), store.connect(uri(suite), "reviews"), None)


def ask(watcher: Watcher, method: str, path: str, *, token: str = "", **options: object) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=make_app(watcher, token))
        async with httpx.AsyncClient(transport=transport, base_url="http://watch") as client:
            return await client.request(method, path, **options)

    return asyncio.run(send())


def test_the_answer_is_that_of_the_command_line(suite: Path, watcher: Watcher) -> None:
    workflows.evaluate(suite, baselines=["majority"], tracking_uri=uri(suite))
    ingest(suite, stream(10_000, share=0.2, failure_rate=(0.02, 0.2), labelled=0.5))
    watcher.look()
    said = {**workflows.canary(suite, record=False, tracking_uri=uri(suite)).document}
    del said["run_id"], said["action"]
    assert ask(watcher, "GET", "/canary").json() == json.loads(document_json(said))
    said = {**workflows.drift(suite, record=False, tracking_uri=uri(suite)).document}
    del said["run_id"]
    assert ask(watcher, "GET", "/drift").json() == json.loads(document_json(said))


@pytest.mark.parametrize(("failures", "rollback"), [(0.2, 200), (0.02, 403)])
def test_flagger_gets_a_status(suite: Path, watcher: Watcher, failures: float, rollback: int) -> None:
    ingest(suite, stream(6_000, seed=1, share=0.2, failure_rate=(0.02, failures), labelled=0.5))
    watcher.look()
    assert watcher.canary is not None
    assert watcher.canary.decision.value == ("roll_back" if rollback == 200 else "continue")
    for hook, status in (("confirm-traffic-increase", 403), ("confirm-promotion", 403), ("rollback", rollback)):
        assert ask(watcher, "POST", f"/flagger/{hook}", json=FLAGGER).status_code == status
    assert ask(watcher, "GET", "/flagger/rollback").status_code == 405


def test_the_weight_may_rise_when_the_ramp_allows_it(suite: Path, watcher: Watcher) -> None:
    text = suite.read_text().replace("{share: 0.2, hold: 1d}", "{share: 0.2, hold: 1d}, {share: 0.5, hold: 1d}")
    suite.write_text(text)
    ingest(suite, stream(2_000, days=0.5, share=0.2))
    early = Watcher(load_suite(suite), watcher.tracker, None)
    early.look()
    assert ask(early, "POST", "/flagger/confirm-traffic-increase", json=FLAGGER).status_code == 403
    ingest(suite, stream(2_000, seed=2, days=2.0, share=0.2), "2.parquet")
    early.look()
    assert ask(early, "POST", "/flagger/confirm-traffic-increase", json=FLAGGER).status_code == 200


def test_argo_reads_the_decision(suite: Path, watcher: Watcher) -> None:
    ingest(suite, stream(2_000, share=0.2))
    watcher.look()
    answer = ask(watcher, "GET", "/argo/canary")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["decision"] == "continue"


def test_gauges_have_the_form_of_prometheus(suite: Path, watcher: Watcher) -> None:
    workflows.evaluate(suite, baselines=["majority"], tracking_uri=uri(suite))
    ingest(suite, stream(4_000, share=0.2, labelled=0.5))
    watcher.look()
    text = ask(watcher, "GET", "/metrics").text
    label = r'[a-z_]+="(?:[^"\\\n]|\\.)*"'
    sample = rf"[a-z_:0-9]+(?:\{{{label}(?:,{label})*\}})? -?[0-9.e+-]+"
    for line in text.splitlines():
        assert re.fullmatch(rf"# (HELP|TYPE) .+|{sample}", line), line
    assert 'mlbaseline_canary_decision{decision="continue"} 1' in text
    assert 'mlbaseline_drift_alarm{slice="topic",value="billing"} 0' in text
    assert "mlbaseline_watch_up 1" in text


def test_rules_and_panels_select_gauges_with_the_labels_that_they_have(suite: Path, watcher: Watcher) -> None:
    workflows.evaluate(suite, baselines=["majority"], tracking_uri=uri(suite))
    ingest(suite, stream(4_000, share=0.2, labelled=0.5))
    watcher.look()
    samples = [
        (found[1], dict(LABEL.findall(found[2] or "")))
        for line in ask(watcher, "GET", "/metrics").text.splitlines()
        if (found := re.match(r"(mlbaseline_\w+)(?:\{(.*)\})? ", line))
    ]
    asked = [text for path in sorted(MONITORING.iterdir()) for text in SELECTOR.findall(path.read_text("utf-8"))]
    assert len(asked) > 15
    for name, labels in asked:
        wanted = dict(LABEL.findall(labels.replace('\\"', '"')))
        assert any(name == known and wanted.items() <= given.items() for known, given in samples), (name, wanted)


def test_a_token_is_asked_for_everywhere_but_for_health(suite: Path, watcher: Watcher) -> None:
    assert ask(watcher, "GET", "/healthz", token="secret").status_code == 200
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer sécret".encode()}):
        assert ask(watcher, "GET", "/metrics", token="secret", headers=headers).status_code == 401
    allowed = ask(watcher, "GET", "/metrics", token="secret", headers={"Authorization": "Bearer secret"})
    assert allowed.status_code == 200


def test_large_bodies_are_refused(suite: Path, watcher: Watcher) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(LARGEST_BODY // 1024 + 2):
            yield b"x" * 1024

    assert ask(watcher, "POST", "/canary", content=endless()).status_code == 413


def test_before_the_first_decision_nothing_is_said(suite: Path, watcher: Watcher) -> None:
    answer = ask(watcher, "GET", "/canary")
    assert (answer.status_code, answer.json()["error"]) == (503, "nothing is decided yet")
    assert ask(watcher, "POST", "/flagger/confirm-promotion", json=FLAGGER).status_code == 503


def test_a_ledger_that_fails_leaves_the_last_answer_and_says_so(suite: Path, watcher: Watcher) -> None:
    ingest(suite, stream(2_000, share=0.2))
    watcher.look()
    (suite.parent / "other.db").write_bytes(b"no ledger" * 200)
    watcher.ledger = str(suite.parent / "other.db")
    watcher.look()
    assert ask(watcher, "GET", "/canary").json()["decision"] == "continue"
    assert "mlbaseline_watch_up 0" in ask(watcher, "GET", "/metrics").text


def test_other_addresses_need_a_token(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLBASELINE_WATCH_TOKEN", raising=False)
    with pytest.raises(SuiteError, match="MLBASELINE_WATCH_TOKEN"):
        watch(suite, host="192.0.2.1", tracking_uri=uri(suite))


def test_a_real_server_cuts_off_a_body_that_does_not_end(
    suite: Path, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlbaseline.workflows.monitor.request_border.SLOWEST_S", 0.3)
    server = uvicorn.Server(uvicorn.Config(make_app(watcher), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]

    def slowly() -> object:
        yield b"{"
        time.sleep(1.0)
        yield b"}"

    try:
        answer = httpx.post(f"http://127.0.0.1:{port}/canary", content=slowly(), timeout=10)
        assert answer.status_code == 408
    finally:
        server.should_exit = True
        thread.join(timeout=10)
