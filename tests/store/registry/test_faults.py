"""Processes that die, servers that are locked, and moves that meet: records and aliases agree at the end."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

from mlbaseline.errors import PromotionError, TrackingError
from mlbaseline.store.registry import aliases as moving
from mlbaseline.store.registry.aliases import AliasMove
from mlbaseline.store.registry.moves import finish_interrupted
from mlbaseline.store.registry.promotion import promote, rollback
from mlbaseline.store.server.connection import Tracker, connect
from mlbaseline.store.server.dead_runs import end_dead_runs
from mlbaseline.store.server.heartbeat import HEARTBEAT, PROCESS, is_gone, process_tags
from mlbaseline.store.server.tracking import open_run
from mlbaseline.suite import Suite
from tests.support.ladders.stored import Compare, aliases, planned

ROUNDS = int(os.environ.get("MLBASELINE_TEST_INTERLEAVINGS", "6"))
WAITS = """
import sys, time
from mlbaseline.store.server.connection import connect
from mlbaseline.store.server.tracking import open_run
with open_run(connect(sys.argv[1], sys.argv[2]), "evaluation", name="waits", tags={}) as run:
    print(run.run_id, flush=True)
    time.sleep(600)
"""


def start_run(tracker: Tracker) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-c", WAITS, tracker.uri, tracker.experiment]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_a_run_whose_process_was_killed_is_ended_by_the_next_command(tracker: Tracker) -> None:
    process, run_id = start_run(tracker)
    try:
        with open_run(tracker, "ladder", name="ours", tags={}) as ours:
            assert end_dead_runs(tracker) == [], "both processes are there"
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert end_dead_runs(tracker) == [run_id]
            assert end_dead_runs(tracker) == []
            assert tracker.client.get_run(ours.run_id).info.status == "RUNNING"
    finally:
        process.kill()
    dead = tracker.client.get_run(run_id)
    assert dead.info.status == "KILLED"
    assert dead.data.tags["mlbaseline.status"] == "failed"
    assert "its process ended" in dead.data.tags["mlbaseline.error"]


def test_who_is_gone() -> None:
    ours = process_tags()
    machine, _, started = ours[PROCESS].rsplit(" ", 2)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    old = f"{time.time() - 3600:.0f}"
    assert not is_gone(ours)
    assert not is_gone({**ours, HEARTBEAT: old}), "a process of this machine is asked itself"
    assert is_gone({**ours, PROCESS: f"{machine} {ended.pid} {started}"})
    assert is_gone({**ours, PROCESS: f"{machine} {os.getpid()} {float(started) - 60}"}), "the id was given away again"
    assert not is_gone({**ours, PROCESS: f"elsewhere 1 {started}"})
    assert is_gone({PROCESS: f"elsewhere 1 {started}", HEARTBEAT: old})
    assert not is_gone({}), "a run of version 0.1"
    assert not is_gone({PROCESS: "?", HEARTBEAT: "?"})


@pytest.mark.parametrize("tracking_uri", ["sqlite"], indirect=True)
def test_a_lock_of_another_process_is_waited_for(database: str, tracker: Tracker) -> None:
    """Longer than the five seconds after which sqlite gives up by default."""
    held = threading.Event()

    def lock() -> None:
        with sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None) as connection:
            connection.execute("begin exclusive")
            held.set()
            time.sleep(8)
            connection.execute("rollback")

    thread = threading.Thread(target=lock)
    thread.start()
    held.wait()
    with open_run(tracker, "evaluation", name="patient", tags={}) as run:
        pass
    thread.join()
    assert tracker.client.get_run(run.run_id).info.status == "FINISHED"


class DiedError(BaseException):
    """The process is gone: nothing of its code runs any more."""


def die_at(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Let the process die around the setting of the aliases."""
    whole = moving.set_aliases

    def dies(server: Tracker, move: AliasMove) -> None:
        if step == "half" and move.previous is not None:
            server.client.set_registered_model_alias(move.model, "previous", move.previous)
        if step == "whole":
            whole(server, move)
        raise DiedError

    monkeypatch.setattr("mlbaseline.store.registry.moves.set_aliases", dies)
    # What a dead process does not do any more.
    monkeypatch.setattr("mlbaseline.store.registry.aliases.withdraw", lambda *_: None)
    monkeypatch.setattr("mlbaseline.store.registry.promotion.delete_version", lambda *_: None)
    monkeypatch.setattr("mlbaseline.store.server.tracking._end", lambda *_: None)


def kill_writer_of(tracker: Tracker, kind: str) -> str:
    """Make the newest run of a kind that of a process that is gone."""
    query = f"tags.`mlbaseline.kind` = '{kind}'"
    run = tracker.client.search_runs([tracker.experiment_id], query, order_by=["attributes.start_time DESC"])[0]
    machine, _, _ = run.data.tags[PROCESS].rsplit(" ", 2)
    tracker.client.set_tag(run.info.run_id, PROCESS, f"{machine} 999999999 1.00")
    return str(run.info.run_id)


@pytest.mark.parametrize("step", ["announced", "half", "whole"])
def test_a_promotion_that_died_is_finished_or_undone(
    tracker: Tracker, suite: Suite, compare: Compare, step: str
) -> None:
    first = promote(tracker, suite, planned(tracker, suite, compare(), allow_rolled_back=True))
    plan = planned(tracker, suite, compare(), allow_rolled_back=True)
    with pytest.MonkeyPatch.context() as patch:
        die_at(patch, step)
        with pytest.raises(DiedError):
            promote(tracker, suite, plan)
    expected = {
        "announced": {"champion": "1"},
        "half": {"champion": "1", "previous": "1"},
        "whole": {"champion": "2", "previous": "1"},
    }
    assert aliases(tracker, first.model) == expected[step]
    finish_interrupted(tracker, first.model)
    assert aliases(tracker, first.model) == expected[step], "its process may still be at work"
    run_id = kill_writer_of(tracker, "promotion")
    finish_interrupted(tracker, first.model)
    if step == "announced":
        assert aliases(tracker, first.model) == {"champion": "1"}
        return
    assert aliases(tracker, first.model) == {"champion": "2", "previous": "1"}
    record = tracker.client.get_run(run_id)
    assert (record.info.status, record.data.tags["mlbaseline.version"]) == ("FINISHED", "2")
    back = rollback(tracker.uri, first.model)
    assert (back.version, back.previous_version) == ("1", "2")
    third = promote(tracker, suite, planned(tracker, suite, compare(), allow_rolled_back=True))
    assert aliases(tracker, first.model) == {"champion": third.version, "previous": "1"}


def test_a_rollback_that_died_half_way_is_finished_by_the_next(
    tracker: Tracker, suite: Suite, compare: Compare
) -> None:
    model = promote(tracker, suite, planned(tracker, suite, compare(), allow_rolled_back=True)).model
    promote(tracker, suite, planned(tracker, suite, compare(), allow_rolled_back=True))
    with pytest.MonkeyPatch.context() as patch:
        die_at(patch, "half")
        with pytest.raises(DiedError):
            rollback(tracker.uri, model)
    assert aliases(tracker, model) == {"champion": "2", "previous": "2"}
    kill_writer_of(tracker, "rollback")
    back = rollback(tracker.uri, model)  # first finishes the one that died, then swaps again
    assert (back.version, back.previous_version) == ("2", "1")
    assert aliases(tracker, model) == {"champion": "2", "previous": "1"}


def test_a_version_of_a_repeated_request_is_deleted(
    tracker: Tracker, suite: Suite, compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's client sends a POST again whose answer was lost, and the server makes a second version."""
    plan = planned(tracker, suite, compare(), allow_rolled_back=True)
    create = tracker.client.create_model_version
    monkeypatch.setattr(tracker.client, "create_model_version", lambda *a, **k: (create(*a, **k), create(*a, **k))[1])
    promotion = promote(tracker, suite, plan)
    versions = tracker.client.search_model_versions(f"name = '{plan.model}'")
    assert [str(version.version) for version in versions] == [promotion.version]
    assert aliases(tracker, plan.model) == {"champion": promotion.version}


@pytest.mark.timeout(600 + 30 * ROUNDS)
def test_moves_that_meet_leave_aliases_and_records_that_agree(tracker: Tracker, suite: Suite, compare: Compare) -> None:
    """A promotion, and a rollback or another promotion at the same time, at random distances."""
    model = promote(tracker, suite, planned(tracker, suite, compare(), allow_rolled_back=True)).model
    promote(tracker, suite, planned(tracker, suite, compare(), allow_rolled_back=True))
    draws = random.Random(0)
    for number in range(ROUNDS):
        before = aliases(tracker, model)
        plan = planned(tracker, suite, compare(), allow_rolled_back=True)
        ended: dict[str, str] = {}

        def attempt(name: str, wait_s: float, move: Callable[[], object], ended: dict[str, str] = ended) -> None:
            time.sleep(wait_s)
            try:
                ended[name] = str(getattr(move(), "version", ""))
            except (PromotionError, TrackingError) as error:
                ended[name] = f"refused: {error}"

        moves: list[tuple[str, Callable[[], object]]] = [
            ("promotion", partial(promote, connect(tracker.uri, suite.name), suite, plan)),
            ("rollback", partial(rollback, tracker.uri, model)),
        ]
        if number % 2:
            rival = planned(tracker, suite, compare(), allow_rolled_back=True)
            moves[1] = ("rival", partial(promote, connect(tracker.uri, suite.name), suite, rival))
        threads = [threading.Thread(target=attempt, args=(name, draws.uniform(0.0, 0.4), move)) for name, move in moves]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done = {name: outcome for name, outcome in ended.items() if not outcome.startswith("refused")}
        after = aliases(tracker, model)
        assert after["champion"] != after["previous"]
        if not done:
            assert after == before, "both withdrew"
        elif len(done) == 1:
            assert after == {"champion": next(iter(done.values())), "previous": before["champion"]}
        else:  # one after the other: whichever was last went back from, or on from, the other's champion
            assert after["champion"] in done.values()
        tags = tracker.client.get_registered_model(model).tags
        assert not [key for key in tags if key.startswith("mlbaseline.move.")]
