"""A suite whose examples are an evaluation dataset on the tracking server."""

from __future__ import annotations

import csv
from typing import Any

from mlbaseline import workflows
from mlbaseline.store import connect
from tests.support.ladders.cheap_ladder import CheapLadder


def test_a_dataset_is_evaluated_like_a_file_and_anew_once_it_has_other_records(cheap_ladder: CheapLadder) -> None:
    with (cheap_ladder.folder / "reviews.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    dataset = connect(cheap_ladder.uri, "reviews").client.create_dataset("golden set")
    dataset.merge_records(
        [{"inputs": {"review": row["review"]}, "expectations": {"label": row["label"]}} for row in rows]
    )

    def evaluate() -> dict[str, Any]:
        (found,) = workflows.evaluate(cheap_ladder.suite, tracking_uri=cheap_ladder.uri).document["evaluations"]
        return dict(found)

    of_file = evaluate()
    cheap_ladder.edit("source: reviews.csv", "source: 'datasets:/golden set'")
    cheap_ladder.edit("{text: review, target: label}", "{text: inputs.review, target: expectations.label}")
    of_dataset = evaluate()
    assert of_dataset["metrics"] == of_file["metrics"]
    assert evaluate()["run_id"] == of_dataset["run_id"]
    dataset.merge_records([{"inputs": {"review": "the soup was cold"}, "expectations": {"label": "bad"}}])
    assert evaluate()["run_id"] != of_dataset["run_id"]
