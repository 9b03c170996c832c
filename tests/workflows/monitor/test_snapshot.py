"""`mlbaseline snapshot` from events to the page of the registered version, on a real model and tracking store."""

from __future__ import annotations

import re
from pathlib import Path

import mlflow
import pytest

from mlbaseline import workflows
from mlbaseline.errors import DataError, SuiteError, TrackingError
from mlbaseline.store import artifact_path, connect
from mlbaseline.store.live import read_holdout
from tests.support.ladders.cheap_ladder import CheapLadder
from tests.support.ladders.live_traffic import write_week
from tests.support.models.rule_model import register


def test_from_events_to_a_breach(live: CheapLadder) -> None:
    with pytest.raises(DataError, match="the ledger has no events"):
        workflows.snapshot(live.suite, tracking_uri=live.uri)
    write_week(live, 0)
    first = workflows.snapshot(live.suite, tracking_uri=live.uri)
    assert (first.exit_code, first.document["outcome"], first.document["anchor"]) == (0, "holds", None)
    assert (first.document["n"], first.document["champion_mean"], first.document["delta"]) == (120, 1.0, 0.0)
    tracker = connect(live.uri, "reviews")
    anchor, items = (read_holdout(tracker, version) for version in ("anchor", first.document["period"]))
    assert anchor is not None and items is not None
    assert (len(anchor), len(items)) == (60, 120)
    assert not {item.request_id for item in anchor} & {item.request_id for item in items}

    # The same period again: nothing is evaluated, and it says the same.
    again = workflows.snapshot(live.suite, tracking_uri=live.uri)
    assert again.document == {**first.document, "new": False}

    # The world has changed: another sign, which neither knows. Both are as good as each other.
    write_week(live, 1, signs="=")
    second = workflows.snapshot(live.suite, tracking_uri=live.uri)
    mean = second.document["champion_mean"]
    assert (second.document["outcome"], second.document["reference_mean"]) == ("holds", mean)
    assert 0.4 < mean < 0.6
    assert second.document["anchor"]["changed"] == 0
    assert "Items that never change: 0 of 60" in second.text(False, 100)

    run = live.run(second.document["run_id"])
    assert run.data.tags["mlbaseline.kind"] == "snapshot"
    assert run.data.metrics["snapshot/champion"] == mean
    history = tracker.client.get_metric_history(run.info.run_id, "history/champion")
    assert [point.value for point in history] == [1.0, mean]
    files = {item.path for item in tracker.client.list_artifacts(run.info.run_id, "snapshot")}
    assert files == {
        f"snapshot/{name}" for name in ("snapshot.json", "history.svg", "holdout.parquet", "anchor.parquet")
    }
    version = tracker.client.get_model_version("reviews-rule", "1")
    assert version.tags["mlbaseline.snapshot_run_id"] == run.info.run_id
    assert version.description.count("Latest snapshot: [") == 1


def test_another_server_behind_the_alias_shows_on_the_anchor_and_a_worse_champion_is_a_breach(
    live: CheapLadder,
) -> None:
    write_week(live, 0)
    workflows.snapshot(live.suite, tracking_uri=live.uri)
    # A worse version: another champion, whose history begins anew.
    register(live, "+", "text")
    write_week(live, 1)
    found = workflows.snapshot(live.suite, tracking_uri=live.uri)
    assert (found.exit_code, found.document["outcome"], found.document["anchor"]) == (3, "breach", None)
    assert found.document["delta"] < -0.15
    assert found.document["log_e_total"] >= found.document["threshold"]
    assert "Breach: the champion is worse than the reference" in found.text(False, 100)


def test_a_champion_that_was_not_promoted_by_us_has_no_recorded_scores(live: CheapLadder) -> None:
    text = live.suite.read_text().replace("reference: rule", "reference: champion")
    live.suite.write_text(text)
    write_week(live, 0)
    with pytest.raises(DataError, match="was not promoted by mlbaseline, so that its recorded scores are not known"):
        workflows.snapshot(live.suite, tracking_uri=live.uri)


def test_a_version_of_the_holdout_does_not_change(live: CheapLadder) -> None:
    write_week(live, 0)
    period = workflows.snapshot(live.suite, tracking_uri=live.uri).document["period"]
    client = mlflow.MlflowClient(live.uri)
    (dataset,) = client.search_datasets(filter_string=f"name = 'reviews-holdout-{period}'")
    dataset.merge_records([{"inputs": {"review": "smuggled in"}, "expectations": {"target": "good"}}])
    with pytest.raises(TrackingError, match="has other items than it was written with"):
        read_holdout(connect(live.uri, "reviews"), period)
    workflows.evaluate(live.suite, baselines=["rule"], tracking_uri=live.uri)
    assert workflows.drift(live.suite, record=False, tracking_uri=live.uri).document["vocabulary"] is None


def test_drift_is_explained_by_the_words_of_the_holdout(live: CheapLadder) -> None:
    write_week(live, 0)
    workflows.evaluate(live.suite, baselines=["rule"], tracking_uri=live.uri)
    assert workflows.drift(live.suite, record=False, tracking_uri=live.uri).document["vocabulary"] is None
    workflows.snapshot(live.suite, tracking_uri=live.uri)
    outcome = workflows.drift(live.suite, tracking_uri=live.uri)
    words = outcome.document["vocabulary"]
    assert (words["unknown"], words["suite_unknown"]) == (1.0, 0.0)  # `review 0 12 +` beside `the soup today +`
    assert outcome.document["alarm"] is False
    page = artifact_path(connect(live.uri, "reviews"), outcome.document["run_id"], "drift/report.md")
    assert "do not occur in the suite's data" in Path(page).read_text(encoding="utf-8")


def test_what_is_missing_is_named(live: CheapLadder, tmp_path: Path) -> None:
    write_week(live, 0)
    events = live.folder / "events" / "0.jsonl"
    events.write_text(events.read_text().replace('"target"', '"answer"'))
    with pytest.raises(DataError, match=r"from 2026-03-02 to 2026-03-08 has no item with its inputs"):
        workflows.snapshot(live.suite, tracking_uri=live.uri)
    text = live.suite.read_text()
    live.suite.write_text(re.sub(r"  champion: .*\n", "", text))
    with pytest.raises(SuiteError, match="add one of kind production with its `uri`"):
        workflows.snapshot(live.suite, tracking_uri=live.uri)
    live.suite.write_text(text.replace("@champion", "@nobody"))
    with pytest.raises(DataError, match="there is no models:/reviews-rule@nobody on the tracking server yet"):
        workflows.snapshot(live.suite, tracking_uri=live.uri)
