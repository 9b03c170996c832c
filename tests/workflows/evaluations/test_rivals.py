"""Two drivers that evaluate the same suite at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from mlflow import MlflowClient

from mlbaseline import workflows
from tests.support.ladders.cheap_ladder import CheapLadder

RULE = "rule: {kind: trivial, strategy: callable, function: 'rules:label'}"
OTHER_DRIVER = """
from pathlib import Path
import os
import subprocess
import sys
import time
from pathlib import Path

from mlflow import MlflowClient

from mlbaseline import workflows

begun = Path("begun")

def label(fields):
    if not begun.exists():  # the first call of the first driver: now a second one goes all the way
        begun.touch()
        done = workflows.evaluate("suite.yaml", baselines=["rule"], tracking_uri="{uri}").document
        Path("other").write_text(done["evaluations"][0]["run_id"])
    return "good"
"""


def test_the_run_that_completes_first_counts_for_both(cheap_ladder: CheapLadder) -> None:
    rules = OTHER_DRIVER.replace("{uri}", cheap_ladder.uri)
    (cheap_ladder.folder / "rules.py").write_text(rules, encoding="utf-8")
    cheap_ladder.write(RULE, candidate="rule")
    (ours,) = workflows.evaluate(cheap_ladder.suite, baselines=["rule"], tracking_uri=cheap_ladder.uri).document[
        "evaluations"
    ]
    other = (cheap_ladder.folder / "other").read_text(encoding="utf-8")
    assert (ours["run_id"], ours["reused"]) == (other, True)
    (again,) = workflows.evaluate(cheap_ladder.suite, baselines=["rule"], tracking_uri=cheap_ladder.uri).document[
        "evaluations"
    ]
    assert again["run_id"] == other, "nothing takes the superseded run, though it is newer"


SLOW = "{name}: {{kind: trivial, strategy: callable, function: 'slow:{name}'}}"
SLOW_RULES = """
import os
import time
from pathlib import Path

def first(fields):
    return answer("first")

def second(fields):
    return answer("second")

def answer(name):
    if not Path(f"{name}-{os.getpid()}").exists():
        Path(f"{name}-{os.getpid()}").touch()
        while name == "first" and not Path("go").exists():
            time.sleep(0.05)
    return "good"
"""


def test_two_drivers_share_the_work(cheap_ladder: CheapLadder) -> None:
    """The first driver is held at the first rung; the other one evaluates the second, and then waits for the first."""
    folder = cheap_ladder.folder
    (folder / "slow.py").write_text(SLOW_RULES, encoding="utf-8")
    cheap_ladder.write(SLOW.format(name="first"), SLOW.format(name="second"), candidate="first")
    with ThreadPoolExecutor(2) as threads:
        held = threads.submit(cheap_ladder.document, "evaluate", "suite.yaml")
        wait_for(lambda: any(folder.glob("first-*")), held)
        other = threads.submit(cheap_ladder.document, "evaluate", "suite.yaml")
        wait_for(lambda: "second" in completed(cheap_ladder), other)
        (folder / "go").touch()
        documents = [held.result(), other.result()]
    runs = [{each["baseline"]: each["run_id"] for each in document["evaluations"]} for document in documents]
    assert runs[0] == runs[1]
    reused = [[each["baseline"] for each in document["evaluations"] if each["reused"]] for document in documents]
    assert reused == [["second"], ["majority", "first"]]
    assert [len(list(folder.glob(f"{name}-*"))) for name in ("first", "second")] == [1, 1]
    assert sorted(completed(cheap_ladder)) == ["first", "majority", "second"]


def wait_for(condition: Callable[[], bool], running: Future[Any]) -> None:
    """Wait until something has happened, while a command runs."""
    while not condition():
        assert not running.done(), running.result()
        time.sleep(0.1)


def completed(place: CheapLadder) -> list[str]:
    """The baselines of the completed evaluations, superseded ones, too."""
    client = MlflowClient(place.uri)
    query = "tags.`mlbaseline.kind` = 'evaluation' and attributes.status = 'FINISHED'"
    experiments = [found.experiment_id for found in client.search_experiments()]
    return [run.data.tags["mlbaseline.baseline"] for run in client.search_runs(experiments, query)]
