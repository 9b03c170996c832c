"""The sheet that is handed out, and what comes back."""

from __future__ import annotations

import pandas as pd
import pytest

from mlbaseline import workflows
from mlbaseline.errors import SuiteError
from tests.support.ladders.cheap_ladder import CheapLadder


def test_the_sheet_goes_out_without_targets_and_comes_back_as_labels(cheap_ladder: CheapLadder) -> None:
    outcome = workflows.export(
        cheap_ladder.suite, output=cheap_ladder.folder / "out" / "sheet.csv", tracking_uri=cheap_ladder.uri
    )
    assert outcome.document["items"] == 120
    sheet = pd.read_csv(cheap_ladder.folder / "out" / "sheet.csv", dtype=str, keep_default_na=False)
    assert list(sheet) == ["example_id", "annotator", "label", "choices", "text"]
    assert set(sheet["choices"]) == {"bad | good"}
    assert set(sheet["label"]) == {""}
    examples = {example.id: example for example in cheap_ladder.test_data().examples}
    assert {id: example.fields["review"] for id, example in examples.items()} == dict(
        zip(sheet["example_id"], sheet["text"], strict=True)
    )
    first = sheet.assign(annotator="ann@1", label=[examples[id].target for id in sheet["example_id"]])
    second = sheet.assign(annotator="ben", label=["good"] * 100 + [""] * 20)
    pd.concat([first, second]).to_csv(cheap_ladder.folder / "labels.csv", index=False)
    cheap_ladder.write("people: {kind: human, labels: labels.csv}", candidate="people")
    (evaluation,) = workflows.evaluate(cheap_ladder.suite, kind="human", tracking_uri=cheap_ladder.uri).document[
        "evaluations"
    ]
    metrics = cheap_ladder.run(evaluation["run_id"]).data.metrics
    assert 0.5 < metrics["accuracy"] < 1.0
    assert metrics["human/annotator/ben/accuracy"] < 1.0
    assert any(name.startswith("human/annotator/ann_1-") and name.endswith("/accuracy") for name in metrics)
    assert -1.0 <= metrics["human/alpha"] < 1.0
    assert "cost_per_query_usd" not in metrics


def test_a_sheet_of_another_split_or_format(cheap_ladder: CheapLadder) -> None:
    train = workflows.export(
        cheap_ladder.suite, output=cheap_ladder.folder / "train.csv", split="train", tracking_uri=cheap_ladder.uri
    )
    assert train.document["items"] == 96
    with pytest.raises(SuiteError, match=r"ends in .csv"):
        workflows.export(cheap_ladder.suite, output=cheap_ladder.folder / "sheet.xlsx", tracking_uri=cheap_ladder.uri)


@pytest.mark.parametrize("fields", ["", ", agreement: agreement, labels: labels.csv"])
def test_a_human_rung_has_one_source(cheap_ladder: CheapLadder, fields: str) -> None:
    cheap_ladder.write(f"people: {{kind: human{fields}}}")
    with pytest.raises(SuiteError, match=r"give either `agreement` .* or `labels`"):
        workflows.evaluate(cheap_ladder.suite, tracking_uri=cheap_ladder.uri)
