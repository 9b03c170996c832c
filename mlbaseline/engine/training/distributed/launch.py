"""Several processes that train together: started by torchrun's agent, ended together, and the error of the first one.

The agent runs in a process of its own, as it installs signal handlers. A training is handed over as `multiprocessing`
hands over arguments, through pipes; what it leaves is in its folder, as that of one process.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from filelock import FileLock
from torch import distributed
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from mlbaseline.engine.training.job import TrainingJob
from mlbaseline.errors import MlbaselineError, describe_error
from mlbaseline.progress import Title, shown_on
from mlbaseline.progress.relay import Relay, receiving
from mlbaseline.records import Trained

TIMEOUT_S = 1800.0
"""How long a process waits for the others before it ends with an error."""
_LOGS = "processes"
_FIRST_S = 2.0
"""How much earlier the first process that fails ends than those that fail because of it."""
_END_S = 10


@dataclass(frozen=True)
class WorkerLaunch:
    """What every process is given.

    description: title of the progress bar; None: no bar. n_threads: of each process. progress: takes what the first
    process tells of its progress.
    """

    job: TrainingJob
    folder: Path
    description: Title | None
    timeout_s: float
    n_threads: int
    progress: Connection


def train_together(job: TrainingJob, folder: Path, description: Title | None, timeout_s: float = TIMEOUT_S) -> Trained:
    """Train in several processes; each of them continues where an earlier attempt was stopped.

    Args:
        job: What is trained, by how many processes and which strategy.
        folder: Of the training.
        description: Title of the progress bar; None: no bar.
        timeout_s: How long a process waits for the others.

    Returns:
        What was trained.

    Raises:
        MlbaselineError: A process failed; the message is its error. All others were ended.
    """
    assert job.spec.training is not None
    n_processes = job.spec.training.processes
    _require_devices(job, n_processes)
    next_attempt = "starts anew" if job.spec.training.needs_deepspeed else "continues from the last saved state"
    n_threads = max(torch.get_num_threads() // n_processes, 1) if job.device == "cpu" else torch.get_num_threads()
    shutil.rmtree(folder / _LOGS, ignore_errors=True)
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    progress, progress_end = context.Pipe(duplex=False)
    given = WorkerLaunch(job, folder, description, timeout_s, n_threads, progress_end)
    agent = context.Process(target=_run_agent, args=(theirs, given), name="torchrun")
    agent.start()
    theirs.close()
    progress_end.close()
    try:
        reply = _reply(ours, progress)
        agent.join(_END_S)
    except EOFError:
        agent.join(_END_S)
        reply = f"torchrun's agent has ended without a word (exit code {agent.exitcode})"
    finally:
        agent.terminate()
        agent.join(2 * _END_S)
        agent.kill()
        agent.join()
    if isinstance(reply, str):
        raise MlbaselineError(
            f"training {job.spec.kind} (seed {job.seed}) with {n_processes} processes: {reply}\nAll processes were "
            f"ended. Their output is in {folder / _LOGS}; the next attempt {next_attempt}."
        )
    return reply


def _reply(ours: Connection, progress: Connection) -> Trained | str:
    """Wait for the reply of the agent, and show until then what the first process tells of its progress."""
    with receiving() as receive:
        open_ends = [progress, ours]
        while True:
            ready = connection.wait(open_ends)
            if progress in ready:
                try:
                    receive(progress.recv())
                except EOFError:
                    open_ends.remove(progress)
            elif ours in ready:
                reply: Trained | str = ours.recv()
                return reply


def _require_devices(job: TrainingJob, n_processes: int) -> None:
    assert job.spec.training is not None
    if job.spec.training.needs_deepspeed:
        from mlbaseline.engine.training.distributed.zero import require_deepspeed

        require_deepspeed(job)
    if job.device != "cpu" and n_processes > torch.cuda.device_count():
        raise MlbaselineError(
            f"training {job.spec.kind}: `processes: {n_processes}` takes as many GPUs, and there are "
            f"{torch.cuda.device_count()}; lower `processes`"
        )


# ---- in the process of the agent ------------------------------------------------------------------------------------


def _run_agent(reply: Connection, given: WorkerLaunch) -> None:
    """Run torchrun's agent; reply what was trained, or what went wrong."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.disable()  # the reply says what went wrong
    os.environ |= {"TORCH_CPP_LOG_LEVEL": "ERROR", "OMP_NUM_THREADS": str(given.n_threads)}
    distribution = given.job.spec.training
    assert distribution is not None
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=distribution.processes,
        run_id=given.folder.name,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(str(given.folder / _LOGS), redirects=Std.ALL),
        shutdown_timeout=_END_S,
    )
    (given.folder / _LOGS).mkdir(parents=True, exist_ok=True)
    # The processes of an attempt whose main process was killed write to the same files: wait for their end.
    with FileLock(given.folder.with_suffix(".processes.lock")):
        try:
            reply.send(elastic_launch(config, _train_in_process)(given)[0])
        except SignalException:  # the main process has ended, or was interrupted: nobody waits for a reply
            return
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            told = failure.message
            text = told["message"] if isinstance(told, dict) else told
            reply.send(f"process {rank} failed: {text}")
        except Exception as error:  # of the agent itself: its rendezvous, or the start of a process
            reply.send(f"torchrun's agent failed: {describe_error(error)}")


def _end_with_parent() -> None:
    """End this process as the main one ends, however that happens."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


# ---- in each process that trains ------------------------------------------------------------------------------------


def _train_in_process(given: WorkerLaunch) -> Trained | None:
    try:
        return _train(given)
    except KeyboardInterrupt:  # the agent is told, too, and ends every process
        sys.exit(1)
    except Exception:
        time.sleep(_FIRST_S)  # what fails because another process has ended must not be seen before that one
        raise


def _train(given: WorkerLaunch) -> Trained | None:
    """Train; only the first process says what was trained."""
    # Imported here, where what libraries print while they are imported is captured already.
    from mlbaseline.engine.training.distributed.data_parallel import DataParallel
    from mlbaseline.engine.training.distributed.fully_sharded import FullySharded
    from mlbaseline.engine.training.distributed.zero import ZeroRedundancy
    from mlbaseline.engine.training.loop import TrainingRun

    job = given.job
    backend = "gloo"
    if job.device != "cpu":
        backend = "cpu:gloo,cuda:nccl"
        job = replace(job, device=f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(job.device)
    distributed.init_process_group(backend, timeout=timedelta(seconds=given.timeout_s))
    assert job.spec.training is not None
    strategies = {"ddp": DataParallel, "fsdp": FullySharded, "zero2": ZeroRedundancy, "zero3": ZeroRedundancy}
    strategy = strategies[job.spec.training.strategy](job)
    training = TrainingRun(job, given.folder, strategy)
    with shown_on(Relay(given.progress.send)):
        training.run(given.description if strategy.rank == 0 else None)
    trained = training.result() if strategy.is_first else None
    distributed.destroy_process_group()
    return trained
