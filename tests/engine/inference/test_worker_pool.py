"""Several processes give the bits of one; and where one of them is lost, finished results are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from mlbaseline.engine.inference.execution import Execution
from mlbaseline.engine.inference.result_cache import ResultCache
from mlbaseline.engine.inference.worker_pool import WorkerPool
from mlbaseline.errors import MlbaselineError
from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from tests.support.ladders.choice_task import TASK
from tests.support.models.answered_tasks import (
    EXAMPLES,
    TASKS,
    UNTIMED,
    answers_of,
    counting_forward_passes,
    model_of,
)

pytestmark = pytest.mark.usefixtures("own_cache")


def pool_of(model: Path, n: int) -> WorkerPool:
    return WorkerPool(n, partial(load_checkpoint, model, precision="fp32"), "cpu")


@pytest.mark.parametrize(("kind", "n"), [("choice", 3), ("perplexity", 2), ("generate", 2)])
def test_several_processes_give_the_bits_of_one(checkpoint: Checkpoint, tiny_model: Path, kind: str, n: int) -> None:
    expected = answers_of(model_of(checkpoint, TASKS[kind]))
    assert not any(answer.error for answer in expected)
    execution = Execution(ResultCache({"kind": kind}), pool_of(tiny_model, n))
    assert answers_of(model_of(checkpoint, TASKS[kind], execution=execution)) == expected
    with counting_forward_passes(checkpoint.model) as passes:
        cached = Execution(ResultCache({"kind": kind}))
        assert answers_of(model_of(checkpoint, TASKS[kind], UNTIMED, cached), n_timed=0) == expected
    assert len(passes) <= 1, "of cached results, only the shared prefix is computed again"


def test_a_lost_process_is_reported_and_finished_results_are_kept(checkpoint: Checkpoint, tiny_model: Path) -> None:
    expected = answers_of(model_of(checkpoint, TASK))
    execution = Execution(ResultCache({}), pool_of(tiny_model, 2))
    answers = model_of(checkpoint, TASK, execution=execution).answer(EXAMPLES)
    got = [next(answers)]
    (other,) = (child for child in psutil.Process().children() if "multiprocessing.spawn" in " ".join(child.cmdline()))
    other.kill()
    with pytest.raises(
        MlbaselineError,
        match=r"process 2 of 2 has ended \(exit code -9; -9 usually means out of memory.*fewer --processes",
    ):
        got.extend(answers)
    assert 0 < len(got) < len(EXAMPLES)
    assert answers_of(model_of(checkpoint, TASK, execution=Execution(ResultCache({})))) == expected


def test_a_process_that_cannot_load_the_model_says_why(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(MlbaselineError, match=r"process 2 of 2: AssetError: .* no such folder"):
        answers_of(model_of(checkpoint, TASK, execution=Execution(workers=pool_of(tmp_path / "nowhere", 2))))


ORPHANS = """
import os, signal, sys, time
from pathlib import Path
from mlbaseline.engine.scoring.log_likelihood_scorer import LogLikelihoodScorer
from tests.engine.inference.test_worker_pool import pool_of
from functools import partial
import psutil

if __name__ == "__main__":
    signal.signal(signal.SIGINT, lambda *_: None)
    with pool_of(Path(sys.argv[1]), 2).start(partial(LogLikelihoodScorer, batch_tokens=64)):
        time.sleep(0.7)  # long enough to have begun, and not to have imported torch
        os.killpg(0, signal.SIGINT)
        time.sleep(0.7)
        children = psutil.Process().children()
        print(*(child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_no_process_is_interrupted_by_itself_or_outlives_a_killed_one(tiny_model: Path, tmp_path: Path) -> None:
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    paths = os.pathsep.join(["."] + ([os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []))
    done = subprocess.run(
        [sys.executable, str(script), str(tiny_model)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        timeout=120,
        start_new_session=True,
    )
    assert done.returncode == -signal.SIGKILL
    assert "Traceback" not in done.stderr
    pids = list(map(int, done.stdout.split()))
    assert len(pids) == 2, "the other process, and multiprocessing's own that tidies up"
    ends = time.monotonic() + 60
    while any(map(psutil.pid_exists, pids)):
        assert time.monotonic() < ends, "still there"
        time.sleep(0.2)
