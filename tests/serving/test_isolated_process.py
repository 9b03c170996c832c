"""Code of others runs in a process of its own, sees no secret, and whatever it does costs one row at most."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import mlflow
import pandas as pd
import psutil
import pytest

from mlbaseline.errors import TrackingError
from mlbaseline.model_files import model_sha256
from mlbaseline.serving import isolated_process
from mlbaseline.serving.isolated_process import IsolatedModel, IsolatedModelError

CODE = """
import json, os, subprocess, sys, time
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

def act(text):
    if text == "environment":
        return json.dumps(dict(os.environ))
    if text == "raise":
        raise ValueError("no soup today")
    if text == "exit":
        print("a last word", file=sys.stderr)
        os._exit(7)
    if text == "hang":
        time.sleep(600)
    if text == "noise":
        print("x" * 10_000, flush=True)
        return "read: " + sys.stdin.read()
    if text == "large":
        return "x" * (17 << 20)
    if text == "child":
        return str(subprocess.Popen(["sleep", "600"]).pid)
    if text == "not a number":
        return float("nan")
    return f"{text}, process {os.getpid()}"

class Model(PythonModel):
    def predict(self, context, model_input, params=None):
        return [act(text) for text in model_input["text"]]

set_model(Model())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("foreign")
    (place / "code.py").write_text(CODE, encoding="utf-8")
    mlflow.pyfunc.save_model(str(place / "model"), python_model=str(place / "code.py"), pip_requirements=["mlflow"])
    return place / "model"


@pytest.fixture
def model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> IsolatedModel:
    for name in ("AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "MLFLOW_TRACKING_TOKEN", "OPENAI_API_KEY", "ANY_SECRET"):
        monkeypatch.setenv(name, "sk-TopSecret")
    return IsolatedModel(folder, "models:/rule/1", takes_prompts=False)


def ask(model: IsolatedModel, *texts: str) -> list[object]:
    return model.predict(pd.DataFrame({"text": list(texts)}))


def test_no_secret_is_in_its_environment_and_its_home_is_empty(model: IsolatedModel) -> None:
    (seen,) = ask(model, "environment")
    environment = json.loads(str(seen))
    assert "sk-TopSecret" not in str(seen)
    assert environment["HOME"] != os.environ["HOME"]
    assert set(environment) <= {
        *isolated_process._KEPT,
        *isolated_process._SET,
        "HOME",
        *environment_of_mlflow(environment),
    }


def environment_of_mlflow(environment: dict[str, str]) -> set[str]:
    """What loading a model sets by itself."""
    return {name for name in environment if name not in os.environ}


def test_rows_come_back_in_order_from_another_process(model: IsolatedModel) -> None:
    first, second = ask(model, "a", "b")
    assert (str(first)[:2], str(second)[:2]) == ("a,", "b,")
    assert f"process {os.getpid()}" not in str(first)
    assert ask(model, "not a number") == [None]


def test_its_folder_stays_what_it_was(folder: Path, model: IsolatedModel) -> None:
    before = model_sha256(folder)
    ask(model, "a")
    assert model_sha256(folder) == before


def test_what_it_prints_and_reads_does_not_get_between(model: IsolatedModel) -> None:
    assert ask(model, "noise") == ["read: "]
    assert len(ask(model, "a")) == 1


def test_its_errors_come_with_their_text(model: IsolatedModel) -> None:
    with pytest.raises(IsolatedModelError, match=r"^ValueError: no soup today$"):
        ask(model, "raise")


@pytest.mark.parametrize(
    ("text", "message"),
    [("exit", "its process ended with 7, after: .*a last word"), ("large", "more than 16,777,216 bytes")],
)
def test_after_what_ends_it_the_next_question_starts_it_again(model: IsolatedModel, text: str, message: str) -> None:
    with pytest.raises(IsolatedModelError, match=message):
        ask(model, text)
    assert len(ask(model, "a")) == 1


def test_it_is_not_waited_for_without_end(model: IsolatedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated_process, "_CALL_LIMIT_S", 0.2)
    monkeypatch.setattr(isolated_process, "_ROW_LIMIT_S", 0.1)
    with pytest.raises(IsolatedModelError, match=r"TimeoutError: no answer within 0\.3 s"):
        ask(model, "hang")


def test_it_ends_with_all_that_it_started(folder: Path) -> None:
    model = IsolatedModel(folder, "models:/rule/1", takes_prompts=False)
    (pid,) = ask(model, "child")
    own = model._process.pid
    del model
    deadline = time.monotonic() + 5
    while any(_runs(each) for each in (own, int(str(pid)))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(own)
    assert not _runs(int(str(pid)))


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_model_that_cannot_be_loaded_says_why(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"models:/rule/1: cannot be loaded here: .*Install what its"):
        IsolatedModel(tmp_path, "models:/rule/1", takes_prompts=False)


@pytest.mark.parametrize("what", ["a link", "a pipe", "a folder", "nothing"])
def test_only_an_ordinary_file_is_an_answer(tmp_path: Path, what: str) -> None:
    path = tmp_path / "answers.json"
    match what:
        case "a link":
            (tmp_path / "elsewhere").write_text("{}")
            path.symlink_to(tmp_path / "elsewhere")
        case "a pipe":
            os.mkfifo(path)
        case "a folder":
            path.mkdir()
    with pytest.raises((OSError, ValueError)):
        isolated_process._read(path)
