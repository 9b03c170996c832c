"""Worker processes that compute batches beside this one, each with its own copy of the model: one for each GPU."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection

import torch

from mlbaseline.engine.inference.requests import MakeRunner, RequestBatch, RequestResult
from mlbaseline.errors import MlbaselineError, describe_error
from mlbaseline.models.checkpoints.checkpoint import Checkpoint


@dataclass(frozen=True)
class WorkerPool:
    """Processes that compute together.

    Each uses as many threads as a single process would, as the number of threads can change the last bits.

    Attributes:
        n: processes, this one included.
        load: loads the model in a worker; takes its `device`.
        device: of this process; workers take `cuda:1`, `cuda:2`, …, or all the same CPU.

    Raises:
        MlbaselineError: there are more processes than GPUs, on a machine with GPUs.
    """

    n: int
    load: Callable[..., Checkpoint]
    device: str

    def __post_init__(self) -> None:
        if not self.shares_processor and self.n > torch.cuda.device_count():
            raise MlbaselineError(
                f"--processes {self.n}: each takes a GPU of its own, and there are {torch.cuda.device_count()}"
            )

    @property
    def shares_processor(self) -> bool:
        """Whether all processes compute on the same processor."""
        return self.device.partition(":")[0] == "cpu"

    @contextmanager
    def start(self, make_runner: MakeRunner) -> Iterator[Sequence[Worker]]:
        """Start the workers. They end with the block, and with this process, however it ends."""
        devices = [self.device if self.shares_processor else f"{self.device}:{i}" for i in range(1, self.n)]
        workers: list[Worker] = []
        try:
            for index, device in enumerate(devices, start=2):
                workers.append(Worker(f"process {index} of {self.n}", self.load, device, make_runner))
            yield workers
        finally:
            for worker in workers:
                worker.stop()


class Worker:
    """Another process, which computes one batch at a time."""

    def __init__(self, name: str, load: Callable[..., Checkpoint], device: str, make_runner: MakeRunner) -> None:
        context = get_context("spawn")  # CUDA and OpenMP do not survive a fork
        self._name = name
        self._connection, worker_end = context.Pipe()
        args = (worker_end, load, device, torch.get_num_threads(), make_runner)
        self._process = context.Process(target=_work, args=args, name=name, daemon=True)
        with _interrupts_ignored():
            self._process.start()
        worker_end.close()

    def send(self, batch: RequestBatch) -> None:
        """Hand over a batch. Raises MlbaselineError where the process has ended."""
        try:
            self._connection.send(batch)
        except OSError:
            raise self._ended() from None

    def receive(self) -> dict[int, RequestResult]:
        """Wait for the results of the batch that was sent. Raises MlbaselineError where the process failed or ended."""
        try:
            reply: dict[int, RequestResult] | str = self._connection.recv()
        except (EOFError, OSError):
            raise self._ended() from None
        if isinstance(reply, str):
            raise MlbaselineError(f"{self._name}: {reply}")
        return reply

    def stop(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.terminate()
        self._process.join()

    def _ended(self) -> MlbaselineError:
        self._process.join(timeout=5)
        return MlbaselineError(
            f"{self._name} has ended (exit code {self._process.exitcode}; -9 usually means out of memory). What was "
            "computed is stored: evaluate again to continue, perhaps with fewer --processes"
        )


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Let processes that start in the block ignore Ctrl-C from their first import on: this process ends them.

    Only the main thread of a Python process can set this.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(
    connection: Connection, load: Callable[..., Checkpoint], device: str, threads: int, make_runner: MakeRunner
) -> None:
    """Compute every batch that is sent, until the connection is closed."""
    torch.set_num_threads(threads)
    try:
        runner = make_runner(load(device=device))
    except Exception as error:  # loading may fail in any library; the main process reports it
        connection.send(describe_error(error))
        return
    with suppress(EOFError, BrokenPipeError):
        while True:
            batch = connection.recv()
            try:
                reply: dict[int, RequestResult] | str = runner(batch)
            except Exception as error:  # likewise
                reply = describe_error(error)
            connection.send(reply)
