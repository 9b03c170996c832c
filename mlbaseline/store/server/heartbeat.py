"""Which process writes a run, and whether it is still there.

A process that is killed outright cannot end its runs. Each open run therefore names its process and carries a
heartbeat, so that the next command can tell which runs nobody writes any more (`dead_runs`).
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import psutil

from mlbaseline.errors import TrackingError

PROCESS, HEARTBEAT = "mlbaseline.process", "mlbaseline.heartbeat"
_EVERY_S = 60.0
_SILENT_AFTER_S = 15 * 60.0
"""A process elsewhere that was silent for so long is gone: it would have written fifteen times."""
_AWAITED_FOR_S = 3 * _EVERY_S


def process_tags() -> dict[str, str]:
    """Return the tags that name this process and the present time, for a run that starts now."""
    started = psutil.Process().create_time()
    return {PROCESS: f"{_machine()} {os.getpid()} {started:.2f}", HEARTBEAT: _now()}


@contextmanager
def beating(write: Callable[[dict[str, str]], object]) -> Iterator[None]:
    """Write a heartbeat once a minute for the length of the block.

    Args:
        write: Sets tags of the run. A TrackingError that it raises is ignored: a server that is away misses a beat.
    """
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(_EVERY_S):
            with suppress(TrackingError):
                write({HEARTBEAT: _now()})

    threading.Thread(target=beat, name="heartbeat", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def is_gone(tags: Mapping[str, str]) -> bool:
    """Tell whether the process that wrote the tags is gone.

    Returns:
        For a process of this machine, whether it is not running any more; for another, whether its heartbeat is older
        than 15 minutes. False without such tags (runs of version 0.1).
    """
    try:
        machine, pid, started = tags[PROCESS].rsplit(" ", 2)
        silent_s = time.time() - float(tags[HEARTBEAT])
        process_id, process_started = int(pid), float(started)
    except (KeyError, ValueError):
        return False
    if machine != _machine():
        return silent_s > _SILENT_AFTER_S
    try:
        # A process id may have been given away again.
        return abs(psutil.Process(process_id).create_time() - process_started) > 1.0
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


def is_of_another_process(tags: Mapping[str, str]) -> bool:
    """Tell whether a process other than this one wrote the tags, is not gone, and had a heartbeat within three minutes.

    Such a run is worth waiting for.
    """
    with suppress(KeyError, ValueError):
        is_recent = time.time() - float(tags[HEARTBEAT]) < _AWAITED_FOR_S
        return is_recent and tags[PROCESS] != process_tags()[PROCESS] and not is_gone(tags)
    return False


def _now() -> str:
    return f"{time.time():.0f}"


@cache
def _machine() -> str:
    """Name the machine, or the container in which process ids count: two may have the same host name."""
    names = [socket.gethostname()]
    with suppress(OSError):
        names.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:13])
        names.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return "/".join(names)
