"""References to the hub, fetched by its own client from a server here."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from mlbaseline.assets import HubReference, parse_hub_reference
from mlbaseline.errors import AssetError


@pytest.mark.parametrize(
    ("source", "reference"),
    [
        ("hf://org/name", HubReference("org/name", "model", None, None)),
        ("hf://org/na.me-2@v1.0", HubReference("org/na.me-2", "model", "v1.0", None)),
        ("hf://org/name@main/gguf/q4.gguf", HubReference("org/name", "model", "main", "gguf/q4.gguf")),
        ("hf://datasets/org/name/data/a.csv", HubReference("org/name", "dataset", None, "data/a.csv")),
        ("hf://datasets/org/name@abc/a.csv", HubReference("org/name", "dataset", "abc", "a.csv")),
    ],
)
def test_hub_references(source: str, reference: HubReference) -> None:
    assert parse_hub_reference(source) == reference


@pytest.mark.parametrize(
    "source", ["hf://gpt2", "hf://datasets/org/name", "hf://datasets/name", "hf://org/name@", "hf:/org/name"]
)
def test_a_malformed_hub_reference_is_an_error(source: str) -> None:
    with pytest.raises(AssetError, match="expected `hf://ORG/NAME"):
        parse_hub_reference(source)


class Hub(BaseHTTPRequestHandler):
    """As much of a model hub as its client asks for."""

    files: ClassVar = {
        "config.json": b"{}",
        "model.safetensors": b"weights",
        "q4.gguf": b"q",
        "pytorch_model.bin": b"!",
    }

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        commit = "a" * 40
        if path.startswith("/api/") and "/tree/" in path:
            items = [{"type": "file", "path": name, "size": len(self.files[name]), "oid": name} for name in self.files]
            body = json.dumps(items).encode()
        elif path.startswith("/api/"):
            siblings = [{"rfilename": name} for name in self.files]
            body = json.dumps({"id": "org/name", "sha": commit, "siblings": siblings}).encode()
        else:
            body = self.files[path.rpartition("/")[2]]
        self.send_response(200)
        tag = f'"{hashlib.sha1(body).hexdigest()}"'
        for name, value in {"Content-Length": str(len(body)), "ETag": tag, "X-Repo-Commit": commit}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


def fetch_from_hub(endpoint: str, home: Path, *sources: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, since the client reads the hub's address when it is imported."""
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from mlbaseline.assets import fetch\nfrom mlbaseline.suite import Asset\n"
        "for source in sys.argv[1:]:\n"
        "    found = fetch(Asset(source=source), root=Path()); print(*found.path.parts[-3:], found.sha256)"
    )
    env = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home)}
    return subprocess.run([sys.executable, "-c", code, *sources], env=env, capture_output=True, text=True, check=False)


def test_the_hubs_own_client_fetches_snapshots_and_files(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        sources = (
            "hf://org/name@main",
            "hf://org/name@main/q4.gguf",
            "hf://org/name",
            "hf://datasets/org/name/config.json",
        )
        done = fetch_from_hub(f"http://127.0.0.1:{server.server_port}", tmp_path, *sources)
    finally:
        server.shutdown()
        server.server_close()
    assert (done.returncode, done.stderr) == (0, ""), "quiet where no terminal is"
    before, file, after, data = done.stdout.splitlines()
    assert file.split() == ["snapshots", "a" * 40, "q4.gguf", hashlib.sha256(b"q").hexdigest()]
    assert data.split() == ["snapshots", "a" * 40, "config.json", hashlib.sha256(b"{}").hexdigest()]
    assert before == after, "a file fetched by itself lies in the snapshot's folder, and is none of it"
    names = {path.name for path in (tmp_path / "hub" / "models--org--name").glob("snapshots/*/*")}
    assert names == {"config.json", "model.safetensors", "q4.gguf"}, "no pickle"


def test_an_unreachable_hub_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    done = fetch_from_hub("http://127.0.0.1:9", tmp_path, "hf://org/name")  # nothing listens there
    assert "AssetError: hf://org/name: cannot be had from the hub: " in done.stderr
    assert "HF_ENDPOINT for a mirror" in done.stderr


# ---- pip:// ---------------------------------------------------------------------------------------------------------
