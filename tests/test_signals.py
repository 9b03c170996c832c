"""A command that is told to stop, or whose terminal closes, ends as by Ctrl-C: what is open is closed behind it."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

CODE = """
import os, signal, sys, time
from mlbaseline.cli import cli, main

@cli.command()
def hang():
    try:
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))
        time.sleep(float(sys.argv[2]))
    finally:
        print("closed")

main(["hang"])
"""


def hang(name: str, seconds: float, *before: str) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-c", CODE, name, str(seconds)]
    # Whoever runs the tests under nohup has them ignore SIGHUP.
    handler = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    finally:
        signal.signal(signal.SIGHUP, handler)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_command_that_is_told_to_stop_closes_what_is_open(name: str) -> None:
    done = hang(name, 40)
    assert (done.returncode, done.stdout) == (1, "closed\n")
    assert "interrupted; what is complete is kept" in done.stderr


def test_under_nohup_a_closed_terminal_stops_nothing() -> None:
    assert hang("SIGHUP", 0.1, "nohup").returncode == 0
