"""`run --ask` shows the estimate, and runs only where the answer is yes."""

from __future__ import annotations

import os
import pty
import shutil
import sys
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from mlflow import MlflowClient

from tests.support.ladders.suites import rows_suite
from tests.support.ladders.workplace import ENVIRONMENT
from tests.support.ladders.written_data import rows_of, write_jsonl
from tests.support.processes.commands import run_command

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


def run(folder: Path, terminal: int | None) -> CompletedProcess[str]:
    """Run the ladder. terminal: descriptor of the one whose keyboard is its input."""
    command = ["run", "suite.yaml", "--ask", "--tracking-uri", "sqlite:///mlflow.db"]
    prepare = partial(sit_down_at, os.ttyname(terminal)) if terminal is not None else None
    return run_command(command, folder, {**os.environ, **ENVIRONMENT}, prepare)


def sit_down_at(terminal: str) -> None:
    os.dup2(os.open(terminal, os.O_RDWR | os.O_NOCTTY), 0)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)


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
    done = run(folder, None)
    assert done.returncode == 2 and "--ask needs a terminal" in done.stderr
    assert n_runs(folder) == 0
