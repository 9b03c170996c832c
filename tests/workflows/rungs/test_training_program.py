"""Rungs that a program of the user's trains: through evaluation, verdict, promotion and serving, and when it fails."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import psutil
import pytest
from mlflow import MlflowClient

from tests.support.checkout import ROOT
from tests.support.ladders.workplace import ENVIRONMENT, Workplace
from tests.support.models.own_trainer import write_own_trainer


def test_a_command_trains_a_rung_of_the_ladder(
    workplace: Workplace, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_own_trainer(
        workplace.folder, workplace.suite, tiny_model, '{command: "COMMAND", environment: [NEEDED]}', kind="peft"
    )
    for name in ("TOP_SECRET", "NEEDED"):
        monkeypatch.setenv(name, "1")
    document = workplace.document("run", "suite.yaml")
    assert document["comparison"]["verdict"] == "promote", document["comparison"]
    client = MlflowClient(workplace.uri)
    experiment = client.get_experiment_by_name("reviews")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    own, training = runs["own · seed 0"], runs["own · seed 0 · training"]
    assert training.data.tags["mlflow.parentRunId"] == own.info.run_id
    assert training.info.status == "FINISHED"
    assert training.data.params == {"rows": "96"}
    assert own.data.metrics["train_s"] > 0 and own.data.metrics["train_cost_usd"] > 0
    assert own.data.metrics["trainable_params"] > 0 and "dev/accuracy" in own.data.metrics
    log = Path(client.download_artifacts(training.info.run_id, "training/output.log")).read_text("utf-8")
    assert "seen: True False True" in log  # its placeholders and variables, no secret, and what the suite names
    again = workplace.document("run", "suite.yaml")
    assert all(rung["reused"] for rung in again["evaluations"])
    mlflow.set_tracking_uri(workplace.uri)
    served = mlflow.pyfunc.load_model("models:/reviews-label@champion")
    assert served.predict([{"text": "the soup today +"}])["error"].isna().all()


def test_what_fails_is_told_and_what_it_leaves_is_checked(workplace: Workplace, tiny_model: Path) -> None:
    write_own_trainer(workplace.folder, workplace.suite, tiny_model, '{command: "COMMAND --full"}', kind="full")
    evaluate = ("evaluate", "suite.yaml", "--baseline", "own", "--seed", "0")
    (workplace.folder / "fail").touch()
    failed = workplace.command(*evaluate, expect=1).stderr
    assert "baselines.own (seed 0): the program that trains ended with exit status 7" in failed
    assert "the learning rate is too pretty" in failed
    client = MlflowClient(workplace.uri)
    experiment = client.get_experiment_by_name("reviews")
    assert experiment is not None
    (training,) = client.search_runs([experiment.experiment_id], "tags.`mlbaseline.kind` = 'training'")
    assert training.info.status == "FAILED"
    assert [file.path for file in client.list_artifacts(training.info.run_id, "training")] == ["training/output.log"]
    (workplace.folder / "fail").unlink()
    (workplace.folder / "pickle").touch()
    assert "pickled (optimizer.pt, pytorch_model.bin)" in workplace.command(*evaluate, expect=1).stderr
    (workplace.folder / "pickle").unlink()
    workplace.command(*evaluate)


def test_an_interrupt_ends_all_that_the_program_started(workplace: Workplace, tiny_model: Path) -> None:
    write_own_trainer(workplace.folder, workplace.suite, tiny_model, '{command: "COMMAND"}')
    (workplace.folder / "wait").touch()
    command = [sys.executable, "-m", "mlbaseline", "evaluate", "suite.yaml", "--baseline", "own", "--seed", "0"]
    process = subprocess.Popen(command, cwd=workplace.folder, env={**os.environ, **ENVIRONMENT}, stderr=subprocess.PIPE)
    started = workplace.folder / "started"
    while not (started.is_file() and started.read_text("utf-8")):
        assert process.poll() is None, process.stderr
        time.sleep(0.1)
    pids = [int(pid) for pid in started.read_text("utf-8").split()]
    assert all(psutil.pid_exists(pid) for pid in pids)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 1
    assert process.stderr is not None
    process.stderr.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_project_trains(workplace: Workplace, tiny_model: Path) -> None:
    folder = workplace.folder / "project"
    folder.mkdir()
    train = '{project: project, parameters: {seed: "{seed}", out: "{output_dir}"}}'
    write_own_trainer(workplace.folder, workplace.suite, tiny_model, train)
    (workplace.folder / "train.py").rename(folder / "train.py")
    (folder / "MLproject").write_text(
        "name: trainer\nentry_points:\n  main:\n    parameters: {seed: int, out: string}\n    command: >-\n"
        f"      {sys.executable} train.py --seed {{seed}} --out {{out}} --train $MLBASELINE_TRAIN_FILE"
        " --base $MLBASELINE_BASE_MODEL\n",
        encoding="utf-8",
    )
    workplace.command("evaluate", "suite.yaml", "--baseline", "own", "--seed", "0")
    client = MlflowClient(workplace.uri)
    experiment = client.get_experiment_by_name("reviews")
    assert experiment is not None
    (training,) = client.search_runs([experiment.experiment_id], "tags.`mlbaseline.kind` = 'training'")
    assert training.data.params["rows"] == "96"


def test_trl_as_the_page_shows_it(workplace: Workplace, tiny_model: Path) -> None:
    trl = pytest.importorskip("trl", reason="TRL needs Python 3.11")
    paths = f"{ENVIRONMENT['PYTHONPATH']}{os.pathsep}{Path(trl.__file__).parents[1]}"
    page = ROOT / "docs" / "how-to" / "train-with-your-own-program.md"
    (script,) = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    # The tiny model has random weights, so that it takes more than two epochs.
    for as_shown, here in (("num_train_epochs=2", "num_train_epochs=14"), ("learning_rate=1e-3", "learning_rate=1e-2")):
        assert as_shown in script
        script = script.replace(as_shown, here)
    train = f'{{command: "{sys.executable} train_sft.py"}}'
    write_own_trainer(workplace.folder, workplace.suite, tiny_model, train)
    (workplace.folder / "train_sft.py").write_text(script, encoding="utf-8")
    document = json.loads(workplace.command("run", "suite.yaml", "--json", PYTHONPATH=paths).stdout)
    assert document["comparison"]["verdict"] == "promote", document["comparison"]
    client = MlflowClient(workplace.uri)
    experiment = client.get_experiment_by_name("reviews")
    assert experiment is not None
    trainings = client.search_runs([experiment.experiment_id], "tags.`mlbaseline.kind` = 'training'")
    assert len(trainings) == 2
    assert all(run.data.metrics["train_loss"] > 0 for run in trainings)
    assert {run.data.params["learning_rate"] for run in trainings} == {"0.01"}
    assert workplace.document("lineage", "reviews-label")["complete"] is True
    assert workplace.document("verify", "reviews-label")["verified"] is True
    mlflow.set_tracking_uri(workplace.uri)
    answered = mlflow.pyfunc.load_model("models:/reviews-label@champion").predict(
        [{"text": f"the soup today {sign}"} for sign in "+-"]
    )
    assert answered["error"].isna().all() and set(answered["label"]) <= {"good", "bad"}
