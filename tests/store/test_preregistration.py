"""Rules from before the first evaluation, rules from after it, and how often `test` was looked at."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from mlbaseline.errors import TrackingError
from mlbaseline.records import Registration, TaskData
from mlbaseline.store.evaluations import EVALUATION
from mlbaseline.store.preregistration import TASK_DIGEST, find_registration, register_rules
from mlbaseline.store.server.connection import Tracker, connect
from mlbaseline.store.server.tracking import KIND, STARTED, STATUS, open_run, suite_tags
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import parse_suite
from tests.support.ladders.stored import Evaluate


@pytest.fixture
def data(data: TaskData) -> TaskData:
    """A task of its own for every test, because registration looks over all experiments of a server."""
    return replace(data, digest=uuid.uuid4().hex * 2)


def look(tracker: Tracker, suite: Suite, data: TaskData) -> str:
    tags = {**suite_tags(suite), TASK_DIGEST: data.digest}
    with open_run(tracker, "comparison", name="comparison", tags=tags) as run:
        pass
    return run.run_id


def registration(evaluate: Evaluate, suite: Suite) -> Registration:
    return find_registration(evaluate.tracker, suite, task_digest=evaluate.data.digest)


def test_rules_of_the_first_evaluation_are_registered_before_it(evaluate: Evaluate, suite: Suite) -> None:
    evaluate("majority", None)
    evaluate("lora", 0)
    found = registration(evaluate, suite)
    first = evaluate.tracker.client.get_run(found.first_run_id)
    assert first.data.tags["mlbaseline.baseline"] == "majority"
    assert found == Registration("before", first.info.run_id, first.info.start_time, suite.matrix_digest, 1)


def test_changed_rules_do_not_pass_for_the_old_ones(evaluate: Evaluate, suite: Suite, suite_text: str) -> None:
    evaluate("majority", None)
    changed = parse_suite(suite_text.replace("metric: accuracy}", "metric: accuracy, margin: 0.05}"))
    replace(evaluate, suite=changed)("lora", 0)  # carries the new rules, but is not the first
    found = registration(evaluate, changed)
    assert (found.status, found.first_matrix_digest) == ("after", suite.matrix_digest)
    assert registration(evaluate, suite).status == "before"


def test_deleting_or_failing_the_first_evaluation_hides_nothing(
    evaluate: Evaluate, suite: Suite, suite_text: str
) -> None:
    other = parse_suite(suite_text.replace("seeds: [0, 1]", "seeds: [0, 1, 2]"))
    with pytest.raises(TypeError):  # broken inside the run
        replace(evaluate, suite=other)("majority", None, metrics=None)
    client = evaluate.tracker.client
    client.delete_run(registration(evaluate, suite).first_run_id)
    evaluate("majority", None)
    assert registration(evaluate, suite).status == "after"
    assert registration(evaluate, other).status == "before"


def test_another_suite_on_the_same_data_was_first(evaluate: Evaluate, suite: Suite, suite_text: str) -> None:
    other = parse_suite(suite_text.replace(suite.name, f"{suite.name}-other").replace("[0, 1]", "[0]"))
    replace(evaluate, suite=other, tracker=connect(evaluate.tracker.uri, other.name))("majority", None)
    evaluate("majority", None)
    assert registration(evaluate, suite).status == "after"


def test_completed_comparisons_of_the_task_are_looks(evaluate: Evaluate, suite: Suite, data: TaskData) -> None:
    evaluate("majority", None)
    tracker = evaluate.tracker
    look(tracker, suite, data)
    tracker.client.delete_run(look(tracker, suite, data))
    look(tracker, suite, replace(data, digest="0" * 64))
    tags = {**suite_tags(suite), TASK_DIGEST: data.digest}
    with pytest.raises(ValueError, match="broke"), open_run(tracker, "comparison", name="broken", tags=tags):
        raise ValueError("broke")
    assert registration(evaluate, suite).test_looks == 3  # two completed, one of them deleted, and the one to come


def test_without_an_evaluation_there_is_nothing_to_stand_before(evaluate: Evaluate, suite: Suite) -> None:
    with pytest.raises(TrackingError, match="expected an evaluation of the task"):
        registration(evaluate, suite)


def test_a_claim_that_stood_in_the_first_rules_is_known_by_its_words(
    evaluate: Evaluate, suite: Suite, suite_text: str
) -> None:
    evaluate("majority", None)
    more = "metric: accuracy}], guardrails: [{candidate: lora, over: [small], margin: -0.1}"
    grown = parse_suite(suite_text.replace("metric: accuracy}", more))
    found = registration(evaluate, grown)
    assert (found.status, found.first_claims) == ("after", suite.matrix.claims())
    assert set(suite.matrix.claims()) < set(grown.matrix.claims())
    assert registration(evaluate, suite).first_claims == ()  # the rules are the same: nothing to look up


def test_a_first_run_whose_rules_were_edited_shows_no_claims(
    evaluate: Evaluate, suite: Suite, suite_text: str, tmp_path: Path
) -> None:
    evaluate("majority", None)
    changed = parse_suite(suite_text.replace("metric: accuracy}", "metric: accuracy, margin: 0.05}"))
    first = registration(evaluate, changed)
    assert first.first_claims
    path = Path(evaluate.tracker.client.download_artifacts(first.first_run_id, "suite.yaml", str(tmp_path)))
    path.chmod(0o644)
    path.write_text(path.read_text().replace("margin: 0.0", "margin: 0.05"))
    evaluate.tracker.client.log_artifact(first.first_run_id, str(path))
    assert registration(evaluate, changed).first_claims == ()


def test_a_first_run_that_broke_off_has_its_rules_all_the_same(
    evaluate: Evaluate, suite: Suite, suite_text: str
) -> None:
    with pytest.raises(TypeError):
        evaluate("majority", None, metrics=None)
    changed = parse_suite(suite_text.replace("metric: accuracy}", "metric: accuracy, margin: 0.05}"))
    assert registration(evaluate, changed).first_claims == suite.matrix.claims()
    reseeded = parse_suite(suite_text.replace("seeds: [0, 1]", "seeds: [0, 1, 2]"))
    assert registration(evaluate, reseeded).first_claims == ()  # more draws are another claim


on_server = pytest.mark.parametrize("tracking_uri", [pytest.param("http", marks=pytest.mark.server)], indirect=True)


@on_server
def test_a_server_notes_the_rules_once_by_its_own_clock(evaluate: Evaluate, suite: Suite) -> None:
    for _ in range(2):
        register_rules(evaluate.tracker, suite, task_digest=evaluate.data.digest)
    evaluate("majority", None)
    found, tracker = registration(evaluate, suite), evaluate.tracker
    noted = tracker.client.search_logged_models([tracker.experiment_id], filter_string="name LIKE 'rules-%'")
    assert found.status == "before"
    assert [note.creation_timestamp for note in noted] == [found.noted_ms]
    assert found.noted_ms is not None and found.noted_ms <= found.first_started_ms


@on_server
def test_a_note_that_a_repeated_request_made_twice_is_one_note(
    evaluate: Evaluate, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's client sends a POST again whose answer was lost; here the command is killed after it, too."""
    tracker, task_digest = evaluate.tracker, evaluate.data.digest
    create = tracker.client.create_logged_model
    with monkeypatch.context() as patch:
        patch.setattr(tracker.client, "create_logged_model", lambda *a, **k: (create(*a, **k), create(*a, **k))[1])
        patch.setattr(tracker.client, "delete_logged_model", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            register_rules(tracker, suite, task_digest=task_digest)
    register_rules(tracker, suite, task_digest=task_digest)
    (note,) = tracker.client.search_logged_models([tracker.experiment_id], filter_string="name LIKE 'rules-%'")
    assert str(note.status) == "READY"


def raise_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@on_server
def test_a_backdated_run_does_not_put_new_rules_before_those_that_the_server_noted(
    evaluate: Evaluate, suite: Suite, suite_text: str
) -> None:
    task_digest = evaluate.data.digest
    register_rules(evaluate.tracker, suite, task_digest=task_digest)
    evaluate("majority", None)
    changed = parse_suite(suite_text.replace("metric: accuracy}", "metric: accuracy, margin: 0.05}"))
    first = registration(evaluate, suite).first_started_ms
    tags = {**suite_tags(changed), TASK_DIGEST: task_digest, KIND: EVALUATION, STATUS: STARTED}
    evaluate.tracker.client.create_run(evaluate.tracker.experiment_id, start_time=first - 1, tags=tags)
    register_rules(evaluate.tracker, changed, task_digest=task_digest)
    found = registration(evaluate, changed)
    assert (found.status, found.first_started_ms) == ("after", first - 1)
    assert not found.first_claims


@pytest.mark.parametrize("tracking_uri", ["sqlite"], indirect=True)
def test_a_file_has_no_clock_of_its_own(evaluate: Evaluate, suite: Suite) -> None:
    register_rules(evaluate.tracker, suite, task_digest=evaluate.data.digest)
    evaluate("majority", None)
    assert registration(evaluate, suite).noted_ms is None
