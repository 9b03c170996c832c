"""The sheet that is handed out, and what comes back."""

from __future__ import annotations

import pandas as pd
import pytest

from mlbaseline import workflows
from mlbaseline.errors import SuiteError
from tests.workflows.elsewhere import Site


def test_the_sheet_goes_out_without_targets_and_comes_back_as_labels(site: Site) -> None:
    outcome = workflows.export(site.suite, output=site.folder / "out" / "sheet.csv", tracking_uri=site.uri)
    assert outcome.document["items"] == 120
    sheet = pd.read_csv(site.folder / "out" / "sheet.csv", dtype=str, keep_default_na=False)
    assert list(sheet) == ["example_id", "annotator", "label", "choices", "text"]
    assert set(sheet["choices"]) == {"bad | good"}
    assert set(sheet["label"]) == {""}
    examples = {example.id: example for example in site.test_data().examples}
    assert {id: example.fields["review"] for id, example in examples.items()} == dict(
        zip(sheet["example_id"], sheet["text"], strict=True)
    )
    first = sheet.assign(annotator="ann@1", label=[examples[id].target for id in sheet["example_id"]])
    second = sheet.assign(annotator="ben", label=["good"] * 100 + [""] * 20)
    pd.concat([first, second]).to_csv(site.folder / "labels.csv", index=False)
    site.write("people: {kind: human, labels: labels.csv}", candidate="people")
    (evaluation,) = workflows.evaluate(site.suite, kind="human", tracking_uri=site.uri).document["evaluations"]
    metrics = site.run(evaluation["run_id"]).data.metrics
    assert 0.5 < metrics["accuracy"] < 1.0
    assert metrics["human/annotator/ben/accuracy"] < 1.0
    assert any(name.startswith("human/annotator/ann_1-") and name.endswith("/accuracy") for name in metrics)
    assert -1.0 <= metrics["human/alpha"] < 1.0
    assert "cost_per_query_usd" not in metrics


def test_a_sheet_of_another_split_or_format(site: Site) -> None:
    train = workflows.export(site.suite, output=site.folder / "train.csv", split="train", tracking_uri=site.uri)
    assert train.document["items"] == 96
    with pytest.raises(SuiteError, match=r"ends in .csv"):
        workflows.export(site.suite, output=site.folder / "sheet.xlsx", tracking_uri=site.uri)


@pytest.mark.parametrize("fields", ["", ", agreement: agreement, labels: labels.csv"])
def test_a_human_rung_has_one_source(site: Site, fields: str) -> None:
    site.write(f"people: {{kind: human{fields}}}")
    with pytest.raises(SuiteError, match=r"give either `agreement` .* or `labels`"):
        workflows.evaluate(site.suite, tracking_uri=site.uri)
