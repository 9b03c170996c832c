"""Reaching a server, the life of a run, and what happens when either goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from resource import RLIMIT_FSIZE, setrlimit
from shutil import copy

import pytest

from mlbaseline.errors import TrackingError
from mlbaseline.store.evaluations import log_ladder
from mlbaseline.store.items import Artifacts, Params, Tags, write
from mlbaseline.store.runs import find_evaluations
from mlbaseline.store.server.connection import Tracker, connect
from mlbaseline.store.server.tracking import open_run, suite_tags
from mlbaseline.suite import Suite
from tests.support.ladders.stored import Evaluate
from tests.support.processes.servers import free_port, mlflow_server


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_unreachable_server_is_given_up_on_soon(host: str) -> None:
    uri = f"http://{host}:{free_port()}"
    start = time.monotonic()
    with pytest.raises(TrackingError, match=r"could not reach the tracking server(.|\n)*--tracking-uri") as caught:
        connect(uri, "moods")
    assert uri in str(caught.value)
    assert time.monotonic() - start < 20
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "7"


def test_deleted_experiment_says_how_to_restore_it(tracker: Tracker) -> None:
    tracker.client.delete_experiment(tracker.experiment_id)
    with pytest.raises(TrackingError, match=f"restore --experiment-id {tracker.experiment_id}"):
        connect(tracker.uri, tracker.experiment)


def test_two_create_the_experiment_at_once(server: str, suite: Suite) -> None:
    with ThreadPoolExecutor(4) as pool:
        trackers = list(pool.map(lambda _: connect(server, suite.name), range(4)))
    assert len({tracker.experiment_id for tracker in trackers}) == 1


def test_two_processes_open_a_new_database_at_once(tmp_path: Path) -> None:
    code = (
        "from mlbaseline.store.server.connection import connect\n"
        "print(connect('sqlite:///new/x.db', 'moods').experiment_id)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    start = [sys.executable, "-c", code]
    both = [subprocess.Popen(start, cwd=tmp_path, env=environment, stdout=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert said[0] == said[1] != b""


def test_run_completes_or_fails_with_its_block(tracker: Tracker, suite: Suite) -> None:
    with open_run(tracker, "ladder", name="ladder", tags=suite_tags(suite), note="**hello**") as good:
        assert tracker.client.get_run(good.run_id).data.tags["mlbaseline.status"] == "started"
    ends = {}
    for error in (ValueError("no such thing"), KeyboardInterrupt()):
        with pytest.raises(type(error)), open_run(tracker, "ladder", name="ladder", tags={}) as run:
            raise error
        ends[type(error)] = tracker.client.get_run(run.run_id)
    completed = tracker.client.get_run(good.run_id)
    assert (completed.info.status, completed.data.tags["mlbaseline.status"]) == ("FINISHED", "completed")
    assert completed.data.tags["mlflow.note.content"] == "**hello**"
    assert completed.data.tags["mlbaseline.suite_digest"] == suite.digest
    assert (ends[ValueError].info.status, ends[KeyboardInterrupt].info.status) == ("FAILED", "KILLED")
    assert ends[ValueError].data.tags["mlbaseline.error"] == "ValueError: no such thing"
    assert ends[ValueError].data.tags["mlbaseline.status"] == "failed"


def test_project_run_is_adopted_once_and_left_open(
    tracker: Tracker, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tracker.client.create_run("0", run_name="bold-shrike-1").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", project)
    with (
        open_run(tracker, "ladder", name="moods", tags=suite_tags(suite)) as ladder,
        open_run(tracker, "evaluation", name="child", tags={}, parent=ladder.run_id) as child,
    ):
        pass
    assert ladder.run_id == project
    adopted, nested = tracker.client.get_run(project), tracker.client.get_run(child.run_id)
    assert (adopted.info.status, adopted.info.run_name) == ("RUNNING", "moods")
    assert adopted.data.tags["mlbaseline.status"] == "completed"
    assert nested.data.tags["mlflow.parentRunId"] == project
    assert (nested.info.experiment_id, nested.info.status) == (tracker.experiment_id, "FINISHED")
    with open_run(tracker, "comparison", name="next", tags={}) as other:
        assert other.run_id != project


PROJECT = """
name: moods
entry_points:
  main:
    parameters: {code: {type: float, default: 0}}
    command: "python step.py {code}"
"""
STEP = """
import sys
from mlbaseline.store.server.connection import connect
from mlbaseline.store.server.tracking import open_run
tracker = connect(None, "moods")
with open_run(tracker, "ladder", name="moods ladder", tags={}) as ladder:
    with open_run(tracker, "evaluation", name="rung", tags={}, parent=ladder.run_id):
        pass
sys.exit(int(sys.argv[1]))
"""


@pytest.mark.parametrize(("code", "status"), [(0, "FINISHED"), (3, "FAILED")])
def test_mlflow_run_ends_the_run_that_it_lent(tmp_path: Path, empty_database: Path, code: int, status: str) -> None:
    (tmp_path / "MLproject").write_text(PROJECT)
    (tmp_path / "step.py").write_text(STEP)
    uri = f"sqlite:///{copy(empty_database, tmp_path)}"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "MLFLOW_TRACKING_URI": uri, "PATH": path}
    command = [sys.executable, "-m", "mlflow", "run", ".", "--env-manager", "local", "-P", f"code={code}"]
    done = subprocess.run(command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode == 0) == (code == 0), done.stderr
    client = connect(uri, "moods").client
    (project,) = client.search_runs(["0"])
    (rung,) = client.search_runs([client.get_experiment_by_name("moods").experiment_id])
    assert (project.info.run_name, project.info.status) == ("moods ladder", status)
    assert project.data.tags["mlbaseline.status"] == "completed"
    assert rung.data.tags["mlflow.parentRunId"] == project.info.run_id


def test_project_run_of_another_server_is_an_error(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "0123456789abcdef0123456789abcdef")
    with pytest.raises(TrackingError, match="0123456789abcdef"), open_run(tracker, "ladder", name="x", tags={}):
        pass


def test_uncompleted_evaluations_are_not_found(tracker: Tracker, evaluate: Evaluate) -> None:
    evaluate("lora", 0)
    evaluate("lora", 1)
    kept, spoilt = find_evaluations(tracker)
    tracker.client.update_run(spoilt.run_id, status="RUNNING")  # the process died between tag and status
    assert find_evaluations(tracker) == (kept,)
    tracker.client.update_run(spoilt.run_id, status="FINISHED")
    tracker.client.delete_tag(spoilt.run_id, "mlbaseline.examples_sha256")
    with pytest.raises(TrackingError, match=f"{spoilt.run_id} says that it is a completed evaluation"):
        find_evaluations(tracker)


def test_ladder_keeps_the_evaluations_that_it_reused(tracker: Tracker, evaluate: Evaluate, suite: Suite) -> None:
    for seed in (0, 1):
        evaluate("lora", seed)
    newest, oldest = find_evaluations(tracker)
    with open_run(tracker, "ladder", name="ladder", tags=suite_tags(suite)) as ladder:
        log_ladder(ladder, [oldest.run_id])
    assert find_evaluations(tracker, ladder=ladder.run_id) == (oldest,)
    with pytest.raises(TrackingError, match=r"could not fetch ladder/evaluations\.txt"):
        find_evaluations(tracker, ladder=newest.run_id)


@pytest.mark.parametrize("item", [Params({"baseline.template": "y" * 6001}), Tags({"mlbaseline.x": "y" * 8001})])
def test_value_that_does_not_fit_is_an_error_and_never_cut(tracker: Tracker, item: Params | Tags) -> None:
    refused = pytest.raises(TrackingError, match=r"at most [68]000 characters")
    with refused, open_run(tracker, "x", name="x", tags={}) as run:
        write(run, item)
    assert tracker.client.get_run(run.run_id).info.status == "FAILED"


def test_server_whose_disk_is_full_and_that_then_goes_away(
    tmp_path: Path,
    empty_database: Path,
    suite: Suite,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "file").write_bytes(bytes(8_000_000))
    with mlflow_server(
        tmp_path, empty_database, preexec_fn=lambda: setrlimit(RLIMIT_FSIZE, (4_000_000, 4_000_000))
    ) as uri:
        tracker = connect(uri, suite.name)
        full = pytest.raises(TrackingError, match=r"could not write to the run 'full'(.|\n)*artifact root full\?")
        with full, open_run(tracker, "evaluation", name="full", tags={}) as run:
            write(run, Artifacts(tmp_path / "big"))
        assert tracker.client.get_run(run.run_id).info.status == "FAILED"
        run_block = open_run(tracker, "ladder", name="ladder", tags=suite_tags(suite))
        run = run_block.__enter__()
    with pytest.raises(TrackingError, match=r"could not write to the run 'ladder'(.|\n)*Is the server up") as caught:
        write(run, Params({"a": 1}))
    assert run_block.__exit__(TrackingError, caught.value, None) is False  # the first error is what the caller sees
    assert capfd.readouterr().out == ""


FULL_DISK = """
import resource, sys
from pathlib import Path
from mlbaseline.store.items import Artifacts, write
from mlbaseline.store.server.connection import connect
from mlbaseline.store.server.tracking import open_run
tracker = connect("sqlite:///mlflow.db", "moods")
with open_run(tracker, "evaluation", name="before", tags={}): pass
Path("big").mkdir()
Path("big/file").write_bytes(bytes(8_000_000))
resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))
with open_run(tracker, "evaluation", name="full", tags={}) as run:
    write(run, Artifacts(Path("big")))
"""


def test_full_disk_fails_the_run_and_keeps_what_is_completed(tmp_path: Path, empty_database: Path) -> None:
    copy(empty_database, tmp_path)
    # A limit on the size of files stands in for a full disk: the write of the artifact fails in the middle.
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", FULL_DISK]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "TrackingError" in done.stderr
    assert "The disk is full. Free some space" in done.stderr
    tracker = connect(f"sqlite:///{tmp_path}/mlflow.db", "moods")
    runs = {run.info.run_name: run for run in tracker.client.search_runs([tracker.experiment_id])}
    assert (runs["before"].info.status, runs["full"].info.status) == ("FINISHED", "FAILED")


def test_help_does_not_pay_for_mlflow() -> None:
    code = "import mlbaseline.store.evaluations, mlbaseline.store.runs, sys; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
