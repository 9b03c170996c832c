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


IN_A_CALLBACK = """
import os, signal, time, weakref
from mlbaseline.cli import cli, main

class Gone:
    pass

def interrupted(_):
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(100):
        pass

@cli.command()
def hang():
    gone = Gone()
    reference = weakref.ref(gone, interrupted)
    del gone
    time.sleep(200)  # longer than the test waits

main(["hang"])
"""


def hang(name: str, seconds: float, *before: str) -> subprocess.CompletedProcess[str]:
    return _run(*before, sys.executable, "-c", CODE, name, str(seconds))


def _run(*command: str) -> subprocess.CompletedProcess[str]:
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


def test_an_interrupt_that_python_drops_in_a_callback_comes_again() -> None:
    done = _run(sys.executable, "-c", IN_A_CALLBACK)
    assert (done.returncode, done.stderr.count("interrupted; what is complete is kept")) == (1, 1)
    assert "Exception ignored" not in done.stderr
