"""Several processes give the bits of one; and where one of them is lost, finished results are not."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlbaseline.engine.answering import AnsweringSpec
from mlbaseline.engine.inference.batched_model import LOCAL
from mlbaseline.engine.inference.execution import Block, Execution
from mlbaseline.engine.inference.result_cache import ResultCache, ResultsPacker
from mlbaseline.engine.inference.worker_pool import WorkerPool
from mlbaseline.errors import MlbaselineError
from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from mlbaseline.records import Answer
from mlbaseline.suite import Evaluation, GenerateTask, PerplexityTask, Task
from mlbaseline.tasks.prompting import Prompting
from tests.support.ladders.choice_task import PHRASES, SHOTS, TASK, TEMPLATE, make_examples

pytestmark = pytest.mark.usefixtures("own_cache")
EVALUATION = Evaluation(batch_tokens=128, max_length=200, latency_sample=2)
UNTIMED = EVALUATION.model_copy(update={"latency_sample": 0})
EXAMPLES = make_examples(PHRASES, n=40)
TEXT = {"data": {"test": "test.csv"}, "columns": {"text": "text"}}
TASKS: dict[str, Task] = {
    "choice": TASK,
    "perplexity": PerplexityTask.model_validate({"kind": "perplexity", **TEXT}),
    "generate": GenerateTask.model_validate(
        {
            "kind": "generate",
            "data": TEXT["data"],
            "columns": {"text": "text", "target": "target"},
            "prompt": TEMPLATE,
            "max_new_tokens": 5,
            "temperature": 0.8,
            "samples": 2,
        }
    ),
}


@pytest.fixture(scope="module")
def checkpoint(tiny_model: Path) -> Checkpoint:
    return load_checkpoint(tiny_model, precision="fp32", device="cpu")


def pool_of(model: Path, n: int) -> WorkerPool:
    return WorkerPool(n, partial(load_checkpoint, model, precision="fp32"), "cpu")


@contextmanager
def counting_forward_passes(model: Any) -> Iterator[list[None]]:
    passes: list[None] = []
    hook = model.get_input_embeddings().register_forward_hook(lambda *_: passes.append(None))
    try:
        yield passes
    finally:
        hook.remove()


def answers_of(
    checkpoint: Checkpoint, task: Task, evaluation: Evaluation = EVALUATION, execution: Execution = LOCAL
) -> list[Answer]:
    """By id, without the times, which differ every time."""
    prompting = Prompting("{text}") if task.kind == "perplexity" else Prompting(TEMPLATE, SHOTS)
    answering = AnsweringSpec(task, evaluation, checkpoint.precision, checkpoint.device, seed=3)
    model = answering.build(checkpoint, prompting, execution)
    answers = sorted(model.answer(EXAMPLES), key=lambda answer: answer.example_id)
    assert sum(answer.latency_s is not None for answer in answers) == evaluation.latency_sample
    return [replace(answer, compute_s=0.0, latency_s=None, batch=None, reference_s=None) for answer in answers]


@pytest.mark.parametrize(("kind", "n"), [("choice", 3), ("perplexity", 2), ("generate", 2)])
def test_several_processes_give_the_bits_of_one(checkpoint: Checkpoint, tiny_model: Path, kind: str, n: int) -> None:
    expected = answers_of(checkpoint, TASKS[kind])
    assert not any(answer.error for answer in expected)
    execution = Execution(ResultCache({"kind": kind}), pool_of(tiny_model, n))
    assert answers_of(checkpoint, TASKS[kind], execution=execution) == expected
    with counting_forward_passes(checkpoint.model) as passes:
        cached = Execution(ResultCache({"kind": kind}))
        assert answers_of(checkpoint, TASKS[kind], UNTIMED, cached) == expected
    assert len(passes) <= 1, "of cached results, only the shared prefix is computed again"


@pytest.mark.parametrize("kind", ["choice", "perplexity", "generate"])
def test_blocks_that_are_computed_apart_give_the_bits_of_the_whole(
    checkpoint: Checkpoint, tmp_path: Path, kind: str
) -> None:
    expected = answers_of(checkpoint, TASKS[kind])
    computed = [ResultsPacker(), ResultsPacker()]
    for index, results in enumerate(computed):
        apart = ResultCache({"kind": kind}, folder=tmp_path / str(index))
        execution = Execution(apart, block=Block(index, 2, results.add))
        elsewhere = [answer for answer in answers_of(checkpoint, TASKS[kind], UNTIMED, execution) if answer.error]
        assert 0 < len(elsewhere) < len(expected), "a block is a part"
    cache = ResultCache({"kind": kind})
    cache.take(pickle.loads(pickle.dumps(results.packed())) for results in computed)
    with counting_forward_passes(checkpoint.model) as passes:
        cached = answers_of(checkpoint, TASKS[kind], UNTIMED, Execution(cache, block=Block(1, 2, lambda _: None)))
    assert len(passes) <= 1, "the cache has the block: only the shared prefix is computed again"
    assert sum(answer.error is None for answer in cached) > 0
    assert answers_of(checkpoint, TASKS[kind], execution=Execution(cache)) == expected


def test_a_lost_process_is_reported_and_finished_results_are_kept(checkpoint: Checkpoint, tiny_model: Path) -> None:
    expected = answers_of(checkpoint, TASK)
    answering = AnsweringSpec(TASK, EVALUATION, checkpoint.precision, checkpoint.device)
    execution = Execution(ResultCache({}), pool_of(tiny_model, 2))
    model = answering.build(checkpoint, Prompting(TEMPLATE, SHOTS), execution)
    answers = model.answer(EXAMPLES)
    got = [next(answers)]
    (other,) = (child for child in psutil.Process().children() if "multiprocessing.spawn" in " ".join(child.cmdline()))
    other.kill()
    with pytest.raises(
        MlbaselineError,
        match=r"process 2 of 2 has ended \(exit code -9; -9 usually means out of memory.*fewer --processes",
    ):
        got.extend(answers)
    assert 0 < len(got) < len(EXAMPLES)
    assert answers_of(checkpoint, TASK, execution=Execution(ResultCache({}))) == expected


def test_a_process_that_cannot_load_the_model_says_why(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(MlbaselineError, match=r"process 2 of 2: AssetError: .* no such folder"):
        answers_of(checkpoint, TASK, execution=Execution(workers=pool_of(tmp_path / "nowhere", 2)))


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
