"""One side of a benchmark in a process of its own, which does its work again each time that it is told to.

The process may be of another environment: vLLM brings its own. Each line on stdin names a piece of work; each line on
stdout says in JSON what it took and what was found.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

from tests.support.processes.servers import VLLM_ENVIRONMENT


@dataclass(frozen=True)
class Spent:
    """wall_s, cpu_s: what a piece of work took, in all processes that did it."""

    wall_s: float
    cpu_s: float

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)


@dataclass(frozen=True)
class Round:
    """What one round took, and what it found: anything that JSON can write."""

    spent: Spent
    found: Any


class Side:
    """A process that runs a module of this folder, from its start until `close`."""

    def __init__(self, python: str, module: str, words: Sequence[str], threads: int) -> None:
        """Start it. Its first round also waits until everything is loaded."""
        environment = {**os.environ, **VLLM_ENVIRONMENT, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
        command = [python, "-m", f"tests.benchmarks.sides.{module}", *words]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        self._module = module

    def next_round(self, work: str = "") -> Round:
        """Do a piece of work once."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):  # it has ended, as the empty line below says
            self._process.stdin.write(f"{work}\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._module}: exit code {self._process.wait()}; it says above why")
        read = json.loads(line)
        return Round(Spent(**read["spent"]), read["found"])

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()


def in_turn(ways: Sequence[str], turn: int) -> list[str]:
    """Return all ways, each turn beginning with the next one."""
    first = turn % len(ways)
    return [*ways[first:], *ways[:first]]


def serve_rounds(prepare: Callable[[], Callable[[str], object]]) -> None:
    """Prepare once, then do each piece of work that stdin names."""
    import torch

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print, here and in processes that they start, is no answer
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    do = prepare()
    for line in sys.stdin:
        started = perf_counter(), cpu_s()
        found = do(line.strip())
        spent = Spent(perf_counter() - started[0], cpu_s() - started[1])
        print(json.dumps(asdict(Round(spent, found))), file=answers, flush=True)


def cpu_s() -> float:
    """CPU seconds of this process and of those that it has started."""
    import psutil

    this = psutil.Process()
    times = [process.cpu_times() for process in (this, *this.children(recursive=True))]
    return sum(time.user + time.system for time in times)
