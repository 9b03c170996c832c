"""Kill a command (SIGKILL) at a chosen one of its writes: each request to a server, commit, and renamed file is one."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

from tests.support.processes.commands import run_command


def count_writes(arguments: list[str], folder: Path, environment: dict[str, str]) -> tuple[CompletedProcess[str], int]:
    """Run a command to its end. Returns how it ended, and how many writes it made."""
    counted = folder / "writes"
    done = run_command(arguments, folder, environment, partial(_watch, 0, 0.0, counted))
    return done, counted.stat().st_size


def run_and_kill(
    arguments: list[str], folder: Path, environment: dict[str, str], *, at: int, later_s: float
) -> CompletedProcess[str]:
    """Run a command that is killed `later_s` seconds after its write number `at` has begun."""
    return run_command(arguments, folder, environment, partial(_watch, at, later_s, folder / "writes-of-killed"))


def kill_points(writes: int, kills: int, seed: int) -> list[tuple[int, float]]:
    """Draw points that spread over a whole run: a write, and how long after its beginning.

    Half of them are at the write itself, the others while it is carried out or just after.
    """
    draws = random.Random(seed)
    points = []
    for part in range(kills):
        at = int(1 + (part + draws.random()) * (writes - 1) / kills)
        points.append((at, draws.choice([0.0, draws.uniform(0.0, 0.05)])))
    return points


def _watch(at: int, later_s: float, counted: Path) -> None:
    """Count writes in a file, one byte each, and kill this process at number `at`."""
    from sqlalchemy import Engine, event

    file = os.open(counted, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    lock = threading.Lock()
    seen = 0

    def write(*_: object) -> None:
        nonlocal seen
        with lock:
            seen += 1
            os.write(file, b".")
            if seen == at and later_s:
                threading.Timer(later_s, os.kill, (os.getpid(), signal.SIGKILL)).start()
            elif seen == at:
                os.kill(os.getpid(), signal.SIGKILL)

    def audit(name: str, _: object) -> None:
        if name in ("http.client.send", "os.rename"):
            write()

    event.listen(Engine, "commit", write)
    sys.addaudithook(audit)
