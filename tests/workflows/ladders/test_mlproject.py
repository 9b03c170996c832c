"""The entry points through `mlflow run`, as most users start them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from shutil import copy, copytree, ignore_patterns

import mlflow

from tests.support.checkout import ROOT
from tests.support.ladders.workplace import ENVIRONMENT, Workplace


def mlflow_run(
    workplace: Workplace, *arguments: str, project: str = str(ROOT), folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """With the `python` of this test first on the path, where mlflow looks for it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", "mlflow", "run", project, "--env-manager", "local", *arguments],
        cwd=folder or workplace.folder,
        env={**os.environ, **ENVIRONMENT, "PATH": path, "MLFLOW_TRACKING_URI": workplace.uri},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_project_run_is_the_ladder(workplace: Workplace) -> None:
    suite = f"suite={workplace.suite}"
    chosen = ("-P", "baseline=uniform", "-P", "seed=1")
    done = mlflow_run(workplace, "-e", "trivial", "--experiment-name", "reviews", "-P", suite, *chosen)
    assert done.returncode == 0, done.stderr
    client = mlflow.MlflowClient(workplace.uri)
    experiment = client.get_experiment_by_name("reviews")
    assert experiment is not None
    ladder, evaluation = sorted(
        client.search_runs([experiment.experiment_id]), key=lambda run: run.data.tags["mlbaseline.kind"], reverse=True
    )
    assert ladder.data.tags["mlbaseline.kind"] == "ladder"
    assert (ladder.info.status, ladder.data.tags["mlbaseline.status"]) == ("FINISHED", "completed")
    assert ladder.data.params["seed"] == "1"
    assert evaluation.data.tags["mlflow.parentRunId"] == ladder.info.run_id
    assert (evaluation.data.tags["mlbaseline.baseline"], evaluation.data.tags["mlbaseline.seed"]) == ("uniform", "1")


def test_a_failure_fails_the_project_run(workplace: Workplace) -> None:
    workplace.edit("kind: human", "kind: humane")
    failed = mlflow_run(workplace, "-e", "human", "--experiment-name", "reviews", "-P", f"suite={workplace.suite}")
    assert failed.returncode == 1
    assert "baselines.annotator.kind: expected one of" in failed.stderr
    client = mlflow.MlflowClient(workplace.uri)
    experiment = client.get_experiment_by_name("reviews")
    assert experiment is not None
    assert [run.info.status for run in client.search_runs([experiment.experiment_id])] == ["FAILED"]


def test_a_recorded_suite_in_a_checkout_and_from_another_folder(workplace: Workplace) -> None:
    checkout = workplace.folder / "checkout"
    copytree(ROOT / "mlbaseline", checkout / "mlbaseline", ignore=ignore_patterns("__pycache__"))
    for name in ("MLproject", "conda.yaml"):
        copy(ROOT / name, checkout)
    suite = ("--experiment-name", "tweets-recorded", "-P", "suite=tweets-recorded")
    ran = mlflow_run(workplace, *suite, project=".", folder=checkout)
    assert ran.returncode == 0, ran.stderr
    elsewhere = workplace.folder / "elsewhere"
    elsewhere.mkdir()
    compared = mlflow_run(workplace, "-e", "compare", *suite, project=str(checkout), folder=elsewhere)
    assert compared.returncode == 0, compared.stderr
    client = mlflow.MlflowClient(workplace.uri)
    experiment = client.get_experiment_by_name("tweets-recorded")
    assert experiment is not None
    query = "tags.`mlbaseline.kind` = 'comparison' and tags.`mlbaseline.status` = 'completed'"
    found = client.search_runs([experiment.experiment_id], query, order_by=["attributes.start_time DESC"])
    assert [run.data.tags["mlbaseline.verdict"] for run in found] == ["promote", "promote"]
    assert found[0].data.tags["mlflow.project.entryPoint"] == "compare"
