"""A comparison run holds the whole assessment, for people, for scripts, and to be read back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from mlbaseline.errors import IncomparableError, TrackingError
from mlbaseline.records import Assessment
from mlbaseline.store.comparison_runs import find_comparison
from mlbaseline.store.comparisons import load_assessment, log_comparison, save_assessment
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.tracking import open_run, suite_tags
from mlbaseline.suite import Suite
from tests.support.ladders.stored import make_assessment

COLUMNS = [
    "candidate",
    "baseline",
    "metric",
    "slice",
    "slice_value",
    "role",
    "estimand",
    "n",
    "n_clusters",
    "n_seeds_candidate",
    "n_seeds_baseline",
    "candidate_mean",
    "baseline_mean",
    "delta",
    "low",
    "high",
    "level",
    "simultaneous_low",
    "simultaneous_high",
    "effect_size",
    "p_value",
    "p_adjusted",
    "gained",
    "lost",
    "mde",
    "margin",
    "method",
    "outcome",
    "registered",
    "caution",
    "n_labels",
    "effective_labels",
    "undecided",
    "effective_n",
    "plain_delta",
    "plain_low",
    "plain_high",
]


@pytest.fixture
def assessment(suite: Suite) -> Assessment:
    return make_assessment(suite, {"lora": {"0": "a", "1": "b"}, "majority": {"none": "c"}})


def log(tracker: Tracker, suite: Suite, assessment: Assessment, folder: Path) -> str:
    (folder / "plots").mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text("<p>report")
    (folder / "plots" / "forest.svg").write_text("<svg/>")
    with open_run(tracker, "comparison", name="comparison", tags=suite_tags(suite)) as run:
        log_comparison(run, assessment, folder, suite=suite)
    return run.run_id


def test_comes_back_as_it_was(tracker: Tracker, suite: Suite, assessment: Assessment, tmp_path: Path) -> None:
    run_id = log(tracker, suite, assessment, tmp_path)
    found = find_comparison(tracker)
    assert found is not None
    assert (found.run_id, found.verdict) == (run_id, "promote")
    assert (found.suite_digest, found.matrix_digest) == (suite.digest, suite.matrix_digest)
    assert repr(load_assessment(tracker, run_id)) == repr(assessment)  # as text, because NaN is not equal to itself


def test_run_shows_the_deltas_that_decide(
    tracker: Tracker, suite: Suite, assessment: Assessment, tmp_path: Path
) -> None:
    run = tracker.client.get_run(log(tracker, suite, assessment, tmp_path))
    name = "delta/lora-vs-majority/accuracy"
    expected = {name: 0.113, f"{name}/low": 0.071, f"{name}/high": 0.155, f"{name}/p_adjusted": 0.002}
    assert run.data.metrics == pytest.approx(expected)  # the primary row, not the exploratory one before it
    assert run.data.tags["mlbaseline.registered"] == "before"
    assert run.data.tags["mlbaseline.test_looks"] == "3"
    assert run.data.tags["mlbaseline.confirmatory_contrasts"] == "1 of 2"
    files = {file.path for file in tracker.client.list_artifacts(run.info.run_id, "comparison")}
    names = ("comparisons.json", "comparisons.parquet", "findings.json", "plots", "report.html")
    assert files == {f"comparison/{name}" for name in names}


def test_files_have_the_columns_of_the_contract(assessment: Assessment, tmp_path: Path) -> None:
    save_assessment(assessment, tmp_path)
    frame = pd.read_parquet(tmp_path / "comparisons.parquet")
    assert list(frame.columns) == COLUMNS
    assert frame["slice"].isna().tolist() == [True, True, False]
    assert frame["gained"].tolist()[:2] == [12, 12]
    assert frame["gained"].isna()[2]
    rows = json.loads((tmp_path / "comparisons.json").read_text(), parse_constant=pytest.fail)
    assert [list(row) for row in rows] == [COLUMNS] * 3
    findings = json.loads((tmp_path / "findings.json").read_text(), parse_constant=pytest.fail)
    assert findings["verdict"]["decision"] == "promote"


def test_assessment_without_comparisons(suite: Suite, tmp_path: Path) -> None:
    empty = replace(make_assessment(suite, {}), comparisons=())
    save_assessment(empty, tmp_path)
    assert list(pd.read_parquet(tmp_path / "comparisons.parquet").columns) == COLUMNS


@pytest.mark.parametrize("name", ["findings.json", "comparisons.json"])
def test_edited_file_is_caught(
    tracker: Tracker, suite: Suite, assessment: Assessment, tmp_path: Path, name: str
) -> None:
    run_id = log(tracker, suite, assessment, tmp_path / "rendered")
    path = Path(tracker.client.download_artifacts(run_id, f"comparison/{name}", str(tmp_path)))
    path.chmod(0o644)
    path.write_text(path.read_text().replace("lora", "small"))
    tracker.client.log_artifact(run_id, str(path), "comparison")
    with pytest.raises(IncomparableError, match="edited afterwards"):
        load_assessment(tracker, run_id)


def test_newest_is_found_and_others_are_refused(
    tracker: Tracker, suite: Suite, assessment: Assessment, tmp_path: Path
) -> None:
    assert find_comparison(tracker) is None
    first = log(tracker, suite, assessment, tmp_path)
    second = log(tracker, suite, assessment, tmp_path)
    with pytest.raises(ValueError, match="broke"), open_run(tracker, "comparison", name="x", tags=suite_tags(suite)):
        raise ValueError("broke")
    newest, asked = find_comparison(tracker), find_comparison(tracker, first)
    assert newest is not None
    assert asked is not None
    assert (newest.run_id, asked.run_id) == (second, first)
    with open_run(tracker, "ladder", name="ladder", tags=suite_tags(suite)) as ladder:
        pass
    with pytest.raises(TrackingError, match="to be a completed comparison of"):
        find_comparison(tracker, ladder.run_id)
    with pytest.raises(TrackingError, match="could not read the run"):
        find_comparison(tracker, "0" * 32)
