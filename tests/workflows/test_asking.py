"""`run --ask` shows the estimate, and runs only where the answer is yes."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.support.suites import rows_suite
from tests.support.workplace import ENVIRONMENT
from tests.support.written_data import rows_of, write_jsonl

SUITE = rows_suite(
    """
baselines:
  majority: {kind: trivial, strategy: majority}
  uniform: {kind: trivial, strategy: uniform}
matrix: {primary: [{candidate: majority, over: [uniform]}]}
""",
    split="{train: 8, test: 20, seed: 1}",
)


@pytest.fixture
def folder(tmp_path: Path, empty_database: Path, own_cache: Path) -> Path:
    write_jsonl(tmp_path / "data.jsonl", rows_of(40))
    (tmp_path / "suite.yaml").write_text(SUITE, encoding="utf-8")
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path


def run(folder: Path, stdin: int) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "mlbaseline",
        "run",
        "suite.yaml",
        "--ask",
        "--tracking-uri",
        "sqlite:///mlflow.db",
    ]
    environment = {**os.environ, **ENVIRONMENT}
    return subprocess.run(
        command, cwd=folder, stdin=stdin, capture_output=True, text=True, env=environment, check=False
    )


def n_runs(folder: Path) -> int:
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    return len(client.search_runs([each.experiment_id for each in client.search_experiments()]))


@pytest.mark.parametrize(("answer", "runs"), [(b"n\n", False), (b"y\n", True)])
def test_the_answer_decides_whether_it_runs(folder: Path, answer: bytes, runs: bool) -> None:
    terminal, stdin = pty.openpty()
    try:
        os.write(terminal, answer)
        done = run(folder, stdin)
    finally:
        os.close(terminal)
        os.close(stdin)
    assert "majority" in done.stderr and "Run it now? [y/N]" in done.stderr
    assert (n_runs(folder) > 0) is runs, done.stderr
    if not runs:
        assert (done.returncode, done.stdout) == (1, "")


def test_without_a_terminal_nothing_is_asked(folder: Path) -> None:
    done = run(folder, subprocess.DEVNULL)
    assert done.returncode == 2 and "--ask needs a terminal" in done.stderr
    assert n_runs(folder) == 0
