"""Signed messages to a real server: what is told, to whom, and how often."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator

import pytest

from mlbaseline.errors import WebhookError
from mlbaseline.monitor import alarm_webhook
from mlbaseline.monitor.alarm_webhook import SECRET, open_webhook
from tests.support.processes.http_server import RecordingServer, Response, serve

KEY = b"of a test, and of nothing more"
CONTENT = {"type": "mlbaseline.drift.alarm", "data": {"suite": "tickets", "sentence": "Größer als erwartet"}}
Answering = Callable[..., RecordingServer]


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, f"whsec_{base64.b64encode(KEY).decode()}")
    monkeypatch.setattr(alarm_webhook, "_PAUSE_S", 0.0)


@pytest.fixture
def answering() -> Iterator[Answering]:
    """A server that gives these responses, one after the other."""
    with serve(lambda _: Response({})) as server:

        def answer(*responses: Response) -> RecordingServer:
            left = iter(responses)
            server.answer = lambda _: next(left)
            return server

        yield answer


def test_a_receiver_can_check_who_wrote_and_when(answering: Answering) -> None:
    server = answering(Response({}))
    open_webhook(server.url).send("run-1", CONTENT)
    headers = {name.lower(): value for name, value in server.headers[0].items()}
    signed = f"run-1.{headers['webhook-timestamp']}.{json.dumps(CONTENT, ensure_ascii=False)}".encode()
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert server.requests == [CONTENT]
    assert (headers["webhook-id"], headers["webhook-signature"]) == ("run-1", f"v1,{expected}")
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60


def test_a_server_that_fails_is_asked_again(answering: Answering) -> None:
    server = answering(Response({}, status=503), Response({}, status=500), Response({}))
    open_webhook(server.url).send("run-1", CONTENT)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("responses", "told"),
    [
        ([Response({}, status=503)] * 3, "HTTP 503"),
        ([Response({}, status=401)], "HTTP 401"),
        ([Response({}, status=307, headers={"Location": "http://127.0.0.1:9/"})], "HTTP 307"),
    ],
)
def test_what_is_not_taken_is_an_error(answering: Answering, responses: list[Response], told: str) -> None:
    server = answering(*responses)
    with pytest.raises(WebhookError, match=rf"127.0.0.1 did not receive run-1: {told}"):
        open_webhook(server.url).send("run-1", CONTENT)
    assert len(server.requests) == len(responses)


def test_nobody_at_home_is_an_error() -> None:
    with pytest.raises(WebhookError, match="did not receive run-1: ConnectError"):
        open_webhook("http://127.0.0.1:9/hook").send("run-1", CONTENT)


@pytest.mark.parametrize("url", ["http://alarms.example.com/hook", "ftp://127.0.0.1", "alarms.example.com", ""])
def test_an_alarm_goes_nowhere_unencrypted(url: str) -> None:
    with pytest.raises(WebhookError, match="begins with https://"):
        open_webhook(url)


@pytest.mark.parametrize("key", ["", "whsec_", "no base64!", base64.b64encode(b"short").decode()])
def test_a_key_that_is_none_is_an_error(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv(SECRET, key)
    with pytest.raises(WebhookError, match="expected 24 to 64 bytes in base64 in the environment variable MLBA"):
        open_webhook("https://alarms.example.com/hook")


def test_the_key_is_not_shown() -> None:
    assert "of a test" not in repr(open_webhook("https://alarms.example.com/hook"))
