"""A whole ladder over a connection that loses, cuts, delays and refuses: the same end, and nothing is there twice.

MLBASELINE_TEST_AWAY_S is how long the server is away, with MLflow's own pauses between attempts;
`docs/security/faults.md` has the figures of three minutes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.support.ladders.whole_ladders import Outcome, WholeLadder, check_nothing_twice, outcome_of
from tests.support.processes.commands import run_command
from tests.support.processes.servers import mlflow_server
from tests.support.processes.unreliable_proxy import FAULTS, UnreliableProxy, unreliable

pytestmark = [
    pytest.mark.server,
    pytest.mark.timeout(0),
    pytest.mark.skipif("MLBASELINE_TEST_AWAY_S" not in os.environ, reason="takes minutes: make test-faults"),
]
AWAY_S = float(os.environ.get("MLBASELINE_TEST_AWAY_S", "0"))
SEED = int(os.environ.get("MLBASELINE_TEST_SEED", "0"))
RATE = 0.12
QUICK = {"MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1", "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0.01"}
"""Shorter pauses than MLflow's: a second is to be away what three minutes are with its own."""


@dataclass(frozen=True)
class Way:
    """From the ladders of these tests to a server, and what they share: a model and a cache with its trainings."""

    server: str
    model: Path
    cache: Path

    def run(self, folder: Path, proxy: UnreliableProxy, **environment: str) -> Outcome:
        """Run a ladder through a proxy, and check on the server itself what it left there."""
        ladder = WholeLadder.write(folder, folder.name, proxy.url, self.model, {**os.environ, **environment})
        given = {**ladder.environment, "MLBASELINE_CACHE": str(self.cache)}
        done = run_command(ladder.command, ladder.folder, given)
        assert done.returncode == 0, done.stderr
        client = MlflowClient(self.server)
        check_nothing_twice(client, ladder)
        return outcome_of(done.stdout, client)


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory, empty_database: Path, tiny_model: Path) -> Iterator[Way]:
    with mlflow_server(tmp_path_factory.mktemp("server"), empty_database) as uri:
        yield Way(uri, tiny_model, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def expected(way: Way, tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, int]:
    """What the ladder comes to undisturbed, and how many requests it takes."""
    with unreliable(way.server) as proxy:
        outcome = way.run(tmp_path_factory.mktemp("runs") / "undisturbed", proxy)
    return outcome, proxy.requests


def test_requests_and_answers_that_are_lost_cut_late_or_refused(
    way: Way, expected: tuple[Outcome, int], tmp_path: Path
) -> None:
    outcome, _ = expected
    with unreliable(way.server, rate=RATE, seed=SEED) as proxy:
        assert way.run(tmp_path / "disturbed", proxy, **QUICK) == outcome
    tell("disturbed", proxy)
    assert set(proxy.met) == set(FAULTS)


def test_a_server_that_goes_away_and_comes_back_costs_no_answer(
    way: Way, expected: tuple[Outcome, int], tmp_path: Path
) -> None:
    outcome, requests = expected
    with unreliable(way.server, seed=SEED) as proxy:
        # The first requests are not waited for: nothing is lost yet, and the address may be wrong.
        proxy.away_at = proxy.draws.randint(10, requests)
        proxy.away_s = AWAY_S or 5.0
        assert way.run(tmp_path / "away", proxy, **({} if AWAY_S else QUICK)) == outcome
    tell(f"away at request {proxy.away_at} of {requests} for {proxy.away_s:g} s", proxy)
    assert proxy.met["away"] > 1


def tell(what: str, proxy: UnreliableProxy) -> None:
    print(f"{what}: {proxy.requests} requests, {dict(proxy.met)}", flush=True)
