"""Servers in processes of their own: any command that answers HTTP, and MLflow's tracking server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import copy
from typing import Any


@contextmanager
def serving(command: list[str], health: str, log: Path, **options: Any) -> Iterator[None]:
    """The command in a process group of its own, from when `health` answers until the block ends."""
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True, **options)
    try:
        for _ in range(600):
            if process.poll() is not None:
                break
            try:
                urllib.request.urlopen(health, timeout=1).read()
                break
            except OSError:
                time.sleep(0.2)
        assert process.poll() is None, log.read_text()[-3000:]
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mlflow_server(folder: Path, empty_database: Path, **options: Any) -> Iterator[str]:
    """URI of a server with its database and its artifacts in `folder`. options: of its process."""
    copy(empty_database, folder / "server.db")
    port = free_port()
    arguments = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    arguments += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", f"{folder}/files"]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", *arguments]
    with serving(command, f"{uri}/health", folder / "server.log", env=environment, cwd=folder, **options):
        yield uri
