"""Whether another process is at work on a run."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from mlbaseline.store.server.heartbeat import HEARTBEAT, PROCESS, is_of_another_process, process_tags

ELSEWHERE = "another-machine 17 1000.00"


@pytest.mark.parametrize(("silent_s", "is_awaited"), [(0, True), (150, True), (210, False)])
def test_a_process_of_another_machine_is_awaited_while_its_heart_beats(silent_s: float, is_awaited: bool) -> None:
    tags = {PROCESS: ELSEWHERE, HEARTBEAT: f"{time.time() - silent_s:.0f}"}
    assert is_of_another_process(tags) is is_awaited


def test_nobody_waits_for_itself_nor_for_a_process_that_has_ended() -> None:
    ours = process_tags()
    assert not is_of_another_process(ours)
    machine = ours[PROCESS].rsplit(" ", 2)[0]
    started = psutil.Process(os.getppid()).create_time()
    assert is_of_another_process({**ours, PROCESS: f"{machine} {os.getppid()} {started:.2f}"})
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert not is_of_another_process({**ours, PROCESS: f"{machine} {ended.pid} {time.time():.2f}"})


def test_runs_that_name_no_process_are_not_awaited() -> None:
    assert not is_of_another_process({})
    assert not is_of_another_process({PROCESS: ELSEWHERE, HEARTBEAT: "long ago"})
