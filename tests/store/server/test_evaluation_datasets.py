"""An evaluation dataset of MLflow as the data of a task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlbaseline.errors import TrackingError
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.references import resolve

RECORDS = [
    {
        "inputs": {"text": f"ticket {n}", "context": {"lines": n}},
        "expectations": {"label": "good" if n % 2 else "bad"},
        "tags": {"team": "north"},
    }
    for n in range(3)
]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "cache"))


def make_dataset(tracker: Tracker, name: str) -> str:
    dataset = tracker.client.create_dataset(name, tracker.experiment_id)
    dataset.merge_records([dict(record) for record in RECORDS])
    return str(dataset.dataset_id)


def test_records_are_rows_with_a_column_for_each_part(tracker: Tracker) -> None:
    name = f"{tracker.experiment}'s tickets"
    dataset_id = make_dataset(tracker, name)
    path = resolve(tracker, f"datasets:/{name}")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert {row["inputs.text"]: row["expectations.label"] for row in rows} == {
        "ticket 0": "bad",
        "ticket 1": "good",
        "ticket 2": "bad",
    }
    assert set(rows[0]) == {"record_id", "inputs.text", "inputs.context", "expectations.label", "tags.team"}
    before = path.read_bytes()
    assert resolve(tracker, f"datasets:/{dataset_id}").read_bytes() == before
    tracker.client.get_dataset(dataset_id).merge_records([{"inputs": {"text": "new"}}])
    assert len(resolve(tracker, f"datasets:/{name}").read_bytes().splitlines()) == 4


def test_a_dataset_that_is_not_there_is_an_error_that_names_those_that_are(tracker: Tracker) -> None:
    name = f"{tracker.experiment}-tickets"
    make_dataset(tracker, name)
    with pytest.raises(TrackingError, match=f"no evaluation dataset called 'tickts'; it has: .*'{name}'"):
        resolve(tracker, "datasets:/tickts")


def test_a_name_that_two_datasets_have_is_an_error_with_their_ids(tracker: Tracker) -> None:
    name = f"{tracker.experiment}-twice"
    first, second = make_dataset(tracker, name), make_dataset(tracker, name)
    with pytest.raises(TrackingError, match="several evaluation datasets") as caught:
        resolve(tracker, f"datasets:/{name}")
    assert f"datasets:/{first}" in str(caught.value)
    assert f"datasets:/{second}" in str(caught.value)


def test_an_empty_dataset_is_an_error(tracker: Tracker) -> None:
    name = f"{tracker.experiment}-empty"
    tracker.client.create_dataset(name, tracker.experiment_id)
    with pytest.raises(TrackingError, match="has no records"):
        resolve(tracker, f"datasets:/{name}")
