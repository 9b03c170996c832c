"""Promotion, rollback, their records, and what happens when two of them meet."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlbaseline.errors import IncomparableError, NotRegisteredError, PromotionError, TrackingError
from mlbaseline.records import Promotion, PromotionState, TaskData
from mlbaseline.store import load_assessment
from mlbaseline.store.comparison_runs import ComparisonRun, find_comparison
from mlbaseline.store.registry.promotion import promote, rollback
from mlbaseline.store.registry.rolled_back import promotion_state
from mlbaseline.store.runs import find_evaluations
from mlbaseline.store.server.connection import Tracker, connect
from mlbaseline.store.server.references import artifact_path, resolve
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import parse_suite
from tests.support.ladders.stored import Compare, aliases, found, planned

WEIGHTS = "artifacts/served/weights"


def test_winner_becomes_champion_with_its_lineage(
    tracker: Tracker, suite: Suite, data: TaskData, compare: Compare
) -> None:
    comparison = compare()
    plan = planned(tracker, suite, comparison)
    assert (plan.previous_version, plan.is_champion, plan.winner.seed) == (None, False, 1)
    assert not tracker.client.search_registered_models(f"name = '{plan.model}'")  # a plan alone writes nothing
    promotion = promote(tracker, suite, plan)
    assert promotion == Promotion(plan.model, "1", None, comparison.run_id, plan.winner.run_id, promotion.run_id)
    assert aliases(tracker, plan.model) == {"champion": "1"}
    version = tracker.client.get_model_version(plan.model, "1")
    assert version.run_id == plan.winner.run_id
    lora, majority = [run for run in find_evaluations(tracker) if run.baseline == "lora"], find_evaluations(tracker)[0]
    expected = {
        "verdict": "promote",
        "comparison_run_id": comparison.run_id,
        "evaluation_run_id": plan.winner.run_id,
        "suite": suite.name,
        "suite_digest": suite.digest,
        "matrix_digest": suite.matrix_digest,
        "task_digest": data.digest,
        "previous_version": "none",
        "baseline.majority.run_ids": majority.run_id,
        "delta.majority.accuracy": "+0.113 [+0.071, +0.155]",
    }
    assert {key: version.tags[f"mlbaseline.{key}"] for key in expected} == expected
    assert set(version.tags["mlbaseline.baseline.lora.run_ids"].split(",")) == {run.run_id for run in lora}
    assert "| majority | accuracy | +0.113 [+0.071, +0.155] |" in version.description
    assert "Weakest slice over majority: length = 1" in version.description
    record = tracker.client.get_run(promotion.run_id)
    assert record.info.status == "FINISHED"
    kept = {"kind": "promotion", "version": "1", "previous_version": "none", "comparison_run_id": comparison.run_id}
    assert {key: record.data.tags[f"mlbaseline.{key}"] for key in kept} == kept


def test_next_champion_keeps_the_one_before_and_can_be_rolled_back(
    tracker: Tracker, suite: Suite, compare: Compare
) -> None:
    first = promote(tracker, suite, planned(tracker, suite, compare()))
    second = promote(tracker, suite, planned(tracker, suite, compare()))
    assert (second.version, second.previous_version) == ("2", "1")
    assert aliases(tracker, first.model) == {"champion": "2", "previous": "1"}

    def page(version: str) -> list[str]:
        return str(tracker.client.get_model_version(first.model, version).description).splitlines()

    record = f"([record](#/experiments/{tracker.experiment_id}/runs/{second.run_id}))"
    assert page("1")[0] == f"> **Overtaken** by version 2 {record}."
    back = rollback(tracker.uri, first.model)
    assert page("1")[0].startswith("**lora**") and page("2")[0].startswith("> **Rolled back** to version 1 ([record]")
    assert page("2")[2].startswith("**lora**")
    assert (back.version, back.previous_version, back.evaluation_run_id) == ("1", "2", first.evaluation_run_id)
    assert aliases(tracker, first.model) == {"champion": "1", "previous": "2"}
    record = tracker.client.get_run(back.run_id)
    assert record.data.tags["mlbaseline.kind"] == "rollback"
    assert record.info.experiment_id == tracker.experiment_id
    again = compare()  # the same weights as those that were rolled back, whatever the run
    with pytest.raises(NotRegisteredError, match=r"is the model of version 2 .* which was rolled back"):
        planned(tracker, suite, again)
    third = promote(tracker, suite, planned(tracker, suite, again, allow_rolled_back=True))
    assert (third.version, third.previous_version) == ("3", "1")


def test_what_became_of_a_winner_is_read_from_the_registry(tracker: Tracker, suite: Suite, compare: Compare) -> None:
    def state(comparison: ComparisonRun) -> PromotionState:
        return promotion_state(tracker, suite.register_as, load_assessment(tracker, comparison.run_id))

    first = compare()
    assert state(first) is PromotionState.OPEN
    model = promote(tracker, suite, planned(tracker, suite, first)).model
    assert state(first) is PromotionState.CHAMPION
    second = compare()
    assert state(second) is PromotionState.OPEN
    promote(tracker, suite, planned(tracker, suite, second))
    assert (state(first), state(second)) == (PromotionState.OVERTAKEN, PromotionState.CHAMPION)
    rollback(tracker.uri, model)
    assert (state(first), state(second)) == (PromotionState.CHAMPION, PromotionState.ROLLED_BACK)


def test_champion_that_wins_again_stays_as_it_is(tracker: Tracker, suite: Suite, compare: Compare) -> None:
    comparison = compare()
    promotion = promote(tracker, suite, planned(tracker, suite, comparison))
    plan = planned(tracker, suite, comparison)
    assert plan.is_champion
    assert promote(tracker, suite, plan) == promotion
    assert len(tracker.client.search_model_versions(f"name = '{promotion.model}'")) == 1


@pytest.mark.parametrize("decision", ["hold", "inconclusive"])
def test_nothing_is_registered_without_the_verdict(
    tracker: Tracker, suite: Suite, compare: Compare, decision: str
) -> None:
    comparison = compare(decision)
    with pytest.raises(PromotionError, match=f"its verdict is '{decision}'"):
        planned(tracker, suite, comparison)
    tracker.client.set_tag(comparison.run_id, "mlbaseline.verdict", "promote")
    with pytest.raises(PromotionError, match=f"its verdict is '{decision}'"):
        planned(tracker, suite, found(find_comparison(tracker, comparison.run_id)))
    assert not tracker.client.search_registered_models(f"name = '{suite.register_as}'")


def test_suite_that_changed_since_the_comparison_is_refused(
    tracker: Tracker, suite: Suite, suite_text: str, compare: Compare
) -> None:
    comparison = compare()
    looser = parse_suite(suite_text.replace("metric: accuracy}", "metric: accuracy, margin: -0.5}"))
    with pytest.raises(IncomparableError, match="another suite"):
        planned(tracker, looser, comparison)
    unnamed = parse_suite(suite_text.replace(f"register_as: {suite.register_as}", ""))
    with pytest.raises(PromotionError, match="no `register_as`"):
        planned(tracker, unnamed, comparison)


def test_winner_without_a_model_is_refused(tracker: Tracker, suite: Suite, compare: Compare) -> None:
    with pytest.raises(PromotionError, match="left no model that could be registered"):
        planned(tracker, suite, compare(served=False))


def test_of_several_promotions_at_once_one_wins(tracker: Tracker, suite: Suite, compare: Compare) -> None:
    promote(tracker, suite, planned(tracker, suite, compare()))
    plan = planned(tracker, suite, compare())
    trackers = [connect(tracker.uri, suite.name) for _ in range(4)]

    def attempt(tracker: Tracker) -> Promotion | PromotionError:
        try:
            return promote(tracker, suite, plan)
        except PromotionError as error:
            return error

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(attempt, trackers))
    won = [outcome for outcome in outcomes if isinstance(outcome, Promotion)]
    lost = [str(outcome) for outcome in outcomes if isinstance(outcome, PromotionError)]
    assert len(won) == 1
    assert all("under way" in reason or "was version 1 when" in reason for reason in lost)
    assert aliases(tracker, plan.model) == {"champion": won[0].version, "previous": "1"}
    versions = tracker.client.search_model_versions(f"name = '{plan.model}'")
    assert {str(version.version) for version in versions} == {"1", won[0].version}  # the losers left none
    query = "tags.`mlbaseline.kind` = 'promotion'"
    records = tracker.client.search_runs([tracker.experiment_id], query)
    assert sorted(record.info.status for record in records) == ["FAILED"] * 3 + ["FINISHED"] * 2


def test_plan_that_another_promotion_overtook_is_refused(tracker: Tracker, suite: Suite, compare: Compare) -> None:
    plan = planned(tracker, suite, compare())
    promote(tracker, suite, planned(tracker, suite, compare()))
    with pytest.raises(PromotionError, match="was version None when this promotion was planned, and is 1 now"):
        promote(tracker, suite, plan)
    assert aliases(tracker, plan.model) == {"champion": "1"}


@pytest.mark.parametrize("tracking_uri", ["sqlite"], indirect=True)  # the age of a version is set in the database
def test_promotion_that_died_blocks_others_for_a_while_only(
    database: str, suite: Suite, tracker: Tracker, compare: Compare
) -> None:
    plan = planned(tracker, suite, compare())
    tracker.client.create_registered_model(plan.model)
    source = f"models:/{plan.winner.model_id}"
    tracker.client.create_model_version(plan.model, source, tags={"mlbaseline.promotion": "pending"})
    with pytest.raises(PromotionError, match=r"another promotion is under way \(version 1"):
        promote(tracker, suite, plan)
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        connection.execute("update model_versions set creation_time = creation_time - 601000 where version = 1")
    promotion = promote(tracker, suite, plan)
    assert aliases(tracker, plan.model) == {"champion": promotion.version}


def test_rollback_without_a_previous_one_is_refused(tracker: Tracker, suite: Suite, compare: Compare) -> None:
    promotion = promote(tracker, suite, planned(tracker, suite, compare()))
    misspelt = promotion.model + "s"
    with pytest.raises(TrackingError, match=f"no registered model '{misspelt}'; did you mean '{promotion.model}'"):
        rollback(tracker.uri, misspelt)
    expected = "nothing to go back to.* on two versions; there is champion on version 1.$"
    with pytest.raises(PromotionError, match=expected):
        rollback(tracker.uri, promotion.model)


def test_references_become_paths(tracker: Tracker, suite: Suite, compare: Compare, own_cache: Path) -> None:
    promotion = promote(tracker, suite, planned(tracker, suite, compare()))
    run_id = promotion.evaluation_run_id
    assert resolve(tracker, f"runs:/{run_id}/suite.yaml").read_text().startswith("name: moods")
    assert {path.name for path in resolve(tracker, f"runs:/{run_id}/results").iterdir()} == {
        "examples.parquet",
        "measured.json",
        "signature.json",
    }
    model_id = find_evaluations(tracker)[1].model_id
    for uri in (f"models:/{promotion.model}@champion", f"models:/{promotion.model}/1", f"models:/{model_id}"):
        for _ in range(2):
            assert (resolve(tracker, uri) / WEIGHTS / "adapter.safetensors").read_bytes() == b"weights"
            inside = resolve(tracker, f"{uri}/{WEIGHTS}")
            assert [path.name for path in inside.iterdir()] == ["adapter.safetensors"]
    with pytest.raises(TrackingError, match="expected models:/NAME@ALIAS"):
        resolve(tracker, "models:/a/b/c")
    with pytest.raises(TrackingError, match=r"fetch runs:/0000"):
        resolve(tracker, "runs:/00000000000000000000000000000000/x")


def test_artifact_has_a_place_that_a_person_can_go_to(tracker: Tracker, compare: Compare) -> None:
    run_id = compare().run_id
    place = artifact_path(tracker, run_id, "comparison/findings.json")
    if tracker.uri.startswith("http"):
        assert (
            place
            == f"{tracker.uri}/#/experiments/{tracker.experiment_id}/runs/{run_id}/artifacts/comparison/findings.json"
        )
    else:
        assert Path(place).is_file()
