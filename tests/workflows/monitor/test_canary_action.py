"""`mlbaseline canary --apply`: what a decision comes to in the registry, once, whatever dies on the way."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from shutil import copy

import pytest

from mlbaseline import store, workflows
from mlbaseline.errors import NotRegisteredError, PromotionError, SuiteError
from mlbaseline.tasks import open_suite
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.monitor.watching import Watcher
from tests.support.ladders.canaried import Canaried
from tests.support.ladders.workplace import ENVIRONMENT
from tests.support.processes.kills import count_writes, kill_points, run_and_kill
from tests.support.traffic import START

BETTER, WORSE = (0.6, 0.99), (0.99, 0.5)


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, empty_database: Path, shared_cache: Path
) -> Iterator[Canaried]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLBASELINE_CACHE", str(shared_cache))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        folder = tmp_path_factory.mktemp("built")
        copy(empty_database, folder / "mlflow.db")
        yield Canaried.build(folder, tiny_model, f"sqlite:///{folder}/mlflow.db")


@pytest.fixture
def canaried(built: Canaried, tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Canaried:
    monkeypatch.setenv("MLBASELINE_CACHE", str(shared_cache))
    monkeypatch.chdir(tmp_path)
    return built.copied(tmp_path)


def look(canaried: Canaried, *, apply: bool = True) -> CommandResult:
    return workflows.canary(canaried.suite, apply=apply, tracking_uri=canaried.uri)


def test_a_candidate_that_is_no_worse_goes_through_the_gates_once(canaried: Canaried) -> None:
    canaried.try_on_traffic("first", BETTER)
    dry = look(canaried, apply=False)
    assert (dry.exit_code, dry.document["action"]["applied"], canaried.aliases()) == (0, False, {"champion": "1"})
    assert "With --apply, full goes through the gates, to become champion of reviews-rule" in dry.text(False, 100)
    assert "mlbaseline promote" in dry.text(False, 100)
    done = look(canaried)
    assert "mlbaseline promote" not in done.text(False, 100)
    assert (done.exit_code, canaried.aliases()) == (0, {"champion": "2", "previous": "1"})
    (record,), (evidence,) = canaried.records("promotion"), canaried.records("canary")
    assert record.data.tags["mlbaseline.canary_run_id"] == evidence.info.run_id == done.document["run_id"]
    assert record.data.tags["mlbaseline.canary_experiment"] == "first"
    assert evidence.data.tags["mlbaseline.decision"] == "promote"
    again = look(canaried)
    assert again.document["action"] == done.document["action"]
    assert (len(canaried.records("promotion")), canaried.aliases()) == (1, {"champion": "2", "previous": "1"})


def test_a_champion_that_does_harm_gives_way_to_the_one_before_once(canaried: Canaried) -> None:
    workflows.promote(canaried.suite, tracking_uri=canaried.uri)
    canaried.try_on_traffic("second", WORSE)
    assert "gives way to the version before it" in look(canaried, apply=False).document["action"]["text"]
    done = look(canaried)
    assert (done.exit_code, canaried.aliases()) == (3, {"champion": "1", "previous": "2"})
    (record,) = canaried.records("rollback")
    tags = record.data.tags
    assert (tags["mlbaseline.version"], tags["mlbaseline.previous_version"]) == ("1", "2")
    assert tags["mlbaseline.canary_run_id"] == done.document["run_id"]
    again = look(canaried)
    assert (again.exit_code, again.document["action"]["rollback"]) == (3, {"run_id": record.info.run_id})
    # A person may overrule the canary, and is not overruled by the next look.
    workflows.promote(canaried.suite, allow_rolled_back=True, tracking_uri=canaried.uri)
    look(canaried)
    assert (len(canaried.records("rollback")), canaried.aliases()["champion"]) == (1, "3")


def test_a_candidate_that_does_harm_is_not_promoted_afterwards(canaried: Canaried) -> None:
    canaried.try_on_traffic("third", WORSE)
    assert "the champion of reviews-rule stays what it is" in look(canaried, apply=False).document["action"]["text"]
    assert look(canaried).exit_code == 3
    (record,) = canaried.records("rollback")
    assert (record.data.tags["mlbaseline.version"], canaried.aliases()) == ("1", {"champion": "1"})
    assert "Rolled back before" in look(canaried).text(False, 100)
    assert len(canaried.records("rollback")) == 1
    with pytest.raises(NotRegisteredError, match="a model that a canary turned down"):
        workflows.promote(canaried.suite, tracking_uri=canaried.uri)


def test_only_what_was_tried_is_promoted(canaried: Canaried) -> None:
    canaried.try_on_traffic("early", BETTER, start=START)
    with pytest.raises(PromotionError, match="after the canary had started"):
        look(canaried)
    canaried.edit("candidate: full\n    ramp", "candidate: zero_shot\n    ramp")
    with pytest.raises(PromotionError, match=r"tried 'zero_shot', and the newest comparison's winner is 'full'"):
        look(canaried)
    assert canaried.aliases() == {"champion": "1"}


def test_the_gates_hold_back_what_the_traffic_would_let_pass(canaried: Canaried) -> None:
    canaried.edit("over: [majority, zero_shot, champion]}", "over: [majority, zero_shot, champion], margin: 0.9}")
    workflows.compare(canaried.suite, tracking_uri=canaried.uri)
    canaried.try_on_traffic("first", BETTER)
    held = look(canaried)
    assert (held.exit_code, held.document["action"]["applied"]) == (3, False)
    assert (canaried.records("promotion"), canaried.aliases()) == ([], {"champion": "1"})


def test_what_cannot_be_applied_is_refused(canaried: Canaried) -> None:
    canaried.try_on_traffic("third", WORSE)
    with pytest.raises(SuiteError, match="the record of the move names it"):
        workflows.canary(canaried.suite, apply=True, record=False, tracking_uri=canaried.uri)
    canaried.edit("register_as: reviews-rule", "")
    with pytest.raises(SuiteError, match="no model whose alias could move"):
        look(canaried)


def test_the_splitter_is_answered_before_the_alias_moves(canaried: Canaried) -> None:
    workflows.promote(canaried.suite, tracking_uri=canaried.uri)
    canaried.try_on_traffic("second", WORSE)
    suite = open_suite(canaried.suite)
    watcher = Watcher(suite, store.connect(canaried.uri, suite.name), None, apply=True, patience_s=30)
    seen: list[tuple[float, str]] = []

    def ask() -> None:
        while not seen or seen[-1][0]:
            if watcher.canary is not None:
                alias = canaried.aliases()["champion"]  # before the answer, which lets the alias move
                seen.append((watcher.answer().share, alias))

    splitter = threading.Thread(target=ask)
    splitter.start()
    watcher.look()
    splitter.join()
    assert (seen[-1], watcher.problem, canaried.aliases()["champion"]) == ((0.0, "2"), "", "1")
    watcher.look()
    assert len(canaried.records("rollback")) == 1


@pytest.mark.skipif("MLBASELINE_TEST_KILLS" not in os.environ, reason="takes a minute: make test-faults")
def test_a_call_that_is_killed_anywhere_is_finished_by_the_next(canaried: Canaried, tmp_path: Path) -> None:
    """Kills are spread over all writes, from the run with the evidence to the last tag of the record."""
    workflows.promote(canaried.suite, tracking_uri=canaried.uri)
    canaried.try_on_traffic("second", WORSE)
    look(canaried, apply=False)
    command = ["canary", "suite.yaml", "--apply", "--json"]
    environment = {**os.environ, **ENVIRONMENT, "MLFLOW_TRACKING_URI": canaried.uri}
    undisturbed = canaried.copied(tmp_path / "undisturbed")
    done, writes = count_writes(command, undisturbed.folder, {**environment, "MLFLOW_TRACKING_URI": undisturbed.uri})
    assert (done.returncode, undisturbed.aliases()["champion"]) == (3, "1"), done.stderr
    print(f"{writes} writes")
    for number, (at, later_s) in enumerate(kill_points(writes, 3 * int(os.environ["MLBASELINE_TEST_KILLS"]), 0)):
        one = canaried.copied(tmp_path / f"killed-{number}")
        own = {**environment, "MLFLOW_TRACKING_URI": one.uri}
        run_and_kill(command, one.folder, own, at=at, later_s=later_s)
        assert look(one).exit_code == 3
        assert one.aliases() == {"champion": "1", "previous": "2"}, at
        (record,) = one.records("rollback")
        assert record.data.tags["mlbaseline.canary_experiment"] == "second", at
