"""Several processes that compute for one, each with a model of its own: one for each GPU."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import torch

from mlbaseline.engine.inference.execution import Found, MakeCompute
from mlbaseline.engine.inference.timing import describe_error
from mlbaseline.errors import MlbaselineError
from mlbaseline.models.checkpoint import Checkpoint


@dataclass(frozen=True)
class Crew:
    """n: processes, the one that asks included. load: brings the model into another process, given its device there.

    Each uses as many threads as a process alone: their number can shift the last bits. Raises MlbaselineError for more
    processes than the machine has GPUs, if it has any.
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
        """Whether all compute on the same one."""
        return self.device.partition(":")[0] == "cpu"

    @contextmanager
    def assemble(self, make: MakeCompute) -> Iterator[Sequence[Member]]:
        """The other processes; they end with the block, and with the process that asked, however it ends."""
        devices = [self.device if self.shares_processor else f"{self.device}:{i}" for i in range(1, self.n)]
        members: list[Member] = []
        try:
            for index, device in enumerate(devices, start=2):
                members.append(Member(f"process {index} of {self.n}", self.load, device, make))
            yield members
        finally:
            for member in members:
                member.dismiss()


class Member:
    """Another process, which computes one pass at a time."""

    def __init__(self, name: str, load: Callable[..., Checkpoint], device: str, make: MakeCompute) -> None:
        context = get_context("spawn")  # CUDA and OpenMP do not survive a fork
        self._name = name
        self._connection, theirs = context.Pipe()
        work = (theirs, load, device, torch.get_num_threads(), make)
        self._process = context.Process(target=_serve, args=work, name=name, daemon=True)
        with _deaf_to_interrupts():
            self._process.start()
        theirs.close()

    def send(self, one: Any) -> None:
        try:
            self._connection.send(one)
        except OSError:
            raise self._ended() from None

    def receive(self) -> dict[int, Found]:
        """What was found for the pass that was sent. Raises MlbaselineError where the process failed, or is no more."""
        try:
            answer: dict[int, Found] | str = self._connection.recv()
        except (EOFError, OSError):
            raise self._ended() from None
        if isinstance(answer, str):
            raise MlbaselineError(f"{self._name}: {answer}")
        return answer

    def dismiss(self) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.join()

    def _ended(self) -> MlbaselineError:
        self._process.join(timeout=5)
        return MlbaselineError(
            f"{self._name} has ended (exit code {self._process.exitcode}; -9 is mostly want of memory). What was "
            "computed is kept: evaluate again to go on, perhaps with fewer --processes"
        )


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """A process that is started in the block is not reached by Ctrl-C, from its first import on: whoever asked decides
    when the work ends. Python lets the main thread alone say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(
    connection: Connection, load: Callable[..., Checkpoint], device: str, threads: int, make: MakeCompute
) -> None:
    """Compute what is sent, until the other end is gone."""
    torch.set_num_threads(threads)
    try:
        compute = make(load(device=device))
    except Exception as error:
        connection.send(describe_error(error))
        return
    with suppress(EOFError, BrokenPipeError):
        while True:
            one = connection.recv()
            try:
                answer: dict[int, Found] | str = compute(one)
            except Exception as error:
                answer = describe_error(error)
            connection.send(answer)
