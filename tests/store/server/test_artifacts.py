"""Artifacts come from the tracking server and from nowhere else: its token is not sent to a host that a run names."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import mlflow
import pytest

from mlbaseline.errors import TrackingError
from mlbaseline.store.server.artifacts import ALLOWED_HOSTS, check_location, fetch_artifact
from mlbaseline.store.server.connection import Server, reach

REMOTE = Server("https://tracking.example:8443", mlflow.MlflowClient("sqlite://"))
LOCAL = Server("sqlite:///mlflow.db", mlflow.MlflowClient("sqlite://"))


@pytest.mark.parametrize(
    ("server", "location"),
    [
        (REMOTE, "mlflow-artifacts:/1/abc/artifacts"),
        (REMOTE, "mlflow-artifacts://tracking.example:8443/1"),
        (REMOTE, "https://tracking.example:8443/api/2.0/mlflow-artifacts/artifacts/1"),
        (REMOTE, "s3://bucket/1/abc"),
        (LOCAL, "/srv/mlruns/1"),
        (LOCAL, "file:///srv/mlruns/1"),
        (LOCAL, "C:/mlruns/1"),
        (Server("http://127.0.0.1:5000", LOCAL.client), "file:///srv/mlruns/1"),
    ],
)
def test_allowed(server: Server, location: str) -> None:
    assert check_location(server, location) == location


@pytest.mark.parametrize(
    ("server", "location", "message"),
    [
        (REMOTE, "https://elsewhere.example/1", "expected the tracking server's own address, got 'elsewhere.example'"),
        (REMOTE, "https://tracking.example@elsewhere.example:8443/1", "got 'tracking.example@elsewhere.example:8443'"),
        (REMOTE, "https://tracking.example:9000/1", "got 'tracking.example:9000'"),
        (REMOTE, "mlflow-artifacts://elsewhere.example:8443/1", "own address"),
        (LOCAL, "http://127.0.0.1:8000/1", "own address"),
        (REMOTE, "file:///etc", "a remote server names a file of this machine"),
        (REMOTE, "/etc", "a remote server names a file of this machine"),
        (REMOTE, "ftp://elsewhere.example/1", "got 'ftp'"),
        (REMOTE, "hdfs://elsewhere.example/1", "got 'hdfs'"),
    ],
)
def test_refused(server: Server, location: str, message: str) -> None:
    with pytest.raises(TrackingError, match="are not fetched") as caught:
        check_location(server, location)
    assert message in str(caught.value)


def test_the_operator_can_name_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOWED_HOSTS, "store.example, elsewhere.example")
    assert check_location(REMOTE, "https://elsewhere.example/1")


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """An HTTP server on this machine, and the requests that reached it."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"{self.path} {self.headers.get('Authorization')}")
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    thread.join()
    server.server_close()


def test_no_request_and_no_token_reaches_another_address(
    database: str, listener: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An MLflow server of today refuses such a location itself; an earlier one, and a database, do not."""
    address, seen = listener
    tracker = reach(database)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "a-secret-token")
    experiment = tracker.client.create_experiment("another address", artifact_location=f"{address}/artifacts")
    run = tracker.client.create_run(experiment)
    with pytest.raises(TrackingError, match="are not fetched"):
        fetch_artifact(tracker, run.info.run_id, "suite.yaml", tmp_path)
    assert seen == []
