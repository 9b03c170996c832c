"""Rungs that the nodes of a Ray cluster evaluate."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

from mlbaseline import store
from mlbaseline.engine.training.cached import PackedTraining
from mlbaseline.errors import MlbaselineError
from mlbaseline.tasks import open_suite
from mlbaseline.workflows.evaluations.executors.choosing import open_executor
from mlbaseline.workflows.evaluations.executors.on_node import evaluate_task
from mlbaseline.workflows.evaluations.executors.ray_cluster import connected
from mlbaseline.workflows.evaluations.executors.ray_helpers import RayHelpers, ray_helpers
from mlbaseline.workflows.evaluations.executors.rung_task import LadderAddress, RungTask
from mlbaseline.workflows.evaluations.ladder_run import open_ladder
from tests.support.ladders.workplace import ENVIRONMENT, Workplace
from tests.support.processes.ray_clusters import SmallCluster, small_cluster
from tests.support.processes.servers import mlflow_server

pytestmark = pytest.mark.timeout(1200)  # Ray takes half a minute to start where others compute, too
COMPUTED = ("prediction", "loglik_nats.", "score.", "error")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallCluster]:
    pytest.importorskip("ray")
    with small_cluster(tmp_path_factory.mktemp("ray")) as cluster:
        cluster.add_node("other")
        yield cluster


def chosen(*baselines: str) -> list[str]:
    return [f"--baseline={name}" for name in baselines]


def rows(client: mlflow.MlflowClient, run_id: str) -> pd.DataFrame:
    """What was computed, one row an example."""
    frame = pd.read_parquet(client.download_artifacts(run_id, "results/examples.parquet"))
    frame = frame.set_index("example_id").sort_index()
    return frame[[name for name in frame if str(name).startswith(COMPUTED)]]


def test_nodes_give_the_bits_of_this_machine(workplace: Workplace, cluster: SmallCluster, tmp_path: Path) -> None:
    asked = ("evaluate", str(workplace.suite), "--seed=1", *chosen("uniform", "few_shot", "lora"))
    spread = workplace.command(*asked, "--ray", cluster.address)
    nodes = {line.split(" on node ")[1].split(": ")[0] for line in spread.stderr.splitlines() if " on node " in line}
    assert len(nodes) == 2, spread.stderr
    reused = workplace.document(*asked)["evaluations"]
    own = workplace.command(*asked, "--fresh", "--json", MLBASELINE_CACHE=str(tmp_path / "own"))
    alone = json.loads(own.stdout)["evaluations"]
    client = mlflow.MlflowClient(workplace.uri)
    for ours, theirs in zip(reused, alone, strict=True):
        assert ours["reused"], "a plain run takes what the nodes have completed"
        assert not theirs["reused"]
        pd.testing.assert_frame_equal(rows(client, ours["run_id"]), rows(client, theirs["run_id"]), check_exact=True)


@pytest.fixture
def evaluating(workplace: Workplace, cluster: SmallCluster) -> Iterator[RungTask]:
    """A LoRA rung that this process evaluates, connected with the cluster."""
    workplace.edit("learning_rate: 1.0e-2", "learning_rate: 1.5e-2")  # which no node has trained
    suite = open_suite(str(workplace.suite))
    with connected(cluster.address), open_ladder(store.connect(workplace.uri, suite.name), suite) as ladder:
        data = ladder.task.splits["test"]
        address = LadderAddress(str(workplace.suite), suite.digest, data.digest, "test", workplace.uri, ladder.run_id)
        yield RungTask("lora (seed 1)", address, "lora", (1,), fresh=False, threads=1)


@contextmanager
def ended_helper(task: RungTask, training: PackedTraining | None = None) -> Iterator[RayHelpers]:
    """One that has ended before this process takes a batch: it has taken all that is shared, or has failed."""
    import ray

    with ray_helpers(task, 1, {"num_cpus": 1}, training) as helpers:
        ray.wait(list(helpers.tasks.values()))
        yield helpers


def test_a_helper_gives_the_bits_of_this_machine(
    workplace: Workplace, cluster: SmallCluster, evaluating: RungTask, tmp_path: Path
) -> None:
    def results_of_nodes() -> int:
        return sum(
            path.stat().st_size for name in ("head", "other") for path in cluster.cache_of(name).glob("passes/*")
        )

    before = results_of_nodes()
    (spread,) = evaluate_task(evaluating, "this machine", partial(ended_helper, evaluating)).evaluated
    assert results_of_nodes() > before, "the helper has computed with the weights that were trained here"
    own = workplace.command(
        *("evaluate", str(workplace.suite), "--seed=1", *chosen("lora"), "--fresh", "--json"),
        MLBASELINE_CACHE=str(tmp_path / "own"),
    )
    (alone,) = json.loads(own.stdout)["evaluations"]
    client = mlflow.MlflowClient(workplace.uri)
    pd.testing.assert_frame_equal(rows(client, spread.run_id), rows(client, alone["run_id"]), check_exact=True)


def test_a_rung_goes_on_without_a_helper_that_fails(evaluating: RungTask) -> None:
    wrong = replace(evaluating, ladder=replace(evaluating.ladder, suite_digest="0" * 64))
    outcome = evaluate_task(evaluating, "this machine", partial(ended_helper, wrong))
    assert len(outcome.evaluated) == 1 and not outcome.evaluated[0].reused
    (warning,) = (each for each in outcome.warnings if "goes on without it" in each)
    assert re.search(r"on node .*the suite is another one", warning)


def test_a_lost_node_costs_no_result(workplace: Workplace, cluster: SmallCluster, tmp_path: Path) -> None:
    asked = ("evaluate", str(workplace.suite), *chosen("zero_shot", "lora"))
    doomed = cluster.add_node("doomed")
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(workplace.document, *asked, "--ray", cluster.address)
        while not any(cluster.cache_of("doomed").glob("*/*")):  # it has begun to train or to answer
            assert not running.done(), "the node was given nothing to do"
            time.sleep(0.02)
        cluster.kill(doomed)
        spread = running.result()["evaluations"]
    own = workplace.command(*asked, "--fresh", "--json", MLBASELINE_CACHE=str(tmp_path / "own"))
    client = mlflow.MlflowClient(workplace.uri)
    found, expected = (
        {(e["baseline"], e["seed"]): e for e in part} for part in (spread, json.loads(own.stdout)["evaluations"])
    )
    assert found.keys() == expected.keys() == {("zero_shot", None), ("lora", 0), ("lora", 1)}
    for rung, theirs in expected.items():
        ours = rows(client, found[rung]["run_id"])
        pd.testing.assert_frame_equal(ours, rows(client, theirs["run_id"]), check_exact=True)


@pytest.mark.parametrize(("beside", "on_server"), [(("--ray",), False), (("--processes", "2"), True)])
def test_two_drivers_agree(
    workplace: Workplace,
    cluster: SmallCluster,
    empty_database: Path,
    beside: tuple[str, ...],
    on_server: bool,
) -> None:
    workplace.edit("learning_rate: 1.0e-2", f"learning_rate: 1.{len(beside)}e-2")  # trained by no other test
    serving = mlflow_server(workplace.folder, empty_database) if on_server else nullcontext(workplace.uri)
    asked = ("evaluate", str(workplace.suite), *chosen("uniform", "zero_shot", "lora"))
    drivers = [("--ray", cluster.address), (*beside, *([] if on_server else [cluster.address]))]
    with serving as uri, ThreadPoolExecutor(2) as threads:
        running = [threads.submit(workplace.document, *asked, *driver, "--tracking-uri", uri) for driver in drivers]
        first, second = (
            {(each["baseline"], each["seed"]): each["run_id"] for each in done.result()["evaluations"]}
            for done in running
        )
        client = mlflow.MlflowClient(uri)
        runs = _runs(client, "FINISHED", "evaluation")
        counting = [run.info.run_id for run in runs if run.data.tags["mlbaseline.status"] == "completed"]
    assert len(first) == 5 and first == second
    assert sorted(counting) == sorted(first.values())


def test_an_interrupt_cancels_all_of_it(workplace: Workplace, cluster: SmallCluster) -> None:
    workplace.edit("epochs: 14", "epochs: 5000")
    command = [sys.executable, "-m", "mlbaseline", "evaluate", str(workplace.suite), *chosen("lora", "full")]
    command += ["--tracking-uri", workplace.uri, "--ray", cluster.address]
    shown = workplace.folder / "shown"
    with shown.open("w") as file:
        running = subprocess.Popen(command, env={**os.environ, **ENVIRONMENT}, cwd=workplace.folder, stderr=file)
    client = mlflow.MlflowClient(workplace.uri)
    # The ladder, and one rung on each node, of which the driver shows how far they are.
    while len(_runs(client, "RUNNING")) < 3 or not re.search(r"lora · seed 0, training: \d+ of", shown.read_text()):
        assert running.poll() is None, shown.read_text()
        time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=300) == 1
    assert _runs(client, "RUNNING") == []
    assert len(_runs(client, "KILLED")) == 3


def _runs(client: mlflow.MlflowClient, status: str, kind: str = "%") -> list[Any]:
    experiments = [found.experiment_id for found in client.search_experiments()]
    query = f"attributes.status = '{status}' and tags.`mlbaseline.kind` LIKE '{kind}'"
    return list(client.search_runs(experiments, query))


def test_what_cannot_be_reached_or_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MlbaselineError, match=r"--ray 127\.0\.0\.1:1: .*cannot be reached"):
        open_executor("tweets", processes=1, ray="127.0.0.1:1", until_settled=False).__enter__()
    with pytest.raises(MlbaselineError, match=r"(?s)--ray.*goes without --processes"):
        open_executor("tweets", processes=2, ray="auto", until_settled=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MlbaselineError, match=r'pip install "mlbaseline\[ray\]"'):
        open_executor("tweets", processes=1, ray="auto", until_settled=False).__enter__()
